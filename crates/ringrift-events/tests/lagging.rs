//! A full mailbox loses nothing: bridged events are read from the log, in its order, each once; a
//! volatile one is refused with a verdict.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that fails"
)]

#[macro_use]
mod support;

use std::time::Duration;

use ringrift_events::handler::{Function, Policy};
use ringrift_events::router::{Publish, Subscribe};
use ringrift_events::store::registry::FactFilter;
use ringrift_events::system::System;
use ringrift_events::verdict::Code;
use support::{Gate, Seen, World, publish_numbers, until};

over_both_stores! {
    a_lagging_subscription_gets_each_matching_event_once_and_in_order;
    a_volatile_event_is_refused_to_a_full_mailbox_with_a_verdict;
}

const EACH: u64 = 400;

fn publish_slowly(system: &System, from: u64) {
    for number in from..from + EACH {
        let key = if number % 2 == 0 { "even" } else { "odd" };
        let payload = format!("{{\"config_key\":\"{key}\",\"number\":{number}}}");
        let publish = Publish::new("MODEL_PROMOTED", payload);
        system.router().publish_blocking(publish).unwrap();
    }
}

/// A handler that is now and then slower than its publishers.
fn stumbling(seen: &Seen) -> Function {
    let seen = seen.clone();
    Function::blocking(move |context| {
        let event = context.event();
        seen.note(event);
        let number = event.payload.fields()["number"].as_u64().unwrap_or(0);
        if number % 16 == 0 {
            std::thread::park_timeout(Duration::from_millis(3));
        }
        Ok(())
    })
}

fn a_lagging_subscription_gets_each_matching_event_once_and_in_order(world: &World) {
    let small = |settings: &mut ringrift_events::config::Settings| settings.live.mailbox = 4;
    let system = world.process_with(small);
    let others = [world.process(), world.process()];
    let (all, even, wide) = (Seen::default(), Seen::default(), Seen::default());
    let subscribe = |name: &str, function| {
        let subscribe = Subscribe::live(name).to(["MODEL_PROMOTED"]);
        let subscribe = match name {
            "even" => subscribe.filter("config_key = \"even\""),
            "wide" => subscribe.policy(Policy {
                concurrency: 3,
                ..Policy::default()
            }),
            _ => subscribe,
        };
        system.router().subscribe(subscribe, function).unwrap();
    };
    subscribe("all", stumbling(&all));
    subscribe("even", stumbling(&even));
    subscribe("wide", stumbling(&wide));
    std::thread::scope(|scope| {
        for (number, publisher) in [&system, &others[0], &others[1]].into_iter().enumerate() {
            let from = u64::try_from(number).unwrap() * EACH;
            scope.spawn(move || publish_slowly(publisher, from));
        }
    });
    let count = usize::try_from(3 * EACH).unwrap();
    until("everything was handled", || {
        all.count() >= count && wide.count() >= count && even.count() >= count / 2
    });
    system.close();
    for other in &others {
        other.close();
    }
    for (seen, count) in [(&all, count), (&wide, count), (&even, count / 2)] {
        assert_eq!((seen.count(), seen.distinct()), (count, count));
    }
    let own = system.store().process();
    for seen in [&all, &even] {
        let sights = seen.all();
        let (mine, theirs): (Vec<_>, Vec<_>) = sights.iter().partition(|sight| sight.origin == own);
        for flow in [mine, theirs] {
            let seqs: Vec<i64> = flow.iter().map(|sight| sight.seq).collect();
            assert!(seqs.is_sorted(), "a flow came out of the log's order");
        }
    }
}

fn a_volatile_event_is_refused_to_a_full_mailbox_with_a_verdict(world: &World) {
    const VOLATILE: &str = "QUEUED_EVENTS_SYNCED";
    let system = world.process_with(|settings| settings.live.mailbox = 4);
    let (gate, seen, beside) = (Gate::closed(), Seen::default(), Seen::default());
    let router = system.router();
    let full = Subscribe::live("full").to([VOLATILE, "MODEL_PROMOTED"]);
    router.subscribe(full, gate.hanging(&seen)).unwrap();
    let free = Subscribe::live("free").to([VOLATILE]);
    router.subscribe(free, beside.noting()).unwrap();
    publish_numbers(&system, "MODEL_PROMOTED", 0..1);
    until("the first one hangs", || router.local_stats().running == 1);
    publish_numbers(&system, "MODEL_PROMOTED", 1..20);
    let refused = support::publish(&system, VOLATILE, r#"{"number":99}"#);
    assert!(!refused.bridged && refused.seq.is_none());
    let matched: Vec<&str> = refused.matched.iter().map(|name| &**name).collect();
    assert_eq!(matched, ["free"]);
    let skipped: Vec<(&str, Code)> = refused
        .skipped
        .iter()
        .map(|(name, code)| (&**name, *code))
        .collect();
    assert_eq!(skipped, [("full", Code::RtRefused)]);
    let facts = || {
        let filter = FactFilter {
            event: Some(refused.id),
            limit: 10,
            ..FactFilter::default()
        };
        system.store().facts(filter).wait().unwrap()
    };
    until("the verdict is kept", || {
        facts()
            .iter()
            .any(|fact| fact.code == Some(Code::RtRefused))
    });
    gate.open();
    until("the log's events come", || seen.count() >= 20);
    until("the other one has it", || beside.count() >= 1);
    system.close();
    assert_eq!(seen.numbers(), (0..20).collect::<Vec<u64>>());
}
