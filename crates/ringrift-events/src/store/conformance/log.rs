//! Appending.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::bench::Bench;
use super::harness::{Broken, Check, Harness, holds, promises, refused, same};
use crate::event::{Event, EventId, EventType, Payload, Seq};
use crate::store::ErrorCode;
use crate::store::log::{APPEND_DRAFTS_MAX, Batch, Draft, Durability, IDEMPOTENCY_WINDOW};

promises!(
    places_grow_and_the_head_follows,
    an_event_comes_back_as_it_was,
    the_same_id_again_is_a_duplicate,
    the_same_id_twice_in_a_batch_is_a_duplicate,
    the_same_id_with_other_content_appends_nothing,
    an_idempotency_key_names_the_original,
    an_idempotency_key_with_another_payload_appends_nothing,
    an_idempotency_key_is_forgotten_after_its_window,
    a_follow_up_runs_once_in_commit_order,
    a_follow_up_may_use_the_store,
    a_follow_up_learns_of_an_error,
    too_many_events_at_once_are_refused,
    concurrent_appends_lose_nothing,
);

/// How long a follow-up on another thread may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn places_grow_and_the_head_follows(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let mut all = one.publish(2)?;
    all.extend(two.publish(3)?);
    all.extend(one.publish(1)?);
    let mut sorted = all.clone();
    sorted.sort_unstable();
    sorted.dedup();
    same!(all, sorted, "places grow with every commit of any process");
    let head = two.store.head().wait()?;
    same!(Some(&head.seq), all.last(), "the head is the last place");
    let other = one.store.head().wait()?;
    same!(
        head.incarnation,
        other.incarnation,
        "one home has one incarnation"
    );
    Ok(())
}

fn an_event_comes_back_as_it_was(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let parent = bench.event("a", "{}");
    let mut event = bench.event(
        "b_type",
        "{ \"big\":9007199254740993,\n\"e\":1e400, \"u\":\"ü\" }",
    );
    event.key = Some("k".to_owned());
    event.parent_id = Some(parent.id);
    event.depth = 3;
    event.stage = Some("sync_complete".to_owned());
    let appended = bench.append(vec![parent, event.clone()])?;
    event.seq = Some(appended[1].seq);
    let (events, _) = bench
        .store
        .read(appended[0].seq, crate::store::log::TypeSet::All, 10)
        .wait()?;
    same!(events.len(), 1, "one event after the first");
    same!(
        *events[0],
        event,
        "every field comes back, the payload byte for byte"
    );
    Ok(())
}

fn the_same_id_again_is_a_duplicate(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let event = one.event("a", "{}");
    let first = one.append(vec![event.clone()])?;
    harness.clock().advance(Duration::from_secs(5));
    let again = two.append(vec![event.clone(), two.event("a", "{}")])?;
    same!(
        again[0].seq,
        first[0].seq,
        "a duplicate has the original's place"
    );
    same!(again[0].committed_at, first[0].committed_at, "and its time");
    same!(again[0].duplicate_of, Some(event.id), "and names it");
    same!(
        again[1].seq,
        first[0].seq.next(),
        "the rest is appended, without a gap"
    );
    Ok(())
}

fn the_same_id_twice_in_a_batch_is_a_duplicate(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let event = bench.event("a", "{}");
    let keyed = || (bench.event("a", "{}"), Some("key"));
    let drafts = vec![
        (event.clone(), None),
        (event.clone(), None),
        keyed(),
        keyed(),
    ];
    let appended = bench.append_drafts(drafts)?;
    same!(appended[1].seq, appended[0].seq, "the second is the first");
    same!(appended[1].duplicate_of, Some(event.id), "and says so");
    same!(
        appended[3].seq,
        appended[2].seq,
        "so it is by idempotency key"
    );
    same!(
        bench.store.head().wait()?.seq,
        appended[2].seq,
        "two were appended"
    );
    Ok(())
}

fn the_same_id_with_other_content_appends_nothing(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let original = one.keyed("a", "k");
    let first = one.append(vec![original.clone()])?;
    let with = |change: fn(&mut Event)| {
        let mut event = original.clone();
        change(&mut event);
        event
    };
    let others = [
        (
            with(|event| event.event_type = EventType::from_canonical("b")),
            "type is a, not b",
        ),
        (
            with(|event| event.payload = Payload::from_checked(r#"{"x":1}"#)),
            "payload is another",
        ),
        (with(|event| event.key = None), "key is \"k\", not none"),
    ];
    for (other, what) in others {
        let answer = two.append(vec![two.event("a", "{}"), other.clone()]);
        let Err(error) = answer else {
            return Err(Broken::new(format!(
                "answered as a duplicate, though its {what}"
            )));
        };
        same!(error.code, ErrorCode::IdempotencyConflict, "another event");
        let named = error.message.contains(&original.id.to_string());
        holds!(named && error.message.contains(what), "{what}: {error}");
        let within = vec![
            with(|event| event.id = EventId(uuid::Uuid::from_u128(7))),
            Event {
                id: EventId(uuid::Uuid::from_u128(7)),
                ..other
            },
        ];
        let code = refused(two.append(within))?;
        same!(code, ErrorCode::IdempotencyConflict, "within one batch too");
    }
    same!(two.store.head().wait()?.seq, first[0].seq, "all or nothing");
    let again = with(|event| {
        event.payload = Payload::from_checked("{ }");
        event.source = "somebody else".to_owned();
        event.published_at = crate::clock::Time(1);
    });
    let again = two.append(vec![again])?;
    same!(
        again[0].duplicate_of,
        Some(original.id),
        "who and when may differ"
    );
    Ok(())
}

fn an_idempotency_key_names_the_original(harness: &dyn Harness) -> Check {
    let (one, two) = (Bench::new(harness), Bench::new(harness));
    let event = one.event("a", r#"{"x":1}"#);
    let first = one.append_drafts(vec![(event.clone(), Some("order-7"))])?;
    let again = two.append_drafts(vec![(two.event("a", r#"{"x":1}"#), Some("order-7"))])?;
    same!(again[0].seq, first[0].seq, "the key leads to the original");
    same!(again[0].duplicate_of, Some(event.id), "and names it");
    same!(
        two.store.head().wait()?.seq,
        first[0].seq,
        "nothing was appended"
    );
    Ok(())
}

fn an_idempotency_key_with_another_payload_appends_nothing(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let first = bench.append_drafts(vec![(bench.event("a", r#"{"x":1}"#), Some("order-7"))])?;
    for other in [
        bench.event("a", r#"{"x":2}"#),
        bench.event("b", r#"{"x":1}"#),
    ] {
        let drafts = vec![(bench.event("a", "{}"), None), (other, Some("order-7"))];
        let code = refused(bench.append_drafts(drafts))?;
        same!(
            code,
            ErrorCode::IdempotencyConflict,
            "another payload or type"
        );
        same!(
            bench.store.head().wait()?.seq,
            first[0].seq,
            "all or nothing"
        );
    }
    let within = vec![
        (bench.event("a", r#"{"x":1}"#), Some("order-8")),
        (bench.event("a", r#"{"x":2}"#), Some("order-8")),
    ];
    let code = refused(bench.append_drafts(within))?;
    same!(code, ErrorCode::IdempotencyConflict, "within one batch too");
    let free = bench.append_drafts(vec![(bench.event("a", "{}"), Some("order-8"))])?;
    same!(
        free[0].duplicate_of,
        None,
        "a refused batch leaves no key behind"
    );
    Ok(())
}

fn an_idempotency_key_is_forgotten_after_its_window(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let publish = |payload: &str| bench.append_drafts(vec![(bench.event("a", payload), Some("k"))]);
    let first = publish("{}")?;
    harness
        .clock()
        .advance(IDEMPOTENCY_WINDOW - Duration::from_secs(1));
    let within = publish("{}")?;
    same!(
        within[0].seq,
        first[0].seq,
        "known to the end of its window"
    );
    harness.clock().advance(Duration::from_secs(2));
    let after = publish(r#"{"other":true}"#)?;
    same!(
        after[0].duplicate_of,
        None,
        "a hit does not stretch the window"
    );
    let again = publish(r#"{"other":true}"#)?;
    same!(again[0].seq, after[0].seq, "a new window began");
    Ok(())
}

fn drafts(bench: &Bench, count: usize) -> Batch {
    let draft = |_| Draft {
        event: Arc::new(bench.event("a", "{}")),
        idempotency_key: None,
        call_site: None,
    };
    Batch {
        drafts: (0..count).map(draft).collect(),
        durability: Durability::Process,
    }
}

fn a_follow_up_runs_once_in_commit_order(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let (sender, receiver) = sync_channel::<Seq>(64);
    for _ in 0..50 {
        let sender = sender.clone();
        let then = move |result: &Result<Vec<crate::store::log::Appended>, _>| {
            let seq = result.as_ref().map_or(Seq(-1), |appended| appended[0].seq);
            sender.send(seq).ok();
        };
        bench
            .store
            .append(drafts(&bench, 1), Some(Box::new(then)))
            .forget();
    }
    drop(sender);
    let mut seen = Vec::new();
    for _ in 0..50 {
        let seq = receiver.recv_timeout(PATIENCE);
        seen.push(seq.map_err(|_| Broken::new("a follow-up did not run"))?);
    }
    let sorted = seen.is_sorted() && seen[0] > Seq::START;
    holds!(sorted, "follow-ups run in commit order: {seen:?}");
    holds!(receiver.recv_timeout(PATIENCE).is_err(), "each runs once");
    Ok(())
}

fn a_follow_up_may_use_the_store(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let (sender, receiver) = sync_channel::<Seq>(1);
    let inner = Arc::clone(&bench.store);
    let second = drafts(&bench, 1);
    let then = move |_: &Result<Vec<crate::store::log::Appended>, _>| {
        // It must not wait for its own answer: it only asks.
        let told = move |result: &Result<Vec<crate::store::log::Appended>, _>| {
            let seq = result.as_ref().map_or(Seq(-1), |appended| appended[0].seq);
            sender.send(seq).ok();
        };
        inner.append(second, Some(Box::new(told))).forget();
    };
    let first = bench
        .store
        .append(drafts(&bench, 1), Some(Box::new(then)))
        .wait()?;
    let seq = receiver.recv_timeout(PATIENCE);
    let seq = seq.map_err(|_| Broken::new("an append from a follow-up hangs"))?;
    same!(seq, first[0].seq.next(), "it was appended after the first");
    Ok(())
}

fn a_follow_up_learns_of_an_error(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let (sender, receiver) = sync_channel::<Option<ErrorCode>>(1);
    let then = move |result: &Result<_, crate::store::Error>| {
        sender
            .send(result.as_ref().err().map(|error| error.code))
            .ok();
    };
    bench.store.close();
    let result = bench
        .store
        .append(drafts(&bench, 1), Some(Box::new(then)))
        .wait();
    same!(
        refused(result)?,
        ErrorCode::Closed,
        "a closed handle refuses"
    );
    let told = receiver.recv_timeout(PATIENCE);
    let told = told.map_err(|_| Broken::new("the follow-up of an error did not run"))?;
    same!(told, Some(ErrorCode::Closed), "and its follow-up is told");
    Ok(())
}

fn too_many_events_at_once_are_refused(harness: &dyn Harness) -> Check {
    let bench = Bench::new(harness);
    let batch = drafts(&bench, APPEND_DRAFTS_MAX + 1);
    let code = refused(bench.store.append(batch, None).wait())?;
    same!(code, ErrorCode::WrongState, "a batch has a bound");
    same!(
        bench.store.head().wait()?.seq,
        Seq::START,
        "nothing was appended"
    );
    Ok(())
}

fn concurrent_appends_lose_nothing(harness: &dyn Harness) -> Check {
    let benches = [Bench::new(harness), Bench::new(harness)];
    let all: Mutex<Vec<Seq>> = Mutex::default();
    std::thread::scope(|scope| {
        for bench in benches.iter().chain(&benches) {
            scope.spawn(|| {
                for _ in 0..25 {
                    if let Ok(places) = bench.publish(2) {
                        all.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .extend(places);
                    }
                }
            });
        }
    });
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.sort_unstable();
    all.dedup();
    same!(all.len(), 200, "every append has places of its own");
    let (events, _) = benches[0]
        .store
        .read(Seq::START, crate::store::log::TypeSet::All, 1_000)
        .wait()?;
    same!(events.len(), 200, "and all are in the log");
    Ok(())
}
