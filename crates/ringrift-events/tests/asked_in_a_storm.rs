//! The questions stay answerable, and their answers agree with each other, while others publish,
//! handle, fail and purge.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that fails"
)]

#[macro_use]
mod support;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ringrift_events::clock::Time;
use ringrift_events::event::EventId;
use ringrift_events::explain::{Asked, Draft, Standing, Whole};
use ringrift_events::handler::{Function, NotDone};
use ringrift_events::router::Subscribe;
use ringrift_events::system::System;
use ringrift_events::verdict::Code;
use support::{Over, Seen, World, publish, quick_retry, until};

const TYPE: &str = "training_completed";
const NEXT: &str = "evaluation_completed";

/// Rounds of questions, each about another event and the last 200 of a key.
const ROUNDS: usize = 25;

/// Events published meanwhile at most: the storm must not outgrow the questions.
const EVENTS_MAX: u64 = 600;

over_both_stores! {
    every_answer_is_one_of_those_that_may_be;
}

/// What may be said of a delivery to a handler that is there and works, whenever it is asked.
const ON_ITS_WAY: [Code; 8] = [
    Code::WtPending,
    Code::WtConcurrency,
    Code::WtStoreBusy,
    Code::HnRunning,
    Code::HnRetrying,
    // The page tells of a failed run a moment before the letter is committed.
    Code::HnError,
    Code::HnOk,
    Code::StRecovered,
];

struct Storm<'a> {
    worker: &'a System,
    other: &'a System,
    published: Mutex<Vec<EventId>>,
    count: AtomicU64,
    over: AtomicBool,
}

impl Storm<'_> {
    /// Publishes until the questions are over; every fourth event is one that fails once.
    fn publishes(&self, system: &System) {
        while !self.over.load(Ordering::Relaxed) {
            let number = self.count.fetch_add(1, Ordering::Relaxed);
            if number >= EVENTS_MAX {
                return;
            }
            let payload = format!(r#"{{"config_key":"k{}","number":{number}}}"#, number % 7);
            let id = publish(system, TYPE, &payload).id;
            self.published.lock().unwrap().push(id);
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
    }

    /// Deletes what is pending, and brings it back.
    fn purges(&self) {
        let store = self.other.store();
        while !self.over.load(Ordering::Relaxed) {
            store.clear_queue("ann".to_owned(), false).wait().unwrap();
            std::thread::park_timeout(std::time::Duration::from_millis(20));
            store.restore_queue("ann".to_owned(), false).wait().unwrap();
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
    }

    fn asks(&self, round: usize) {
        let (asker, id) = {
            let published = self.published.lock().unwrap();
            let place = published.len() - 1 - (round * 31) % published.len().min(400);
            (
                if round.is_multiple_of(2) {
                    self.worker
                } else {
                    self.other
                },
                published[place],
            )
        };
        let name = id.to_string();
        let said = asker.explain(&name).unwrap();
        let names: BTreeSet<&str> = said
            .findings
            .deliveries
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        assert_eq!(names, BTreeSet::from(["live", "works"]), "{said:?}");
        for one in &said.findings.deliveries {
            may_be(one);
        }
        let tree = asker.tree(&name).unwrap();
        assert_eq!((tree.asked, tree.root.id), (id, id), "{tree:?}");
        let asked = Asked {
            subscription: "works".to_owned(),
            event_type: Some(TYPE.to_owned()),
            key: Some(format!("k{}", round % 7)),
            since: Time(0),
        };
        let why_not = asker.why_not(&asked).unwrap();
        let judged: usize = why_not.groups.iter().map(|group| group.count).sum();
        assert_eq!(judged, why_not.window.judged, "{why_not:?}");
        for group in &why_not.groups {
            may_be(&group.newest);
        }
        let draft = Draft {
            event_type: TYPE.to_owned(),
            payload: br#"{"config_key":"k"}"#.to_vec(),
            key: None,
            process: None,
        };
        let foreseen = asker.route(&draft).unwrap();
        assert_eq!(foreseen.reached, 2, "{foreseen:?}");
    }
}

/// Both handlers are there: nothing else may be said of them, whenever it is asked.
fn may_be(one: &Standing) {
    let code = one.verdict.code;
    let live = [
        Code::HnOk,
        Code::HnRunning,
        Code::WtPending,
        Code::WtConcurrency,
        Code::WtLagging,
    ];
    let is = match one.name.as_str() {
        // Its page keeps the last deliveries only.
        "live" => live.contains(&code) || code == Code::HnNoRecord,
        _ => ON_ITS_WAY.contains(&code) || code == Code::StPurged,
    };
    assert!(is, "{one:?}");
}

fn every_answer_is_one_of_those_that_may_be(world: &World) {
    let (worker, other) = (world.process(), world.process());
    let seen = Seen::default();
    let failed = Mutex::new(BTreeSet::new());
    let fails_once = {
        let seen = seen.clone();
        Function::blocking(move |context| {
            let event = context.event();
            if event.id.0.as_u128() % 4 == 0 && failed.lock().unwrap().insert(event.id) {
                return Err(NotDone::failed("not yet"));
            }
            seen.note(event);
            Ok(())
        })
    };
    let works = Subscribe::durable("works")
        .to([TYPE])
        .policy(quick_retry(5));
    worker.router().subscribe(works, fails_once).unwrap();
    let live = Subscribe::live("live").to([TYPE, NEXT]);
    other
        .router()
        .subscribe(live, Seen::default().noting())
        .unwrap();
    publish(&worker, TYPE, r#"{"config_key":"k0","number":0}"#);
    let storm = Storm {
        worker: &worker,
        other: &other,
        published: Mutex::new(vec![publish(&worker, TYPE, "{}").id]),
        count: AtomicU64::new(1),
        over: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        scope.spawn(|| storm.publishes(&worker));
        scope.spawn(|| storm.publishes(&other));
        scope.spawn(|| storm.purges());
        let _over = Over(&storm.over);
        for round in 0..ROUNDS {
            storm.asks(round);
        }
    });
    settled(&worker, &storm.published.into_inner().unwrap());
    worker.close();
    other.close();
}

/// When all is quiet, each event has its end, and whoever asks hears the same.
fn settled(system: &System, published: &[EventId]) {
    system
        .store()
        .restore_queue("ann".to_owned(), false)
        .wait()
        .unwrap();
    let sample = published.iter().rev().step_by(7).take(60);
    for id in sample.map(ToString::to_string) {
        let works = || {
            let said = system.explain(&id).unwrap();
            let mut all = said.findings.deliveries.into_iter();
            all.find(|one| one.name == "works").unwrap()
        };
        let ended = || matches!(works().verdict.code, Code::HnOk | Code::StRecovered);
        until(&format!("it has its end: {:?}", works()), ended);
    }
    let last = published.last().unwrap().to_string();
    let whole = system.explain(&last).unwrap().findings.whole;
    assert!(matches!(whole, Whole::Well | Whole::Unknown), "{whole:?}");
}
