//! The log of the SQLite store: appended once, read in order, by several handles.
#![cfg(test)]

mod sqlite_support;

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use ringrift_events::event::{EventType, Seq};
use ringrift_events::store::ErrorCode;
use ringrift_events::store::log::{Batch, Draft, Durability, EventRef, Log as _, Page, TypeSet};
use sqlite_support::{Home, batch, event};

#[test]
fn what_one_handle_appends_another_reads_in_order() {
    let home = Home::new();
    let (a, b) = (home.open(), home.open());
    let first = event(&a, "training_started", "{\"n\":1}");
    let second = event(&b, "training_completed", "{\"n\":2}");
    let one = a.append(batch([first.clone()]), None).wait().unwrap();
    let two = b.append(batch([second.clone()]), None).wait().unwrap();
    assert!(one[0].seq < two[0].seq);
    let (events, read_to) = a.read(Seq::START, TypeSet::All, 10).wait().unwrap();
    assert_eq!(read_to, two[0].seq);
    assert_eq!(
        events.iter().map(|e| e.id).collect::<Vec<_>>(),
        [first.id, second.id]
    );
    assert_eq!(events[1].origin, second.origin);
    assert_eq!(events[1].payload, second.payload);
    let only = TypeSet::only([EventType::from_canonical("training_completed")]);
    let (events, _) = b.read(Seq::START, only, 10).wait().unwrap();
    assert_eq!(events.len(), 1);
}

#[test]
fn an_id_appended_again_is_answered_with_the_original_place() {
    let home = Home::new();
    let store = home.open();
    let original = event(&store, "training_completed", "{}");
    let first = store
        .append(batch([original.clone()]), None)
        .wait()
        .unwrap();
    let again = store
        .append(batch([original.clone()]), None)
        .wait()
        .unwrap();
    assert_eq!(again[0].seq, first[0].seq);
    assert_eq!(again[0].duplicate_of, Some(original.id));
    assert_eq!(again[0].committed_at, first[0].committed_at);
    assert_eq!(store.head().wait().unwrap().seq, first[0].seq);
}

#[test]
fn an_idempotency_key_with_another_payload_is_refused_and_nothing_of_the_batch_stays() {
    let home = Home::new();
    let store = home.open();
    let keyed = |payload: &str| Draft {
        event: Arc::new(event(&store, "training_completed", payload)),
        idempotency_key: Some("run-7".to_owned()),
        call_site: None,
    };
    let plain = |drafts| Batch {
        drafts,
        durability: Durability::Process,
    };
    let first = store.append(plain(vec![keyed("{}")]), None).wait().unwrap();
    let same = store.append(plain(vec![keyed("{}")]), None).wait().unwrap();
    assert_eq!(same[0].seq, first[0].seq);
    assert!(same[0].duplicate_of.is_some());
    let other = Draft {
        event: Arc::new(event(&store, "training_started", "{}")),
        idempotency_key: None,
        call_site: None,
    };
    let error = store
        .append(plain(vec![other, keyed("{\"x\":1}")]), None)
        .wait()
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::IdempotencyConflict);
    assert!(!error.may_have_applied);
    assert_eq!(store.head().wait().unwrap().seq, first[0].seq);
    let found = store
        .find(EventRef::IdempotencyKey("run-7".to_owned()))
        .wait()
        .unwrap();
    assert_eq!(found[0].event.seq, Some(first[0].seq));
}

#[test]
fn follow_ups_run_once_each_in_commit_order() {
    let home = Home::new();
    let store = home.open();
    let (tell, told) = sync_channel(2_000);
    for _ in 0..1_000 {
        let tell = tell.clone();
        store
            .append(
                batch([event(&store, "training_completed", "{}")]),
                Some(Box::new(move |done| {
                    tell.send(done.as_ref().unwrap()[0].seq).unwrap();
                })),
            )
            .forget();
    }
    let seqs: Vec<Seq> = (0..1_000)
        .map(|_| told.recv_timeout(Duration::from_secs(20)).unwrap())
        .collect();
    assert!(seqs.windows(2).all(|two| two[0] < two[1]));
    assert!(told.try_recv().is_err());
}

#[test]
fn power_durability_answers_and_others_see_the_event() {
    let home = Home::new();
    let (a, b) = (home.open(), home.open());
    for n in 0..50 {
        let durability = if n % 3 == 0 {
            Durability::Power
        } else {
            Durability::Process
        };
        let drafts = vec![Draft {
            event: Arc::new(event(&a, "training_completed", "{}")),
            idempotency_key: None,
            call_site: None,
        }];
        let appended = a.append(Batch { drafts, durability }, None).wait().unwrap();
        assert!(
            b.head().wait().unwrap().seq >= appended[0].seq,
            "event {n} is hidden"
        );
    }
}

#[test]
fn pages_of_the_log_follow_each_other_in_both_directions() {
    let home = Home::new();
    let store = home.open();
    let parent = event(&store, "training_started", "{}");
    store.append(batch([parent.clone()]), None).wait().unwrap();
    let children: Vec<_> = (0..9)
        .map(|_| {
            let mut child = event(&store, "training_completed", "{}");
            child.parent_id = Some(parent.id);
            child.key = Some("k".to_owned());
            child
        })
        .collect();
    store.append(batch(children.clone()), None).wait().unwrap();
    assert_eq!(store.children(parent.id).wait().unwrap().len(), 9);
    let page = |from, newest_first| Page {
        key: Some("k".to_owned()),
        types: vec![EventType::from_canonical("training_completed")],
        since: Some(ringrift_events::clock::Time(0)),
        from,
        newest_first,
        limit: 4,
    };
    let newest = store.list(page(None, true)).wait().unwrap();
    assert_eq!(newest.len(), 4);
    assert_eq!(newest[0].event.id, children[8].id);
    let next = store.list(page(newest[3].event.seq, true)).wait().unwrap();
    assert_eq!(next[0].event.id, children[4].id);
    let oldest = store.list(page(None, false)).wait().unwrap();
    assert_eq!(oldest[0].event.id, children[0].id);
    let id = parent.id.to_string();
    let found = store
        .find(EventRef::Prefix(id[..18].to_owned()))
        .wait()
        .unwrap();
    assert!(found.iter().any(|one| one.event.id == parent.id));
}

#[test]
fn after_the_close_every_verb_says_so() {
    let home = Home::new();
    let store = home.open();
    let last = store.append(batch([event(&store, "training_completed", "{}")]), None);
    store.close();
    store.close();
    assert!(
        last.wait().is_ok(),
        "what was asked before the close is answered"
    );
    assert_eq!(store.head().wait().unwrap_err().code, ErrorCode::Closed);
    let late = store.append(batch([event(&store, "training_completed", "{}")]), None);
    assert_eq!(late.wait().unwrap_err().code, ErrorCode::Closed);
}
