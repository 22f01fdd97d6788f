//! A router is restarted while events flow: nothing is lost and nothing runs twice; and dedup keys
//! are forgotten on demand.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that fails"
)]

#[macro_use]
mod support;

use std::time::Duration;

use ringrift_events::daemons::{CROSS_PROCESS_POLLER, DLQ_RETRY, RunState};
use ringrift_events::router::Subscribe;
use ringrift_events::system::System;
use support::{Gate, Seen, World, publish_numbers, until};

over_both_stores! {
    a_restart_under_load_loses_nothing_and_repeats_nothing;
    a_handler_that_runs_too_long_is_named_and_goes_on;
    resubscribing_starts_what_somebody_had_stopped;
}

const EVENTS: u64 = 400;

fn ask(by: &System, of: &System, verb: &str) -> String {
    let to = of.store().process();
    let sent = by
        .store()
        .send(to, verb.to_owned(), "{}".to_owned(), "test".to_owned());
    let id = sent.wait().unwrap();
    let answer = || by.store().command(id).wait().unwrap().result;
    until("it is answered", || answer().is_some());
    answer().unwrap()
}

fn a_restart_under_load_loses_nothing_and_repeats_nothing(world: &World) {
    let (system, other) = (world.process(), world.process());
    let (live, durable) = (Seen::default(), Seen::default());
    for (subscribe, seen) in [
        (Subscribe::live("live"), &live),
        (Subscribe::durable("durable"), &durable),
    ] {
        let subscribe = subscribe.to(["MODEL_PROMOTED"]);
        system.router().subscribe(subscribe, seen.noting()).unwrap();
    }
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            for from in (0..EVENTS).step_by(20) {
                publish_numbers(&other, "MODEL_PROMOTED", from..from + 10);
                publish_numbers(&system, "MODEL_PROMOTED", from + 10..from + 20);
            }
        });
        for _ in 0..3 {
            let said = ask(&other, &system, "router.restart");
            assert!(said.starts_with("ok 2 subscriptions restarted"), "{said}");
            let said = ask(&other, &system, "handlers.resubscribe");
            assert!(said.starts_with("ok resubscribed "), "{said}");
        }
        publishing.join().unwrap();
    });
    publish_numbers(&other, "MODEL_PROMOTED", EVENTS..EVENTS + 10);
    let all = usize::try_from(EVENTS).unwrap() + 10;
    until("everything came", || {
        live.distinct() == all && durable.distinct() == all
    });
    assert_eq!((live.count(), durable.count()), (all, all));
    other.shutdown(Duration::ZERO);
    system.shutdown(Duration::ZERO);
}

fn resubscribing_starts_what_somebody_had_stopped(world: &World) {
    let (system, other) = (world.process(), world.process());
    let seen = Seen::default();
    let subscribe = Subscribe::durable("durable").to(["MODEL_PROMOTED"]);
    system.router().subscribe(subscribe, seen.noting()).unwrap();
    for daemon in [CROSS_PROCESS_POLLER, DLQ_RETRY] {
        system.daemons().stop(daemon, "somebody").unwrap();
    }
    publish_numbers(&other, "MODEL_PROMOTED", 0..3);
    let said = ask(&other, &system, "router.restart");
    assert!(said.starts_with("ok"), "{said}");
    let state = |name| system.daemons().status(name).unwrap().state;
    assert_eq!(
        state(CROSS_PROCESS_POLLER),
        RunState::Stopped,
        "a router's restart leaves it to whoever stopped it"
    );
    let said = ask(&other, &system, "handlers.resubscribe");
    assert_eq!(said, "ok resubscribed durable");
    for daemon in [CROSS_PROCESS_POLLER, DLQ_RETRY] {
        assert_eq!(state(daemon), RunState::Running);
    }
    until("what had waited came", || seen.count() == 3);
    other.shutdown(Duration::ZERO);
    system.shutdown(Duration::ZERO);
}

fn a_handler_that_runs_too_long_is_named_and_goes_on(world: &World) {
    let system = world.process();
    let (gate, seen) = (Gate::closed(), Seen::default());
    let subscribe = Subscribe::durable("slow").to(["MODEL_PROMOTED"]);
    system
        .router()
        .subscribe(subscribe, gate.hanging(&seen))
        .unwrap();
    publish_numbers(&system, "MODEL_PROMOTED", 0..3);
    until("it runs", || system.router().local_stats().running == 1);
    let done = system.router().restart(Duration::from_millis(50));
    assert_eq!(
        (done.restarted.len(), done.busy),
        (0, vec!["slow".to_owned()])
    );
    gate.open();
    until("it goes on", || seen.count() == 3);
    let done = system.router().restart(Duration::from_secs(10));
    assert_eq!(
        (done.restarted, done.busy.len()),
        (vec!["slow".to_owned()], 0)
    );
    publish_numbers(&system, "MODEL_PROMOTED", 3..5);
    until("the fresh loop takes the next", || seen.count() == 5);
    system.shutdown(Duration::ZERO);
}
