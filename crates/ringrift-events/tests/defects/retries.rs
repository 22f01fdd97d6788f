//! Retries and dedup: the outcome of a retry is its own, and a key belongs to one type.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ringrift_events::handler::{Dedup, Function, NotDone, Policy};
use ringrift_events::router::Subscribe;
use ringrift_events::store::letters::LetterState;

use crate::support::{Seen, World, letters, publish, quick_retry, until};

over_both_stores! {
    a_retry_that_fails_again_has_not_recovered;
    a_live_handler_retries_although_it_has_seen_the_key;
    one_key_of_two_types_is_two_keys;
    after_a_restart_only_what_was_unsettled_comes_again;
    a_handler_that_breaks_in_every_way_stops_nobody;
}

/// B3: a retry always "recovered": it published to everybody again, and success meant that this
/// publish did not raise.
fn a_retry_that_fails_again_has_not_recovered(world: &World) {
    let system = world.process();
    let calls = Arc::new(AtomicUsize::new(0));
    let (counted, beside) = (Arc::clone(&calls), Seen::default());
    let broken = Function::blocking(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Err(NotDone::failed("still broken"))
    });
    let subscribe = |name: &str| Subscribe::durable(name).to(["MODEL_PROMOTED"]);
    system
        .router()
        .subscribe(subscribe("broken").policy(quick_retry(2)), broken)
        .unwrap();
    system
        .router()
        .subscribe(subscribe("beside"), beside.noting())
        .unwrap();
    publish(&system, "MODEL_PROMOTED", r#"{"config_key":"a"}"#);
    until("two runs make it dead", || {
        letters(&system, &[LetterState::Dead]).len() == 1
    });
    let dead = letters(&system, &[LetterState::Dead]);
    assert_eq!(
        system.dead_letters().retry(&dead, "test").unwrap().changed,
        1
    );
    until("it is dead again after two more runs", || {
        let dead = letters(&system, &[LetterState::Dead]);
        calls.load(Ordering::SeqCst) == 4 && dead.len() == 1 && dead[0].attempts_total == 4
    });
    assert!(letters(&system, &[LetterState::Recovered]).is_empty());
    system.close();
    assert_eq!(calls.load(Ordering::SeqCst), 4);
    assert_eq!(beside.count(), 1, "a retry reached somebody else");
}

/// B5: dedup marked an event before it had succeeded: the retry was skipped as a duplicate and
/// counted as recovered.
fn a_live_handler_retries_although_it_has_seen_the_key(world: &World) {
    let system = world.process();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let flaky = Function::asynchronous(move |_| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if first {
                return Err(NotDone::failed("transient"));
            }
            Ok(())
        }
    });
    let policy = Policy {
        dedup: Some(Dedup::by(["config_key"])),
        ..quick_retry(3)
    };
    let subscription = system
        .router()
        .subscribe(
            Subscribe::live("once")
                .to(["MODEL_PROMOTED"])
                .policy(policy),
            flaky,
        )
        .unwrap();
    publish(&system, "MODEL_PROMOTED", r#"{"config_key":"a"}"#);
    until("the retry ran and succeeded", || {
        subscription.stats().success_count == 1
    });
    until("it is kept as recovered", || {
        letters(&system, &[LetterState::Recovered]).len() == 1
    });
    publish(&system, "MODEL_PROMOTED", r#"{"config_key":"a"}"#);
    until("now the key is known", || {
        subscription.stats().events_deduplicated == 1
    });
    system.close();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

/// B6: dedup ignored the type: with `config_key` as key a `TRAINING_COMPLETED` was a "duplicate" of
/// its `TRAINING_STARTED`.
fn one_key_of_two_types_is_two_keys(world: &World) {
    let system = world.process();
    let (live, durable) = (Seen::default(), Seen::default());
    let types = ["TRAINING_STARTED", "TRAINING_COMPLETED"];
    let policy = Policy {
        dedup: Some(Dedup::by(["config_key"])),
        ..Policy::default()
    };
    let subscriptions = [
        (Subscribe::live("live"), live.noting()),
        (Subscribe::durable("durable"), durable.noting()),
    ];
    for (subscribe, function) in subscriptions {
        let subscribe = subscribe.to(types).policy(policy.clone());
        system.router().subscribe(subscribe, function).unwrap();
    }
    for name in types {
        publish(&system, name, r#"{"config_key":"hex8","number":1}"#);
        publish(&system, name, r#"{"config_key":"hex8","number":2}"#);
    }
    publish(&system, types[1], r#"{"config_key":"square8","number":3}"#);
    until("the last one came to both", || {
        [&live, &durable]
            .iter()
            .all(|seen| seen.numbers().contains(&3))
    });
    system.close();
    for seen in [live, durable] {
        let all = seen.all();
        let of: Vec<(&str, u64)> = all
            .iter()
            .map(|sight| (sight.event_type.as_str(), sight.number))
            .collect();
        assert_eq!(
            of,
            [
                ("training_started", 1),
                ("training_completed", 1),
                ("training_completed", 3)
            ]
        );
    }
}

/// B22: the replay at start-up also replayed what had recovered; stale events returned for weeks.
fn after_a_restart_only_what_was_unsettled_comes_again(world: &World) {
    let seen = Seen::default();
    let failures = Arc::new(AtomicUsize::new(0));
    let handler = |fails_for_good: bool| {
        let (seen, failures) = (seen.clone(), Arc::clone(&failures));
        Function::asynchronous(move |context| {
            let (seen, failures) = (seen.clone(), Arc::clone(&failures));
            async move {
                let number = context.event().payload.fields()["number"].as_u64();
                let fails = match number {
                    Some(2) => failures.fetch_add(1, Ordering::SeqCst) == 0,
                    Some(5) => fails_for_good,
                    _ => false,
                };
                if fails {
                    return Err(NotDone::failed("not now"));
                }
                seen.note(context.event());
                Ok(())
            }
        })
    };
    let subscribe = || {
        Subscribe::durable("worker")
            .to(["MODEL_PROMOTED"])
            .policy(quick_retry(100_000))
    };
    let first = world.process();
    first
        .router()
        .subscribe(subscribe(), handler(true))
        .unwrap();
    crate::support::publish_numbers(&first, "MODEL_PROMOTED", 0..10);
    until("nine succeeded, one of them by a retry", || {
        seen.count() == 9
    });
    until("the recovered one has left the queue", || {
        first.dead_letters().count().unwrap() == 1
    });
    first.close();
    for round in 0..3 {
        let next = world.process();
        let live = Seen::default();
        next.router()
            .subscribe(
                Subscribe::live("watcher").to(["MODEL_PROMOTED"]),
                live.noting(),
            )
            .unwrap();
        next.router()
            .subscribe(subscribe(), handler(false))
            .unwrap();
        let number = 100 + round;
        crate::support::publish_numbers(&next, "MODEL_PROMOTED", number..number + 1);
        until("the new one and the unsettled one came", || {
            seen.numbers().contains(&number) && seen.numbers().contains(&5)
        });
        until("the live one has the new one", || live.count() >= 1);
        next.close();
        assert_eq!(live.numbers(), [number], "a live one saw the past");
    }
    let mut numbers = seen.numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100, 101, 102]);
}

/// An error whose text cannot be had.
#[derive(Debug)]
struct Unspeakable;

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("even the error's text is broken")
    }
}

impl std::error::Error for Unspeakable {}

/// B16: one broken handler (or its letter that could not be written) aborted the delivery to the
/// remaining ones.
fn a_handler_that_breaks_in_every_way_stops_nobody(world: &World) {
    let system = world.process();
    let breaking = [
        Function::asynchronous(|_| async { panic!("in a task") }),
        Function::blocking(|_| panic!("on a thread")),
        Function::immediate(|_| panic!("at once")),
        Function::asynchronous(|_| async { Err(NotDone::failed("ä".repeat(1 << 20))) }),
        Function::asynchronous(|_| async { Err(NotDone::failed("nul \0 and \u{7f}")) }),
        Function::asynchronous(|_| async { Err(NotDone::from(Unspeakable)) }),
    ];
    let count = breaking.len();
    let mut seen = Vec::new();
    for (number, function) in breaking.into_iter().enumerate() {
        let to = |subscribe: Subscribe| subscribe.to(["HOST_OFFLINE"]).policy(quick_retry(1));
        let name = |kind: &str| format!("{kind}-{number}");
        let router = system.router();
        let (live, durable) = (Subscribe::live(name("a")), Subscribe::durable(name("b")));
        router.subscribe(to(live), function.clone()).unwrap();
        router.subscribe(to(durable), function).unwrap();
        let (live, durable) = (Seen::default(), Seen::default());
        router
            .subscribe(to(Subscribe::live(name("c"))), live.noting())
            .unwrap();
        router
            .subscribe(to(Subscribe::durable(name("d"))), durable.noting())
            .unwrap();
        seen.extend([live, durable]);
    }
    for _ in 0..3 {
        publish(&system, "HOST_OFFLINE", "{}");
    }
    until("everybody else got all three", || {
        seen.iter().all(|seen| seen.count() == 3)
    });
    until("each failure is one letter", || {
        letters(&system, &[LetterState::Dead]).len() == count * 2 * 3
    });
    assert!(system.health().healthy);
    system.close();
}
