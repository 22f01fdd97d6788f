//! What who follows the log finds in its tail, beside what stands in the log.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::*;
use crate::clock::{Clock as _, SystemClock, Time};
use crate::event::{EventId, EventType, Payload, TraceId};
use crate::store::log::{Batch, Draft, Durability, Log, TypeSet};
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::testing::{TestStore, until};
use crate::store::{Error, Store as _};

const WITHIN: Duration = Duration::from_secs(60);

/// One event in many shapes.
fn event(store: &SqliteStore, number: u64) -> Event {
    let id = EventId::new(&SystemClock);
    let has = |one: u64| number & one != 0;
    let text = "é".repeat(usize::try_from(number % 700).unwrap());
    Event {
        id,
        event_type: EventType::from_canonical(if has(1) { "a" } else { "b" }),
        payload: Payload::from_checked(format!("{{\"number\":{number},\"text\":\"{text}\"}}")),
        source: "test".to_owned(),
        key: has(2).then(|| format!("key {number}")),
        published_at: match has(4) {
            true => SystemClock.now(),
            false => Time(1_767_225_600_000_000),
        },
        trace_id: match has(8) {
            true => TraceId(id.0),
            false => TraceId(EventId::new(&SystemClock).0),
        },
        parent_id: has(16).then(|| EventId::new(&SystemClock)),
        depth: u16::try_from(number % 9).unwrap(),
        origin: store.process_id(),
        stage: has(32).then(|| "evaluation".to_owned()),
        seq: None,
    }
}

fn batch(events: Vec<Event>, durability: Durability) -> Batch {
    let draft = |event| Draft {
        event: Arc::new(event),
        idempotency_key: None,
        call_site: None,
    };
    Batch {
        drafts: events.into_iter().map(draft).collect(),
        durability,
    }
}

fn append(store: &SqliteStore, events: Vec<Event>) -> Result<(), Error> {
    let batch = batch(events, Durability::Process);
    store.append(batch, None).wait().map(drop)
}

fn follow(after: Seq, types: TypeSet) -> Follow {
    Follow {
        after,
        types,
        limit: 1_000,
        seen: 0,
        at_most: Duration::from_millis(100),
    }
}

/// What stands in the tail; the ring comes after the answer.
fn tailed(store: &SqliteStore, follow: &Follow, to: Seq) -> (Vec<Arc<Event>>, Seq) {
    let began = SystemClock.monotonic();
    loop {
        let read = read_tail(store.tail.as_ref().unwrap(), &store.presence, follow);
        if let Some(read) = read.filter(|(_, read_to)| *read_to == to) {
            return read;
        }
        assert!(SystemClock.monotonic().saturating_sub(began) < WITHIN);
        thread::yield_now();
    }
}

#[test]
fn the_tail_says_what_the_log_says() {
    let home = TestStore::new();
    let other = SqliteStore::open(home.options()).unwrap();
    let types = [
        TypeSet::All,
        TypeSet::only([EventType::from_canonical("a")]),
    ];
    for number in 0..200 {
        let after = home.store.head().wait().unwrap().seq;
        other.tail.as_ref().unwrap().awaited();
        let one = |one| event(&home.store, one);
        let events: Vec<_> = (number..number + 1 + number % 3).map(one).collect();
        let count = events.len() as i64;
        append(&home.store, events).unwrap();
        for types in &types {
            let logged = Log::read(&*other, after, types.clone(), 1_000)
                .wait()
                .unwrap();
            let fresh = tailed(&other, &follow(after, types.clone()), Seq(after.0 + count));
            assert_eq!(fresh, logged);
        }
    }
}

#[test]
fn what_was_undone_in_a_shared_transaction_is_in_no_tail() {
    let home = TestStore::new();
    let store = &home.store;
    store.tail.as_ref().unwrap().awaited();
    let first = event(store, 1);
    append(store, vec![first.clone()]).unwrap();
    let changed = Event {
        payload: Payload::from_checked("{\"other\":1}"),
        ..first
    };
    let mut after = Seq(1);
    for number in 0..50 {
        // One transaction: the writer has all three before it may write.
        let writing = store.line.writing.lock().unwrap();
        let held = store.append(batch(vec![event(store, 0)], Durability::Process), None);
        until(|| !store.line.writes.is_filled());
        let good = batch(vec![event(store, number)], Durability::Process);
        let bad = || batch(vec![event(store, 9), changed.clone()], Durability::Process);
        let later = batch(vec![event(store, number + 1)], Durability::Process);
        let asked = [good, bad(), later, bad()].map(|batch| store.append(batch, None));
        drop(writing);
        held.wait().unwrap();
        let [good, first, later, last] = asked.map(crate::store::Pending::wait);
        first.unwrap_err();
        last.unwrap_err();
        let to = later.unwrap()[0].seq;
        assert_eq!(
            to.0,
            good.unwrap()[0].seq.0 + 1,
            "nothing of what was refused"
        );
        let logged = Log::read(&**store, after, TypeSet::All, 1_000)
            .wait()
            .unwrap();
        assert_eq!(logged.1, to);
        assert_eq!(tailed(store, &follow(after, TypeSet::All), to), logged);
        after = to;
    }
}

/// Who follows the log sees all of it once and in order, whatever is appended by whom.
#[test]
fn who_follows_misses_nothing_of_what_many_append_in_many_ways() {
    let home = TestStore::new();
    let options = || home.options().with_foreign_poll(Duration::from_millis(20));
    let stores: Vec<_> = (0..3)
        .map(|_| SqliteStore::open(options()).unwrap())
        .collect();
    let follower = SqliteStore::open(options()).unwrap();
    let done = AtomicBool::new(false);
    let (followed, to) = thread::scope(|scope| {
        let following = scope.spawn(|| {
            let mut followed = Vec::new();
            let (mut next, mut last) = (follow(Seq::START, TypeSet::All), false);
            loop {
                let (news, read) = follower.follow(next.clone()).unwrap();
                next.seen = news;
                let is_new = read.is_some();
                if let Some((events, to)) = read {
                    followed.extend(events);
                    next.after = to;
                }
                if !is_new && std::mem::replace(&mut last, done.load(Ordering::SeqCst)) {
                    return (followed, next.after);
                }
            }
        });
        let appending: Vec<_> = (0..3_u64)
            .zip(&stores)
            .map(|(which, store)| scope.spawn(move || append_in_many_ways(store, which)))
            .collect();
        let foreign = scope.spawn(|| insert_as_others_do(&home));
        let mut ended: Vec<_> = appending.into_iter().map(|one| one.join()).collect();
        ended.push(foreign.join());
        done.store(true, Ordering::SeqCst);
        ended.into_iter().for_each(Result::unwrap);
        following.join().unwrap()
    });
    let mut logged = Vec::new();
    let mut after = Seq::START;
    loop {
        let (events, to) = Log::read(&*home.store, after, TypeSet::All, 1_000)
            .wait()
            .unwrap();
        if to == after {
            break;
        }
        logged.extend(events);
        after = to;
    }
    assert_eq!(to, after);
    assert!(followed == logged, "{} of {}", followed.len(), logged.len());
}

fn append_in_many_ways(store: &SqliteStore, which: u64) {
    for number in 0..300_u64 {
        let durability = match (which, number) {
            (0, 150..) => Durability::Power,
            _ => Durability::Process,
        };
        let one = || event(store, number);
        let events = match number % 10 {
            0 => (0..40).map(|_| one()).collect(),
            1 => (0..3).map(|_| one()).collect(),
            2 => vec![Event {
                payload: Payload::from_checked(format!("{{\"x\":\"{}\"}}", "x".repeat(9_000))),
                ..one()
            }],
            _ => vec![one()],
        };
        let batch = batch(events, durability);
        match number % 3 {
            0 => store.append(batch, None).forget(),
            1 => drop(store.append_here(batch, None).wait().unwrap()),
            _ => drop(store.append(batch, None).wait().unwrap()),
        }
        if number % 20 == 0 {
            thread::park_timeout(Duration::from_millis(3));
        }
    }
    append(store, vec![event(store, 7)]).unwrap();
}

/// Rows of a program that knows nothing of rings.
fn insert_as_others_do(home: &TestStore) {
    for _ in 0..30 {
        let row = format!(
            "INSERT INTO events (id, event_type, payload, source, published_at, created_at, \
             trace_id, depth, origin) \
             VALUES ('{}', 'a', '{{}}', 's', 0, '2026-01-01 00:00:00.000', '', 0, 1)",
            EventId::new(&SystemClock)
        );
        let ended = Command::new("sqlite3")
            .args(["-cmd", ".timeout 20000"])
            .arg(home.store.database())
            .arg(row)
            .output()
            .unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
}
