//! The router over both stores: what each promise says, in one process and in several simulated
//! ones.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that fails"
)]

#[macro_use]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ringrift_events::handler::{Dedup, Function, NotDone, Policy};
use ringrift_events::router::{Publish, Subscribe};
use ringrift_events::store::letters::{LetterFilter, LetterState};
use support::{Seen, World, letters, quick_retry, until};

over_both_stores! {
    a_live_handler_gets_each_event_once_whatever_the_spelling;
    a_durable_subscription_is_shared_and_loses_nothing_published_while_it_was_down;
    a_retry_reaches_the_handler_that_failed_and_no_other;
    attempts_that_are_used_up_leave_a_dead_letter_until_an_operator_retries;
    a_handler_may_publish_its_own_type_and_circles_end_at_the_depth_limit;
    a_key_is_confirmed_by_success_only_and_shared_by_the_processes_of_a_durable_name;
    order_holds_per_key_although_an_event_is_retried_and_others_run_beside_it;
}

fn a_live_handler_gets_each_event_once_whatever_the_spelling(world: &World) {
    // B1 and B2 of the system this one replaces: two spellings were two topics, and every publish
    // of a known type was delivered twice.
    let system = world.process();
    let seen = Seen::default();
    system
        .router()
        .subscribe(
            Subscribe::live("upper").to(["TRAINING_COMPLETED"]),
            seen.noting(),
        )
        .unwrap();
    let other = Seen::default();
    system
        .router()
        .subscribe(
            Subscribe::live("lower").to(["training_completed"]),
            other.noting(),
        )
        .unwrap();
    for name in ["TRAINING_COMPLETED", "training_completed"] {
        let receipt = system
            .router()
            .publish(Publish::new(name, "{}"))
            .unwrap()
            .wait()
            .unwrap();
        assert!(receipt.bridged && receipt.seq.is_some());
        assert_eq!(receipt.matched.len(), 2);
    }
    until("both handlers saw both events", || {
        seen.count() == 2 && other.count() == 2
    });
    system.close();
    assert_eq!((seen.count(), other.count()), (2, 2));
}

fn a_durable_subscription_is_shared_and_loses_nothing_published_while_it_was_down(world: &World) {
    let publisher = world.process();
    let first = world.process();
    let seen = Seen::default();
    let sub = first
        .router()
        .subscribe(
            Subscribe::durable("evaluator").to(["TRAINING_COMPLETED"]),
            seen.noting(),
        )
        .unwrap();
    publish(&publisher, 10);
    until("the first ten are handled", || seen.count() == 10);
    sub.unsubscribe().unwrap();
    publish(&publisher, 10);
    let (one, two) = (world.process(), world.process());
    for system in [&one, &two] {
        system
            .router()
            .subscribe(
                Subscribe::durable("evaluator").to(["TRAINING_COMPLETED"]),
                seen.noting(),
            )
            .unwrap();
    }
    publish(&publisher, 100);
    until("all are handled", || seen.count() == 120);
    for system in [&publisher, &first, &one, &two] {
        system.close();
    }
    assert_eq!(seen.distinct(), 120);
    assert_eq!(seen.count(), 120);
}

fn publish(system: &ringrift_events::system::System, count: usize) {
    for number in 0..count {
        let payload = format!("{{\"config_key\":\"hex8\",\"number\":{number}}}");
        system
            .router()
            .publish(Publish::new("TRAINING_COMPLETED", payload))
            .unwrap()
            .wait()
            .unwrap();
    }
}

fn a_retry_reaches_the_handler_that_failed_and_no_other(world: &World) {
    // B2, B3: a failing handler left two dead letters, and a retry re-published to everybody.
    let system = world.process();
    let (calls, good) = (Arc::new(AtomicUsize::new(0)), Seen::default());
    let failing = {
        let calls = Arc::clone(&calls);
        Function::asynchronous(move |_| {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            async move {
                if call == 0 {
                    Err(NotDone::failed("not yet"))
                } else {
                    Ok(())
                }
            }
        })
    };
    let router = system.router();
    router
        .subscribe(
            Subscribe::durable("failing")
                .to(["MODEL_PROMOTED"])
                .policy(quick_retry(3)),
            failing,
        )
        .unwrap();
    router
        .subscribe(
            Subscribe::durable("good").to(["MODEL_PROMOTED"]),
            good.noting(),
        )
        .unwrap();
    router
        .subscribe(
            Subscribe::live("live").to(["MODEL_PROMOTED"]),
            good.noting(),
        )
        .unwrap();
    router
        .publish(Publish::new("MODEL_PROMOTED", r#"{"config_key":"a"}"#))
        .unwrap()
        .wait()
        .unwrap();
    until("the failed delivery recovered", || {
        calls.load(Ordering::SeqCst) == 2
    });
    until("no letter is left", || {
        system.dead_letters().count().unwrap() == 0
    });
    let all = LetterFilter {
        states: vec![LetterState::Recovered],
        limit: 10,
        ..LetterFilter::default()
    };
    until("it is kept as recovered", || {
        system.dead_letters().list(all.clone()).unwrap().len() == 1
    });
    system.close();
    assert_eq!(good.count(), 2);
}

fn attempts_that_are_used_up_leave_a_dead_letter_until_an_operator_retries(world: &World) {
    let system = world.process();
    let calls = Arc::new(AtomicUsize::new(0));
    let failing = {
        let calls = Arc::clone(&calls);
        Function::blocking(move |_| {
            if calls.fetch_add(1, Ordering::SeqCst) < 3 {
                Err(NotDone::failed("broken"))
            } else {
                Ok(())
            }
        })
    };
    system
        .router()
        .subscribe(
            Subscribe::live("fragile")
                .to(["MODEL_PROMOTED"])
                .policy(quick_retry(3)),
            failing,
        )
        .unwrap();
    support::publish(&system, "MODEL_PROMOTED", "{}");
    until("three attempts make it dead", || {
        letters(&system, &[LetterState::Dead]).len() == 1
    });
    let letters = letters(&system, &[LetterState::Dead]);
    assert_eq!(
        (letters[0].attempts, letters[0].error.as_str()),
        (3, "broken")
    );
    let acted = system.dead_letters().retry(&letters, "test").unwrap();
    assert_eq!(acted.changed, 1);
    until("the operator's retry succeeds", || {
        calls.load(Ordering::SeqCst) == 4
    });
    until("nothing is left", || {
        system.dead_letters().count().unwrap() == 0
    });
    system.close();
}

fn a_handler_may_publish_its_own_type_and_circles_end_at_the_depth_limit(world: &World) {
    let system = world.process();
    let runs = Arc::new(AtomicUsize::new(0));
    let (router, counted) = (system.router().clone(), Arc::clone(&runs));
    let echo = Function::asynchronous(move |context| {
        let (router, counted) = (router.clone(), Arc::clone(&counted));
        async move {
            counted.fetch_add(1, Ordering::SeqCst);
            let again = Publish::new("TRAINING_PROGRESS", context.event().payload.as_str());
            match router.publish(again.wait_handlers(Duration::from_secs(5))) {
                Ok(publishing) => publishing.await.map(drop).map_err(NotDone::from),
                Err(refused) => Err(NotDone::Dead(refused.to_string())),
            }
        }
    });
    system
        .router()
        .subscribe(Subscribe::live("echo").to(["TRAINING_PROGRESS"]), echo)
        .unwrap();
    support::publish(&system, "TRAINING_PROGRESS", "{}");
    until("the circle ends", || {
        letters(&system, &[LetterState::Dead]).len() == 1
    });
    assert_eq!(runs.load(Ordering::SeqCst), 65);
    system.close();
}

fn a_key_is_confirmed_by_success_only_and_shared_by_the_processes_of_a_durable_name(world: &World) {
    // B5: dedup marked an event before it had succeeded, so its retry was a duplicate.
    let (one, two) = (world.process(), world.process());
    let calls = Arc::new(AtomicUsize::new(0));
    for system in [&one, &two] {
        let calls = Arc::clone(&calls);
        let function = Function::asynchronous(move |_| {
            let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                if first {
                    Err(NotDone::failed("transient"))
                } else {
                    Ok(())
                }
            }
        });
        let policy = Policy {
            dedup: Some(Dedup::by(["config_key"])),
            ..quick_retry(3)
        };
        system
            .router()
            .subscribe(
                Subscribe::durable("once")
                    .to(["TRAINING_COMPLETED"])
                    .policy(policy),
                function,
            )
            .unwrap();
    }
    publish(&one, 1);
    until("the retry runs", || calls.load(Ordering::SeqCst) == 2);
    publish(&two, 20);
    let id = one.store().subscriptions().wait().unwrap()[0].id;
    until("all are settled", || {
        let tallies = one.store().tallies().wait().unwrap();
        tallies
            .iter()
            .any(|tally| tally.subscription == id && tally.done == 21)
    });
    assert_eq!(
        calls.load(Ordering::SeqCst),
        2,
        "twenty were duplicates of the first"
    );
    one.close();
    two.close();
}

fn order_holds_per_key_although_an_event_is_retried_and_others_run_beside_it(world: &World) {
    let system = world.process();
    let seen = Seen::default();
    let (noted, failed) = (seen.clone(), Arc::new(AtomicUsize::new(0)));
    let function = Function::asynchronous(move |context| {
        let (noted, failed) = (noted.clone(), Arc::clone(&failed));
        async move {
            let event = context.event();
            let number = event.payload.fields()["number"].as_u64().unwrap_or(0);
            if number == 3 && failed.fetch_add(1, Ordering::SeqCst) < 2 {
                return Err(NotDone::failed("once more"));
            }
            noted.note(event);
            Ok(())
        }
    });
    let policy = Policy {
        concurrency: 4,
        ..quick_retry(3)
    };
    system
        .router()
        .subscribe(
            Subscribe::durable("ordered")
                .to(["TRAINING_COMPLETED"])
                .ordered_by_key()
                .policy(policy),
            function,
        )
        .unwrap();
    for number in 0..40 {
        let payload = format!("{{\"config_key\":\"k{}\",\"number\":{number}}}", number % 4);
        system
            .router()
            .publish(Publish::new("TRAINING_COMPLETED", payload))
            .unwrap()
            .wait()
            .unwrap();
    }
    until("all are handled", || seen.count() == 40);
    for key in ["k0", "k1", "k2", "k3"] {
        let order = seen.of_key(key);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(order, sorted, "events of {key} ran out of order");
    }
    system.close();
}
