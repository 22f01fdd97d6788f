//! Once, to everybody who asked, whatever the spelling, the content and the company.

use ringrift_events::catalog::Catalog;
use ringrift_events::handler::{Function, NotDone};
use ringrift_events::router::{Publish, Subscribe};
use ringrift_events::store::letters::LetterState;

use crate::support::{Seen, World, letters, publish, publish_numbers, quick_retry, until};

over_both_stores! {
    a_failure_leaves_one_letter_and_its_neighbours_are_called_once;
    starting_a_handler_again_and_again_leaves_one_subscription;
    what_repeats_honestly_is_delivered_each_time;
    a_payload_crosses_processes_byte_for_byte_and_no_event_comes_back_to_its_publisher;
    a_failed_event_is_not_skipped_by_the_later_ones;
}

/// B1: for 323 of 352 types the upper-case and lower-case spellings were different topics.
#[test]
fn every_type_is_one_topic_in_both_spellings() {
    let catalog = Catalog::ringrift();
    let types = catalog.types();
    assert!(types.len() >= 354, "the catalog shrank to {}", types.len());
    for entry in types {
        let value = entry.event_type.as_str();
        let upper = catalog.resolve(&entry.event_type.constant());
        let lower = catalog.resolve(value);
        assert_eq!(upper.expect(value).event_type, entry.event_type);
        assert_eq!(lower.expect(value).event_type, entry.event_type);
    }
}

/// B2: every publish of a known type was delivered twice; a failing handler left two dead letters.
fn a_failure_leaves_one_letter_and_its_neighbours_are_called_once(world: &World) {
    let (system, other) = (world.process(), world.process());
    let (live, durable, beside) = (Seen::default(), Seen::default(), Seen::default());
    let broken = || Function::asynchronous(|_| async { Err(NotDone::failed("broken")) });
    let router = system.router();
    let to = ["MODEL_PROMOTED"];
    let subscribe = |subscribe: Subscribe, function| {
        let subscribe = subscribe.to(to).policy(quick_retry(1));
        router.subscribe(subscribe, function).unwrap()
    };
    subscribe(Subscribe::live("broken"), broken());
    subscribe(Subscribe::durable("broken-for-good"), broken());
    subscribe(Subscribe::live("live"), live.noting());
    subscribe(Subscribe::durable("durable"), durable.noting());
    other
        .router()
        .subscribe(Subscribe::live("beside").to(to), beside.noting())
        .unwrap();
    let id = publish(&system, "MODEL_PROMOTED", r#"{"config_key":"a"}"#).id;
    publish_numbers(&other, "MODEL_PROMOTED", 0..20);
    until("everybody saw all events", || {
        [&live, &durable, &beside]
            .iter()
            .all(|seen| seen.count() >= 21)
    });
    until("each failure is a letter", || {
        letters(&system, &[LetterState::Dead]).len() >= 42
    });
    let dead = letters(&system, &[LetterState::Dead]);
    let of_first = dead.iter().filter(|letter| letter.event.id == id);
    assert_eq!(
        of_first.count(),
        2,
        "one letter for each handler that failed"
    );
    system.close();
    other.close();
    for seen in [live, durable, beside] {
        assert_eq!((seen.count(), seen.distinct()), (21, 21));
    }
    assert_eq!(dead.len(), 42);
}

/// B4: restarting a handler added a subscription each time; a stopped handler was still called.
fn starting_a_handler_again_and_again_leaves_one_subscription(world: &World) {
    let (system, publisher) = (world.process(), world.process());
    let (live, durable) = (Seen::default(), Seen::default());
    let (as_live, as_durable) = (live.noting(), durable.noting());
    let begin = || {
        let live = Subscribe::live("live").to(["MODEL_PROMOTED"]);
        let durable = Subscribe::durable("durable").to(["MODEL_PROMOTED"]);
        let live = system.router().subscribe(live, as_live.clone()).unwrap();
        let durable = system
            .router()
            .subscribe(durable, as_durable.clone())
            .unwrap();
        (live, durable)
    };
    for _ in 0..20 {
        let (live, durable) = begin();
        live.unsubscribe().unwrap();
        durable.unsubscribe().unwrap();
    }
    let stopped = publish(&system, "MODEL_PROMOTED", r#"{"config_key":"a"}"#);
    assert!(
        stopped.matched.is_empty(),
        "a stopped handler still matched"
    );
    let standing = begin();
    assert_eq!(begin().0.id(), standing.0.id());
    assert_eq!(begin().1.id(), standing.1.id());
    assert_eq!(system.router().local_stats().subscriptions, 2);
    publish_numbers(&publisher, "MODEL_PROMOTED", 1..11);
    until("all came", || live.count() >= 10 && durable.count() >= 11);
    system.close();
    publisher.close();
    assert_eq!(live.count(), 10, "a live one gets what it was there for");
    assert_eq!(durable.count(), 11, "a durable one what it missed, too");
}

/// B7: hashes of the content dropped honest repeats: three `HOST_OFFLINE` became one, heartbeats
/// from two nodes became one.
fn what_repeats_honestly_is_delivered_each_time(world: &World) {
    let (one, two) = (world.process(), world.process());
    let (live, durable) = (Seen::default(), Seen::default());
    let to = ["HOST_OFFLINE"];
    one.router()
        .subscribe(Subscribe::live("live").to(to), live.noting())
        .unwrap();
    one.router()
        .subscribe(Subscribe::durable("durable").to(to), durable.noting())
        .unwrap();
    for _ in 0..3 {
        publish(&one, "HOST_OFFLINE", r#"{"host":"n7"}"#);
        publish(&two, "HOST_OFFLINE", r#"{"host":"n7"}"#);
    }
    until("all six came to both", || {
        live.count() >= 6 && durable.count() >= 6
    });
    one.close();
    two.close();
    assert_eq!((live.distinct(), durable.distinct()), (6, 6));
    assert_eq!((live.count(), durable.count()), (6, 6));
}

/// B8: a round trip through JSON changed the hash, and a process's own event came back to it.
fn a_payload_crosses_processes_byte_for_byte_and_no_event_comes_back_to_its_publisher(
    world: &World,
) {
    let (one, two) = (world.process(), world.process());
    let (here, there) = (Seen::default(), Seen::default());
    for (system, seen) in [(&one, &here), (&two, &there)] {
        system
            .router()
            .subscribe(Subscribe::live("all").to(["*"]), seen.noting())
            .unwrap();
    }
    let payloads = [
        r#"{"10":1,"2":[1,[2,3]],"big":9007199254740993,"f":1.0,"e":1e3}"#,
        "{ \"b\" : 1,\n\t\"a\" : \"\\u00e4 \u{e4} \\/\" }",
        r#"{"z":-0.0,"same":1,"nested":{"k":{"k":{}}},"huge":123456789012345678901234567890}"#,
    ];
    for payload in payloads {
        publish(&one, "HOST_OFFLINE", payload);
    }
    until("both saw all three", || {
        here.count() >= 3 && there.count() >= 3
    });
    // What would come back had time to: the others' answer is younger.
    publish(&two, "HOST_ONLINE", "{}");
    until("the last one is seen by both", || {
        here.count() >= 4 && there.count() >= 4
    });
    one.close();
    two.close();
    for seen in [here, there] {
        let texts: Vec<String> = seen.all().into_iter().map(|sight| sight.payload).collect();
        assert_eq!(texts[..3], payloads);
        assert_eq!(texts.len(), 4);
    }
}

/// B9: after a handler's error later events moved the cursor on, and the failed one was skipped for
/// ever.
fn a_failed_event_is_not_skipped_by_the_later_ones(world: &World) {
    let publisher = world.process();
    let seen = Seen::default();
    let refusing = |refuses: bool| {
        let seen = seen.clone();
        Function::asynchronous(move |context| {
            let seen = seen.clone();
            async move {
                let number = context.event().payload.fields()["number"].as_u64();
                if refuses && number == Some(3) {
                    return Err(NotDone::failed("not this one, not here"));
                }
                seen.note(context.event());
                Ok(())
            }
        })
    };
    let first = world.process();
    let subscribe = || {
        Subscribe::durable("careful")
            .to(["MODEL_PROMOTED"])
            .policy(quick_retry(100_000))
    };
    first
        .router()
        .subscribe(subscribe(), refusing(true))
        .unwrap();
    publish_numbers(&publisher, "MODEL_PROMOTED", 0..10);
    until("the others were handled", || seen.count() == 9);
    publish_numbers(&publisher, "MODEL_PROMOTED", 10..15);
    until("later ones were handled too", || seen.count() == 14);
    assert!(!seen.numbers().contains(&3));
    first.close();
    let second = world.process();
    second
        .router()
        .subscribe(subscribe(), refusing(false))
        .unwrap();
    until("the failed one is handled after all", || seen.count() >= 15);
    second.close();
    publisher.close();
    let mut numbers = seen.numbers();
    assert_eq!(numbers.last(), Some(&3));
    numbers.sort_unstable();
    assert_eq!(numbers, (0..15).collect::<Vec<u64>>());
}

/// B16: a payload that could not be serialised aborted the delivery to the remaining handlers.
#[test]
fn what_is_no_payload_is_refused_at_the_door_and_reaches_nobody() {
    let world = World::new();
    let system = world.process();
    let seen = Seen::default();
    system
        .router()
        .subscribe(Subscribe::live("all").to(["*"]), seen.noting())
        .unwrap();
    let before = system.store().head().wait().unwrap().seq;
    let bad: [&[u8]; 5] = [b"[1]", b"{\"a\":", b"{\"a\":\"\xff\"}", b"", b"null"];
    for payload in bad {
        let refused = system
            .router()
            .publish(Publish::new("HOST_OFFLINE", payload))
            .map(drop);
        assert!(refused.is_err(), "{payload:?} passed the door");
    }
    let batch = vec![
        Publish::new("HOST_OFFLINE", "{}"),
        Publish::new("HOST_OFFLINE", "[]"),
    ];
    assert!(system.router().publish_many(batch).map(drop).is_err());
    assert_eq!(system.store().head().wait().unwrap().seq, before);
    publish(&system, "HOST_OFFLINE", "{}");
    until("the good one came", || seen.count() >= 1);
    system.close();
    assert_eq!(seen.count(), 1);
}
