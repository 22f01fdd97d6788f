//! Appends that go along, between stores of one home.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use super::*;
use crate::clock::{Clock as _, SystemClock};
use crate::event::{Event, EventId, EventType, Payload, TraceId};
use crate::store::ErrorCode;
use crate::store::log::{EventRef, Log as _};
use crate::store::over::Over;
use crate::store::pages::Guard;
use crate::store::sqlite::connection::{Use, connect};
use crate::store::sqlite::keeper::keeper;
use crate::store::sqlite::testing::{TestStore, until};

fn draft(origin: ProcessId) -> Draft {
    let id = EventId::new(&SystemClock);
    let event = Event {
        id,
        event_type: EventType::from_canonical("training_completed"),
        payload: Payload::from_checked("{\"config_key\":\"square8_2p\"}"),
        source: "test".to_owned(),
        key: None,
        published_at: SystemClock.now(),
        trace_id: TraceId(id.0),
        parent_id: None,
        depth: 0,
        origin,
        stage: None,
        seq: None,
    };
    Draft {
        event: Arc::new(event),
        idempotency_key: None,
        call_site: Some(CallSite::here()),
    }
}

#[test]
fn an_event_arrives_as_it_left_and_rubbish_is_none() {
    let plain = draft(ProcessId::new(&SystemClock));
    let full = Event {
        key: Some(String::new()),
        parent_id: Some(EventId::new(&SystemClock)),
        depth: 7,
        stage: Some("évaluation".to_owned()),
        source: "ü".repeat(100),
        ..Event::clone(&plain.event)
    };
    let full = Draft {
        event: Arc::new(full),
        idempotency_key: None,
        call_site: None,
    };
    for (draft, durability) in [(&plain, Durability::Process), (&full, Durability::Power)] {
        let bytes = Ticket::pack(draft, durability, 42);
        let ticket = Ticket::unpack(&bytes).unwrap();
        assert_eq!(
            format!("{:?}", (draft, durability, 42)),
            format!(
                "{:?}",
                (&ticket.draft, ticket.durability, ticket.process_row)
            )
        );
        for end in 0..bytes.len() {
            assert!(Ticket::unpack(&bytes[..end]).is_none());
        }
        assert!(Ticket::unpack(&[&bytes[..], &[0]].concat()).is_none());
        let mut no_text = bytes.clone();
        let at = bytes.windows(8).position(|eight| eight == b"training");
        no_text[at.unwrap()] = 0xFF;
        assert!(Ticket::unpack(&no_text).is_none());
    }
}

/// Callers that wait, of as many processes as stores, two threads each.
const STORES: usize = 4;
const EACH: usize = 300;

#[test]
fn what_goes_along_is_there_once_in_order_and_as_its_own_process_published_it() {
    let home = TestStore::new();
    let stores: Vec<_> = (0..STORES)
        .map(|_| SqliteStore::open(home.options()).unwrap())
        .collect();
    let told: Vec<_> = stores
        .iter()
        .map(|_| Arc::new(Mutex::new(Vec::new())))
        .collect();
    let published: Vec<_> = thread::scope(|scope| {
        let publishing: Vec<_> = (0..STORES * 2)
            .map(|thread| {
                let (store, told) = (&stores[thread % STORES], &told[thread % STORES]);
                scope.spawn(move || publish(store, told))
            })
            .collect();
        let ended = publishing.into_iter().flat_map(|one| one.join().unwrap());
        ended.collect()
    });
    for told in &told {
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 2 * EACH);
        assert!(told.is_sorted(), "answers out of commit order");
    }
    let mut places: Vec<_> = published.iter().map(|(seq, ..)| seq.0).collect();
    places.sort_unstable();
    assert!(places.into_iter().eq(1..=(2 * STORES * EACH) as i64));
    for (seq, id, origin) in &published {
        let logged = home.store.find(EventRef::Id(*id)).wait().unwrap().remove(0);
        assert_eq!(logged.event.seq, Some(*seq));
        assert_eq!(logged.event.origin, *origin);
    }
    let commits = |store: &Arc<SqliteStore>| store.line.commits.load(Ordering::Acquire);
    let commits: u64 = stores.iter().map(commits).sum();
    assert!(
        commits < (2 * STORES * EACH) as u64,
        "nobody went along: {commits} commits"
    );
}

fn publish(store: &SqliteStore, told: &Arc<Mutex<Vec<Seq>>>) -> Vec<(Seq, EventId, ProcessId)> {
    let one = |_| {
        let draft = draft(store.process_id());
        let (id, told) = (draft.event.id, Arc::clone(told));
        let batch = Batch {
            drafts: vec![draft],
            durability: Durability::Process,
        };
        let then: OnCommit = Box::new(move |appended| {
            told.lock().unwrap().push(appended.as_ref().unwrap()[0].seq);
        });
        let appended = store.append_here(batch, Some(then)).wait().unwrap();
        assert_eq!(appended[0].duplicate_of, None);
        (appended[0].seq, id, store.process_id())
    };
    (0..EACH).map(one).collect()
}

fn one(store: &SqliteStore) -> Batch {
    Batch {
        drafts: vec![draft(store.process_id())],
        durability: Durability::Process,
    }
}

#[test]
fn what_the_writer_has_taken_stands_before_what_rides_later() {
    let home = TestStore::new();
    let store = SqliteStore::open(home.options()).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _over = Over(&stop);
        // Another process that writes all the time.
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                home.store
                    .append_here(one(&home.store), None)
                    .wait()
                    .unwrap();
            }
        });
        let mut before = 0;
        for _ in 0..100 {
            let rides = store.line.writing.lock().unwrap();
            let first = store.append(one(&store), None);
            until(|| !store.line.writes.is_filled());
            drop(rides);
            let second = store.append_here(one(&store), None).wait().unwrap();
            before += u32::from(first.wait().unwrap()[0].seq < second[0].seq);
        }
        assert_eq!(before, 100);
    });
}

fn turn_of(home: &TestStore) -> Guard {
    let turnstile = home.store.presence.turnstile().unwrap();
    turnstile.enter(Duration::from_secs(1))
}

/// Who writes takes a ride.
fn taken(rides: &Rides) -> Passenger {
    let mut taken = None;
    until(|| {
        taken = rides.take().pop();
        taken.is_some()
    });
    taken.unwrap()
}

fn wait_for(is_so: &AtomicBool) {
    until(|| is_so.load(Ordering::SeqCst));
}

/// A driver on a database thread, which is in a transaction: takes one ride, waits, commits, and says
/// what `ends` says. It is ready for a ride when this returns, since nobody waits long for one.
fn drive(
    home: &TestStore,
    waits: &Arc<AtomicBool>,
    ends: fn(&Line, Box<dyn Request>),
) -> Arc<AtomicBool> {
    let (store, waits) = (Arc::clone(&home.store), Arc::clone(waits));
    let (is_ready, is_done) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let (ready, done) = (Arc::clone(&is_ready), Arc::clone(&is_done));
    let drives = move || {
        let conn = connect(&store.database, Use::Write, Duration::from_secs(5)).unwrap();
        conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        let rides = store.presence.rides().unwrap();
        ready.store(true, Ordering::SeqCst);
        let mut along = Along::of(taken(&rides)).unwrap();
        until(|| !waits.load(Ordering::SeqCst));
        let tx = Tx::new(&conn, SystemClock.now(), store.process_id(), 1);
        along.run(&tx).unwrap();
        conn.execute_batch("COMMIT").unwrap();
        ends(&store.line, along);
        drop(conn);
        drop(rides);
        // Not the last handle: the test's thread has one until it knows.
        drop(store);
        done.store(true, Ordering::SeqCst);
    };
    keeper().unwrap().spawn("rr-db-test", drives).unwrap();
    wait_for(&is_ready);
    is_done
}

#[test]
fn a_failure_after_a_ride_that_nobody_answered_leaves_the_outcome_open() {
    let home = TestStore::new();
    let mut options = home.options();
    options.busy_timeout = Duration::from_millis(300);
    let store = SqliteStore::open(options).unwrap();
    let turn = turn_of(&home);
    let stopped = Arc::new(AtomicBool::new(true));
    let is_done = drive(&home, &stopped, Line::answer);
    let batch = one(&store);
    let id = batch.drafts[0].event.id;
    let error = store.append_here(batch, None).wait().unwrap_err();
    assert_eq!(
        (error.code, error.may_have_applied),
        (ErrorCode::Busy, true)
    );
    stopped.store(false, Ordering::SeqCst);
    wait_for(&is_done);
    assert_eq!(store.find(EventRef::Id(id)).wait().unwrap().len(), 1);
    drop(turn);
}

#[test]
fn who_rode_with_a_commit_whose_outcome_is_unknown_is_told_no_duplicate() {
    let home = TestStore::new();
    let store = SqliteStore::open(home.options()).unwrap();
    let turn = turn_of(&home);
    let is_done = drive(&home, &Arc::default(), |line, along| {
        line.refuse(
            along,
            Error::new(ErrorCode::Io, "a sync failed").unknown_outcome(),
        );
    });
    let appended = store.append_here(one(&store), None).wait().unwrap();
    assert_eq!(appended[0].duplicate_of, None);
    wait_for(&is_done);
    drop(turn);
}
