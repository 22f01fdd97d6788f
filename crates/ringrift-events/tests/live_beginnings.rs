//! Live subscriptions that begin, and fall behind, while several processes publish: each matching
//! event from the beginning on comes once, whoever published it and whichever way it came.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that fails"
)]

#[path = "support/over.rs"]
mod over;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use over::Over;
use ringrift_events::clock::{SharedClock, SystemClock};
use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::event::{EventType, ProcessId, Seq};
use ringrift_events::handler::Function;
use ringrift_events::router::{Publish, Router, Subscribe, Subscription};
use ringrift_events::store::log::TypeSet;
use ringrift_events::store::memory::MemoryHub;
use ringrift_events::system::{System, this_process};

/// So small that every publisher here fills it.
const MAILBOX: &str = "live.mailbox=8";

/// Most events each publisher makes; it stops earlier when all subscriptions have begun.
const EVENTS_MAX: usize = 20_000;

const TYPES: [&str; 2] = ["training_completed", "evaluation_completed"];

fn process(hub: &MemoryHub, clock: &SharedClock, folder: &Path) -> System {
    let mut sources = ConfigSources::of_process(Home::at(folder));
    sources.flags.push(MAILBOX.to_owned());
    let store = hub.open(this_process(&**clock));
    System::over(Config::load(sources).unwrap(), store, Arc::clone(clock)).unwrap()
}

/// Publishes both types in turn until told to stop.
fn publish_on(router: &Router, over: &AtomicBool, published: &AtomicU64) {
    for turn in 0..EVENTS_MAX {
        if over.load(Ordering::SeqCst) {
            return;
        }
        let payload = format!("{{\"config_key\":\"hex8\",\"number\":{turn}}}");
        let publish = Publish::new(TYPES[turn % TYPES.len()], payload);
        router.publish(publish).unwrap().wait().unwrap();
        published.fetch_add(1, Ordering::SeqCst);
    }
}

type Handled = Arc<Mutex<Vec<(Seq, ProcessId)>>>;

struct Begun {
    subscription: Subscription,
    event_type: &'static str,
    handled: Handled,
}

fn begin(router: &Router, number: usize) -> Begun {
    let handled = Handled::default();
    let note = Arc::clone(&handled);
    let function = Function::asynchronous(move |context| {
        let note = Arc::clone(&note);
        async move {
            let event = context.event();
            let place = (event.seq.unwrap(), event.origin);
            note.lock().unwrap().push(place);
            // Now and then others run first, and the mailbox fills.
            for _ in 0..(place.0.0 % 32) {
                tokio::task::yield_now().await;
            }
            Ok(())
        }
    });
    let event_type = TYPES[number % TYPES.len()];
    let subscribe = Subscribe::live(format!("live-{number}")).to([event_type]);
    Begun {
        subscription: router.subscribe(subscribe, function).unwrap(),
        event_type,
        handled,
    }
}

fn expected(system: &System, begun: &Begun) -> Vec<(Seq, bool)> {
    let me = system.store().process();
    let all = system.store().subscriptions().wait().unwrap();
    let state = all
        .iter()
        .find(|state| state.id == begun.subscription.id())
        .unwrap();
    let mut after = Seq(state.versions[0].valid_from.0 - 1);
    let types = TypeSet::only([EventType::from_canonical(begun.event_type)]);
    let mut places = Vec::new();
    loop {
        let (events, read_to) = system
            .store()
            .read(after, types.clone(), 1_000)
            .wait()
            .unwrap();
        places.extend(
            events
                .iter()
                .map(|event| (event.seq.unwrap(), event.origin == me)),
        );
        if read_to <= after {
            return places;
        }
        after = read_to;
    }
}

fn check(system: &System, begun: &Begun) {
    let expected = expected(system, begun);
    let clock = SystemClock;
    let give_up = ringrift_events::clock::Clock::monotonic(&clock) + Duration::from_secs(20);
    while begun.handled.lock().unwrap().len() < expected.len()
        && ringrift_events::clock::Clock::monotonic(&clock) < give_up
    {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let handled = begun.handled.lock().unwrap().clone();
    let me = system.store().process();
    let name = begun.subscription.name();
    let places: BTreeSet<(Seq, bool)> = handled
        .iter()
        .map(|(seq, origin)| (*seq, *origin == me))
        .collect();
    assert_eq!(places.len(), handled.len(), "{name}: handled twice");
    let lost: Vec<_> = expected.iter().filter(|e| !places.contains(e)).collect();
    assert!(
        lost.is_empty(),
        "{name}: lost (place, own) {lost:?} of {:?}",
        &expected[..9]
    );
    assert_eq!(places.len(), expected.len(), "{name}: more than its own");
    for own in [true, false] {
        let flow = handled.iter().filter(|(_, origin)| (*origin == me) == own);
        assert!(flow.is_sorted_by_key(|(seq, _)| *seq), "{name}: order");
    }
}

// B21: late subscribers lost events, hence brittle start-up orders everywhere.
#[test]
fn a_live_subscription_that_begins_while_others_publish_misses_nothing_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let clock: SharedClock = Arc::new(SystemClock);
    for _round in 0..5 {
        let hub = MemoryHub::new(Arc::clone(&clock));
        let [one, other] = [(); 2].map(|()| process(&hub, &clock, folder.path()));
        let (over, published) = (AtomicBool::new(false), AtomicU64::new(0));
        let begun: Vec<Begun> = std::thread::scope(|scope| {
            let _over = Over(&over);
            for system in [&one, &other] {
                let (over, published) = (&over, &published);
                scope.spawn(move || publish_on(system.router(), over, published));
            }
            let begun = (0..6).map(|number| begin(one.router(), number)).collect();
            let from = published.load(Ordering::SeqCst);
            for _ in 0..4_000 {
                if published.load(Ordering::SeqCst) > from + 400 {
                    break;
                }
                std::thread::park_timeout(Duration::from_millis(1));
            }
            begun
        });
        for begun in &begun {
            check(&one, begun);
        }
        for system in [&one, &other] {
            system.close();
        }
    }
}
