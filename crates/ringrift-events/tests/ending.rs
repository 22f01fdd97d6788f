//! Ending, pausing, going on: what a subscription held is handed over, and calls stop when they are
//! told to.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that fails"
)]

#[macro_use]
mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringrift_events::clock::{Clock, SystemClock};
use ringrift_events::handler::{Dedup, Function, NotDone, Policy, Rate};
use ringrift_events::router::{Publish, Subscribe};
use ringrift_events::store::subscriptions::SubscriptionId;
use ringrift_events::system::System;
use support::{Gate, Seen, World, publish, publish_numbers, quick_retry, until};

over_both_stores! {
    a_shutdown_with_claims_in_hand_hands_them_back_and_loses_nothing;
    a_shutdown_lets_what_runs_finish_within_its_grace;
    a_paused_subscription_waits_everywhere_and_goes_on_where_it_stood;
    no_call_starts_once_unsubscribe_has_returned;
    a_retry_that_waits_for_a_slot_does_not_run_after_the_end;
    what_never_started_goes_back_as_if_it_had_not_been_taken;
    a_system_that_ended_refuses_with_a_code;
}

fn tally_adds_up(system: &System, id: SubscriptionId, done: u64) -> bool {
    let tallies = system.store().tallies().wait().unwrap();
    let tally = tallies.iter().find(|tally| tally.subscription == id);
    tally.is_some_and(|tally| tally.done == done && tally.matching == done)
}

fn a_shutdown_with_claims_in_hand_hands_them_back_and_loses_nothing(world: &World) {
    let publisher = world.process();
    let (first, second) = (world.process(), world.process());
    let (gate, seen, begun) = (
        Gate::closed(),
        Seen::default(),
        Arc::new(AtomicUsize::new(0)),
    );
    let hanging = {
        let (gate, begun, seen) = (gate.clone(), Arc::clone(&begun), seen.clone());
        Function::asynchronous(move |context| {
            let (gate, begun, seen) = (gate.clone(), Arc::clone(&begun), seen.clone());
            async move {
                if begun.fetch_add(1, Ordering::SeqCst) >= 20 {
                    gate.passed().await;
                }
                seen.note(context.event());
                Ok(())
            }
        })
    };
    let policy = Policy {
        concurrency: 4,
        ..quick_retry(5)
    };
    let subscribe = || {
        Subscribe::durable("worker")
            .to(["MODEL_PROMOTED"])
            .policy(policy.clone())
    };
    let subscription = first.router().subscribe(subscribe(), hanging).unwrap();
    publish_numbers(&publisher, "MODEL_PROMOTED", 0..200);
    until("four hang and the rest waits", || {
        begun.load(Ordering::SeqCst) == 24 && seen.count() == 20
    });
    let clock = SystemClock;
    let from = clock.monotonic();
    first.shutdown(Duration::from_millis(200));
    let took = clock.monotonic() - from;
    assert!(took < Duration::from_secs(10), "shutdown took {took:?}");
    let rest = Seen::default();
    second
        .router()
        .subscribe(subscribe(), rest.noting())
        .unwrap();
    until("the other one handles the rest", || rest.count() >= 180);
    until("every delivery is accounted for", || {
        tally_adds_up(&second, subscription.id(), 200)
    });
    gate.open();
    second.close();
    publisher.close();
    let mut numbers: Vec<u64> = rest.numbers();
    numbers.extend(seen.numbers());
    numbers.sort_unstable();
    assert_eq!(numbers, (0..200).collect::<Vec<u64>>());
}

fn a_shutdown_lets_what_runs_finish_within_its_grace(world: &World) {
    let system = world.process();
    let (gate, seen) = (Gate::closed(), Seen::default());
    for subscribe in [Subscribe::durable("durable"), Subscribe::live("live")] {
        let subscribe = subscribe.to(["MODEL_PROMOTED"]);
        let router = system.router();
        router.subscribe(subscribe, gate.hanging(&seen)).unwrap();
    }
    publish(&system, "MODEL_PROMOTED", "{}");
    until("both run", || system.router().local_stats().running == 2);
    let ending = {
        let system = system.clone();
        std::thread::spawn(move || system.shutdown(Duration::from_secs(30)))
    };
    until("it is stopping", || system.router().is_stopped());
    gate.open();
    ending.join().unwrap();
    assert_eq!(seen.count(), 2, "a run was cut off within its grace");
    let next = world.process();
    let again = Seen::default();
    let subscribe = Subscribe::durable("durable").to(["MODEL_PROMOTED"]);
    next.router().subscribe(subscribe, again.noting()).unwrap();
    publish_numbers(&next, "MODEL_PROMOTED", 7..8);
    until("the next one came", || again.count() >= 1);
    next.close();
    assert_eq!(again.numbers(), [7], "what had finished came again");
}

fn a_paused_subscription_waits_everywhere_and_goes_on_where_it_stood(world: &World) {
    let (one, two) = (world.process(), world.process());
    let (seen, live) = (Seen::default(), Seen::default());
    let subscribe = || Subscribe::durable("worker").to(["MODEL_PROMOTED"]);
    let here = one.router().subscribe(subscribe(), seen.noting()).unwrap();
    let there = two.router().subscribe(subscribe(), seen.noting()).unwrap();
    let to_live = Subscribe::live("live").to(["MODEL_PROMOTED"]);
    two.router().subscribe(to_live, live.noting()).unwrap();
    publish_numbers(&one, "MODEL_PROMOTED", 0..10);
    until("ten are handled", || seen.count() == 10);
    assert!(there.pause("test").unwrap());
    assert!(
        !here.pause("test").unwrap(),
        "pausing twice changed something"
    );
    publish_numbers(&one, "MODEL_PROMOTED", 10..30);
    until("the live one goes on", || live.count() == 30);
    let paused = || {
        let all = one.store().subscriptions().wait().unwrap();
        all.into_iter().find(|state| state.id == here.id()).unwrap()
    };
    assert_eq!(paused().paused.map(|(_, by)| by).as_deref(), Some("test"));
    assert_eq!(seen.count(), 10, "a paused subscription was called");
    assert!(here.resume("test").unwrap());
    until("the rest is handled", || seen.count() == 30);
    one.close();
    two.close();
    assert_eq!(seen.distinct(), 30);
    assert_eq!(seen.count(), 30);
}

/// B4: a stopped handler was still called.
fn no_call_starts_once_unsubscribe_has_returned(world: &World) {
    let (system, other) = (world.process(), world.process());
    let over = Arc::new(AtomicBool::new(false));
    let publishers: Vec<_> = [&system, &other]
        .into_iter()
        .map(|publisher| {
            let (router, over) = (publisher.router().clone(), Arc::clone(&over));
            std::thread::spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let publish = Publish::new("MODEL_PROMOTED", "{}");
                    router.publish_blocking(publish).unwrap();
                }
            })
        })
        .collect();
    for round in 0..30 {
        let stopped = Arc::new(AtomicBool::new(false));
        let (calls, late) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counting = || {
            let (stopped, calls, late) =
                (Arc::clone(&stopped), Arc::clone(&calls), Arc::clone(&late));
            Function::immediate(move |_| {
                if stopped.load(Ordering::SeqCst) {
                    late.fetch_add(1, Ordering::SeqCst);
                }
                calls.fetch_add(1, Ordering::SeqCst);
                Ok(())
            })
        };
        let router = system.router();
        let durable = Subscribe::durable(format!("durable-{round}")).to(["MODEL_PROMOTED"]);
        let live = Subscribe::live("live").to(["MODEL_PROMOTED"]);
        let durable = router.subscribe(durable, counting()).unwrap();
        let live = router.subscribe(live, counting()).unwrap();
        until("calls come", || calls.load(Ordering::SeqCst) > 20);
        live.unsubscribe().unwrap();
        durable.unsubscribe().unwrap();
        stopped.store(true, Ordering::SeqCst);
        let before = calls.load(Ordering::SeqCst);
        let fence = publish(&other, "HOST_OFFLINE", "{}").seq;
        until("the poller has passed later events", || {
            system.router().polled_to() >= fence.unwrap_or_default()
        });
        assert_eq!(late.load(Ordering::SeqCst), 0, "round {round}");
        assert_eq!(calls.load(Ordering::SeqCst), before, "round {round}");
    }
    over.store(true, Ordering::SeqCst);
    for publisher in publishers {
        publisher.join().unwrap();
    }
    system.close();
    other.close();
}

fn a_retry_that_waits_for_a_slot_does_not_run_after_the_end(world: &World) {
    let system = world.process();
    let (gate, calls) = (Gate::closed(), Arc::new(AtomicUsize::new(0)));
    let function = {
        let (gate, calls) = (gate.clone(), Arc::clone(&calls));
        Function::asynchronous(move |context| {
            let (gate, calls) = (gate.clone(), Arc::clone(&calls));
            async move {
                calls.fetch_add(1, Ordering::SeqCst);
                if context.event().payload.fields()["number"].as_u64() == Some(0) {
                    return Err(NotDone::failed(
                        "comes again while the other holds the slot",
                    ));
                }
                gate.passed().await;
                Ok(())
            }
        })
    };
    let subscribe = Subscribe::live("one-slot")
        .to(["MODEL_PROMOTED"])
        .policy(quick_retry(100_000));
    let subscription = system.router().subscribe(subscribe, function).unwrap();
    publish_numbers(&system, "MODEL_PROMOTED", 0..2);
    let running = [ringrift_events::store::letters::LetterState::Running];
    until("one hangs and the other's retry waits for its slot", || {
        subscription.stats().running == 1 && support::letters(&system, &running).len() == 1
    });
    subscription.unsubscribe().unwrap();
    let before = calls.load(Ordering::SeqCst);
    gate.open();
    until("the hanging one ended", || {
        subscription.stats().running == 0
    });
    // The freed slot must go to nobody: give a retry that still waits the time to take it.
    let sentinel = Seen::default();
    let after = Subscribe::live("after").to(["HOST_OFFLINE"]);
    system.router().subscribe(after, sentinel.noting()).unwrap();
    for _ in 0..20 {
        publish(&system, "HOST_OFFLINE", "{}");
    }
    until("others go on", || sentinel.count() == 20);
    assert_eq!(
        calls.load(Ordering::SeqCst),
        before,
        "a stopped handler was called"
    );
    system.close();
}

fn a_system_that_ended_refuses_with_a_code(world: &World) {
    use ringrift_events::coded::Coded;
    let system = world.process();
    let seen = Seen::default();
    let subscribe = || Subscribe::live("live").to(["MODEL_PROMOTED"]);
    let subscription = system
        .router()
        .subscribe(subscribe(), seen.noting())
        .unwrap();
    system.close();
    system.close();
    let publish = Publish::new("MODEL_PROMOTED", "{}");
    let refused = system.router().publish(publish).map(drop);
    assert_eq!(refused.unwrap_err().code(), "ROUTER_STOPPED");
    let again = system.router().subscribe(subscribe(), seen.noting());
    assert_eq!(again.map(drop).unwrap_err().code(), "ROUTER_STOPPED");
    subscription.unsubscribe().unwrap();
}

fn what_never_started_goes_back_as_if_it_had_not_been_taken(world: &World) {
    let (first, second) = (world.process(), world.process());
    let begun = Seen::default();
    let subscribe = |policy| {
        Subscribe::durable("worker")
            .to(["MODEL_PROMOTED"])
            .policy(policy)
    };
    let one_an_hour = Policy {
        concurrency: 2,
        dedup: Some(Dedup::by(["number"])),
        rate: Some(Rate {
            events: 1,
            per: Duration::from_secs(3600),
        }),
        ..quick_retry(5)
    };
    let router = first.router();
    let subscription = router
        .subscribe(subscribe(one_an_hour.clone()), begun.noting())
        .unwrap();
    publish_numbers(&first, "MODEL_PROMOTED", 0..2);
    let taken = || {
        let states = first.store().subscriptions().wait().unwrap();
        let state = states.iter().find(|state| state.id == subscription.id());
        begun.count() == 1 && state.is_some_and(|state| state.cursor.0 >= 2)
    };
    until("the second is taken and waits for the rate", taken);
    subscription.unsubscribe().unwrap();
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&attempts);
    let counting = Function::asynchronous(move |context| {
        noted.lock().unwrap().push(context.attempt());
        async { Ok(()) }
    });
    let at_once = Policy {
        rate: None,
        ..one_an_hour
    };
    second
        .router()
        .subscribe(subscribe(at_once), counting)
        .unwrap();
    until("it runs elsewhere", || !attempts.lock().unwrap().is_empty());
    assert_eq!(*attempts.lock().unwrap(), [1], "no run was counted before");
    assert_eq!(begun.count(), 1, "the first process ran the other one only");
    first.close();
    second.close();
}
