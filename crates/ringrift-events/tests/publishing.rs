//! What a publish answers: at the bound, after its handlers' first outcome, inside a handler, and
//! for a duplicate.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that fails"
)]

#[macro_use]
mod support;

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use ringrift_events::clock::{Clock, SystemClock};
use ringrift_events::coded::Coded;
use ringrift_events::event::{KEY_BYTES_MAX, SOURCE_BYTES_MAX};
use ringrift_events::handler::{Function, NotDone};
use ringrift_events::router::{Publish, Router, Subscribe};
use ringrift_events::system::System;
use support::{Gate, Seen, World, publish, quick_retry, until};

over_both_stores! {
    waiting_for_handlers_ends_with_their_first_outcome;
    waiting_for_a_slow_handler_ends_at_its_limit_and_names_it;
    each_event_of_a_batch_waits_for_its_own_handlers;
    inside_a_handler_nobody_waits_for_handlers;
    unsubscribing_ends_the_wait_for_events_that_were_not_begun;
    a_duplicate_names_its_original_and_is_delivered_to_nobody;
    a_batch_with_one_bad_event_publishes_none;
    what_a_handler_publishes_carries_its_trace;
    a_text_that_is_too_long_for_a_row_is_refused;
}

fn waited(payload: &str, at_most: Duration) -> Publish {
    Publish::new("MODEL_PROMOTED", payload).wait_handlers(at_most)
}

fn subscribe(system: &System, name: &str, function: Function) {
    let subscribe = Subscribe::live(name)
        .to(["MODEL_PROMOTED"])
        .policy(quick_retry(100_000));
    system.router().subscribe(subscribe, function).unwrap();
}

fn waiting_for_handlers_ends_with_their_first_outcome(world: &World) {
    let system = world.process();
    let (seen, hanging) = (Seen::default(), Gate::closed());
    subscribe(&system, "good", seen.noting());
    subscribe(
        &system,
        "failing",
        Function::blocking(|_| Err(NotDone::failed("and will be retried for long"))),
    );
    // Another process's handlers are not waited for.
    let other = world.process();
    subscribe(&other, "elsewhere", hanging.hanging(&Seen::default()));
    let clock = SystemClock;
    let from = clock.monotonic();
    for _ in 0..20 {
        let before = seen.count();
        let publishing = system.router().publish(waited("{}", support::PATIENCE));
        let receipt = publishing.unwrap().wait().unwrap();
        assert_eq!(receipt.matched.len(), 2);
        assert!(receipt.running.is_empty());
        assert_eq!(
            seen.count(),
            before + 1,
            "it answered before its handler ended"
        );
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let publishing = system.router().publish(waited("{}", support::PATIENCE));
        let receipt = publishing.unwrap().await.unwrap();
        assert!(receipt.running.is_empty());
    });
    assert_eq!(seen.count(), 21);
    assert!(clock.monotonic() - from < support::PATIENCE);
    hanging.open();
    system.close();
    other.close();
}

fn waiting_for_a_slow_handler_ends_at_its_limit_and_names_it(world: &World) {
    let system = world.process();
    let (gate, seen, quick) = (Gate::closed(), Seen::default(), Seen::default());
    subscribe(&system, "slow", gate.hanging(&seen));
    subscribe(&system, "quick", quick.noting());
    let limit = Duration::from_millis(300);
    let publishing = system.router().publish(waited("{}", limit)).unwrap();
    let receipt = publishing.wait().unwrap();
    let running: Vec<&str> = receipt.running.iter().map(|name| &**name).collect();
    assert_eq!(running, ["slow"]);
    assert_eq!(quick.count(), 1);
    // Its neighbour in the queue has not even begun.
    let publishing = system.router().publish(waited("{}", limit)).unwrap();
    assert_eq!(publishing.wait().unwrap().running.len(), 1);
    gate.open();
    until("the slow one ends", || seen.count() == 2);
    system.close();
}

fn each_event_of_a_batch_waits_for_its_own_handlers(world: &World) {
    let system = world.process();
    let (gate, seen) = (Gate::closed(), Seen::default());
    subscribe(&system, "slow", gate.hanging(&seen));
    let limit = Duration::from_millis(300);
    let batch = vec![
        Publish::new("MODEL_PROMOTED", "{}"),
        waited("{}", limit),
        Publish::new("MODEL_PROMOTED", "{}"),
    ];
    let receipts = system.router().publish_many(batch).unwrap().wait().unwrap();
    let running: Vec<usize> = receipts.iter().map(|one| one.running.len()).collect();
    assert_eq!(running, [0, 1, 0], "only the second one was to wait");
    gate.open();
    until("all end", || seen.count() == 3);
    system.close();
}

fn inside_a_handler_nobody_waits_for_handlers(world: &World) {
    let system = world.process();
    let receipts = Arc::new(Mutex::new(Vec::new()));
    let (router, kept) = (system.router().clone(), Arc::clone(&receipts));
    let gate = Gate::closed();
    subscribe(&system, "hung", gate.hanging(&Seen::default()));
    let asynchronous = Function::asynchronous(move |_| {
        let (router, kept) = (router.clone(), Arc::clone(&kept));
        async move {
            let receipt = router.publish(waited("{}", support::PATIENCE))?.await?;
            kept.lock().unwrap().push(receipt);
            Ok(())
        }
    });
    let (router, kept) = (system.router().clone(), Arc::clone(&receipts));
    let blocking = Function::blocking(move |_| {
        let receipt = router.publish(waited("{}", support::PATIENCE))?.wait()?;
        kept.lock().unwrap().push(receipt);
        Ok(())
    });
    for (name, function) in [("async", asynchronous), ("plain", blocking)] {
        let subscribe = Subscribe::live(name).to(["HOST_OFFLINE"]);
        system.router().subscribe(subscribe, function).unwrap();
    }
    let clock = SystemClock;
    let from = clock.monotonic();
    publish(&system, "HOST_OFFLINE", "{}");
    until("both have published", || {
        receipts.lock().unwrap().len() == 2
    });
    assert!(clock.monotonic() - from < support::PATIENCE / 2);
    for receipt in receipts.lock().unwrap().iter() {
        assert!(receipt.seq.is_some() && receipt.running.is_empty());
    }
    gate.open();
    system.close();
}

fn unsubscribing_ends_the_wait_for_events_that_were_not_begun(world: &World) {
    let system = world.process();
    let gate = Gate::closed();
    let to = Subscribe::live("hung").to(["MODEL_PROMOTED"]);
    let hung = system
        .router()
        .subscribe(to, gate.hanging(&Seen::default()))
        .unwrap();
    publish(&system, "MODEL_PROMOTED", "{}");
    until("it hangs", || system.router().local_stats().running == 1);
    let waiting = {
        let publishing = system.router().publish(waited("{}", support::PATIENCE));
        std::thread::spawn(move || publishing.unwrap().wait().unwrap())
    };
    hung.unsubscribe().unwrap();
    until("the wait is over", || waiting.is_finished());
    waiting.join().unwrap();
    gate.open();
    system.close();
}

fn a_duplicate_names_its_original_and_is_delivered_to_nobody(world: &World) {
    let (system, other) = (world.process(), world.process());
    let seen = Seen::default();
    subscribe(&system, "live", seen.noting());
    let keyed = |payload: &str| Publish::new("MODEL_PROMOTED", payload).idempotency_key("once");
    let router = system.router();
    let first = router.publish_blocking(keyed("{\"number\":1}")).unwrap();
    let again = router.publish_blocking(keyed("{\"number\":1}")).unwrap();
    let there = other
        .router()
        .publish_blocking(keyed("{\"number\":1}"))
        .unwrap();
    for duplicate in [&again, &there] {
        assert_eq!(duplicate.duplicate_of, Some(first.id));
        assert_eq!(duplicate.seq, first.seq);
        assert!(duplicate.matched.is_empty());
    }
    let differs = router.publish_blocking(keyed("{\"number\":2}"));
    assert_eq!(differs.unwrap_err().code(), "IDEMPOTENCY_CONFLICT");
    let same_id = Publish::new("MODEL_PROMOTED", "{\"number\":1}").id(first.id);
    let same_id = router.publish_blocking(same_id).unwrap();
    assert_eq!(same_id.duplicate_of, Some(first.id));
    let another = Publish::new("HOST_OFFLINE", "{\"number\":1}").id(first.id);
    let refused = router.publish_blocking(another).unwrap_err();
    assert_eq!(refused.code(), "IDEMPOTENCY_CONFLICT");
    let text = refused.to_string();
    assert!(text.contains(&first.id.to_string()), "{text}");
    assert!(
        text.contains("its type is model_promoted, not host_offline"),
        "{text}"
    );
    let waits = router.publish(keyed("{\"number\":1}").wait_handlers(support::PATIENCE));
    assert!(waits.unwrap().wait().unwrap().running.is_empty());
    support::publish_numbers(&system, "MODEL_PROMOTED", 7..8);
    until("the next one came", || seen.numbers().contains(&7));
    system.close();
    other.close();
    assert_eq!(seen.numbers(), [1, 7]);
}

fn a_batch_with_one_bad_event_publishes_none(world: &World) {
    let system = world.process();
    let seen = Seen::default();
    subscribe(&system, "live", seen.noting());
    let numbered = |number: u64| {
        let payload = format!("{{\"number\":{number}}}");
        Publish::new("MODEL_PROMOTED", payload).idempotency_key(format!("k{}", number % 5))
    };
    let all: Vec<Publish> = (0..5).map(numbered).collect();
    let receipts = system.router().publish_many(all).unwrap().wait().unwrap();
    let seqs: Vec<_> = receipts.iter().map(|receipt| receipt.seq).collect();
    assert!(seqs.is_sorted() && receipts.len() == 5);
    // The third has the key of another payload: the store refuses it, and with it all.
    let fresh = Publish::new("MODEL_PROMOTED", "{\"number\":50}");
    let mixed = vec![fresh.clone(), numbered(0), numbered(7), fresh];
    let refused = system.router().publish_many(mixed).unwrap().wait();
    assert_eq!(refused.unwrap_err().code(), "IDEMPOTENCY_CONFLICT");
    support::publish_numbers(&system, "MODEL_PROMOTED", 9..10);
    until("the next one came", || seen.numbers().contains(&9));
    system.close();
    assert_eq!(seen.numbers(), [0, 1, 2, 3, 4, 9]);
}

fn what_a_handler_publishes_carries_its_trace(world: &World) {
    let (system, other) = (world.process(), world.process());
    let traces = Arc::new(Mutex::new(Vec::new()));
    let router = other.router().clone();
    let passing = Function::asynchronous(move |_| {
        let router = router.clone();
        async move {
            router.publish(Publish::new("HOST_OFFLINE", "{}"))?.await?;
            Ok(())
        }
    });
    let first = Subscribe::durable("passing").to(["MODEL_PROMOTED"]);
    other.router().subscribe(first, passing).unwrap();
    let kept = Arc::clone(&traces);
    let noting = Function::blocking(move |context| {
        kept.lock().unwrap().push(Arc::clone(context.event()));
        Ok(())
    });
    let last = Subscribe::live("last").to(["HOST_OFFLINE"]);
    system.router().subscribe(last, noting).unwrap();
    let root = publish(&system, "MODEL_PROMOTED", "{}");
    until("it came back", || traces.lock().unwrap().len() == 1);
    system.close();
    other.close();
    let event = Arc::clone(&traces.lock().unwrap()[0]);
    assert_eq!(event.parent_id, Some(root.id));
    assert_eq!(event.trace_id.0, root.id.0);
    assert_eq!(event.depth, 1);
}

/// A process whose bound on publishes is in use: a batch of ten thousand is on its way.
fn full(world: &World) -> (System, std::thread::JoinHandle<()>) {
    let system = world.process_with(|settings| settings.publish.in_flight_max = 100);
    let text = "x".repeat(1_000);
    let batch: Vec<Publish> = (0..10_000)
        .map(|_| Publish::new("MODEL_PROMOTED", format!("{{\"text\":\"{text}\"}}")))
        .collect();
    let publishing = system.router().publish_many(batch).unwrap();
    let waiting = std::thread::spawn(move || {
        assert_eq!(publishing.wait().unwrap().len(), 10_000);
    });
    (system, waiting)
}

fn head(system: &System) -> i64 {
    system.store().head().wait().unwrap().seq.0
}

#[test]
fn at_the_bound_publish_refuses_and_its_other_forms_wait_for_room() {
    let world = World::sqlite();
    let (system, waiting) = full(&world);
    let router: &Router = system.router();
    let small = || Publish::new("MODEL_PROMOTED", "{}");
    let refused = router.publish(small()).map(drop).unwrap_err();
    assert_eq!(refused.code(), "PUB_BACKPRESSURE");
    assert!(refused.is_retryable());
    assert!(!refused.may_have_applied());
    let blocking = router.publish_blocking(small()).unwrap();
    assert!(blocking.seq.unwrap().0 > 10_000, "it did not wait for room");
    waiting.join().unwrap();
    assert_eq!(head(&system), 10_001);
    system.close();

    let world = World::sqlite();
    let (system, waiting) = full(&world);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let router = system.router();
        let dropped = tokio::time::timeout(Duration::ZERO, router.publish_async(small())).await;
        assert!(dropped.is_err(), "it did not wait for room");
        let receipt = router.publish_async(small()).await.unwrap();
        assert!(receipt.seq.unwrap().0 > 10_000, "it did not wait for room");
    });
    waiting.join().unwrap();
    assert_eq!(head(&system), 10_001, "what was dropped was published");
    assert_eq!(system.router().local_stats().in_flight, 0);
    system.close();
}

fn a_text_that_is_too_long_for_a_row_is_refused(world: &World) {
    let system = world.process();
    let router = system.router();
    let long = "k".repeat(KEY_BYTES_MAX + 1);
    let config_key = |key: &str| format!("{{\"config_key\":\"{key}\"}}");
    let plain = || Publish::new("MODEL_PROMOTED", "{}");
    for (publish, what) in [
        (plain().key(&long), "its key has 1025 bytes (at most 1024)"),
        (
            Publish::new("MODEL_PROMOTED", config_key(&long)),
            "its key has 1025 bytes (at most 1024)",
        ),
        (
            plain().idempotency_key(&long),
            "its idempotency key has 1025 bytes (at most 1024)",
        ),
        (
            plain().source(&long[..SOURCE_BYTES_MAX + 1]),
            "its source has 201 bytes (at most 200)",
        ),
    ] {
        let refused = router.publish_blocking(publish).unwrap_err();
        assert_eq!(refused.code(), "PUB_REJECTED");
        let text = refused.to_string();
        assert!(text.contains(what) && text.len() < 200, "{text}");
    }
    let longest = Publish::new("MODEL_PROMOTED", config_key(&long[1..]))
        .source(&long[..SOURCE_BYTES_MAX])
        .idempotency_key(&long[1..]);
    assert_eq!(router.publish_blocking(longest).unwrap().seq.unwrap().0, 1);
    system.close();
}
