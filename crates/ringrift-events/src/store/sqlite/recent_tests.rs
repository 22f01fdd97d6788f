use std::sync::Barrier;

use rusqlite::Connection;

use super::*;
use crate::event::EventType;
use crate::store::Pending;
use crate::store::deliveries::Want;
use crate::store::log::{Batch, Draft, Durability};
use crate::store::sqlite::connection::{Use, connect};
use crate::store::sqlite::request::{Reading, Request as _};
use crate::store::sqlite::testing::TestDatabase;
use crate::store::sqlite::verb::{Question as _, Tx, Verb as _};
use crate::store::sqlite::verbs::append::Append;
use crate::store::sqlite::verbs::deliveries::{ClaimNow, Scan};
use crate::store::sqlite::verbs::subscriptions::Subscribe;
use crate::store::sqlite::verbs::upkeep::RestoreQueue;
use crate::store::subscriptions::{Definition, Kind, Start};

/// Two subscriptions of one process at the beginning of one log.
struct Two {
    db: TestDatabase,
    recent: Arc<Recent>,
    first: SubscriptionId,
    second: SubscriptionId,
}

impl Two {
    /// Both have looked, in vain.
    fn new() -> Two {
        let db = TestDatabase::new();
        db.join();
        let [first, second] = ["first", "second"].map(|name| {
            let definition = Definition {
                name: name.to_owned(),
                kind: Kind::Durable,
                types: TypeSet::All,
                filter: None,
                start: Start::Now,
                dedup: Vec::new(),
                ordered_by_key: false,
            };
            let replace = false;
            db.write(Subscribe {
                definition,
                replace,
            })
            .unwrap()
            .id
        });
        let two = Two {
            db,
            recent: Arc::default(),
            first,
            second,
        };
        for id in [first, second] {
            assert!(two.look(id, 1).is_empty());
        }
        two
    }

    fn drafts(&self, count: usize) -> Append {
        let draft = |_| Draft {
            event: Arc::new(self.db.event("a", "{}")),
            idempotency_key: None,
            call_site: None,
        };
        Append::new(Batch {
            drafts: (0..count).map(draft).collect(),
            durability: Durability::Process,
        })
    }

    fn publish(&self, count: usize) {
        self.db.write(self.drafts(count)).unwrap();
    }

    fn scan(&self, id: SubscriptionId, max: usize, recent: &Arc<Recent>) -> Scan {
        Scan {
            want: Want {
                subscription: id,
                max,
                likely: false,
                grows: None,
            },
            from: None,
            rows_max: 1_000,
            presence: None,
            recent: Arc::clone(recent),
        }
    }

    fn look(&self, id: SubscriptionId, max: usize) -> Vec<Arc<Event>> {
        let found = self.db.read(self.scan(id, max, &self.recent)).unwrap();
        Arc::unwrap_or_clone(found.unwrap().events)
    }

    /// What a look finds that knows nothing.
    fn read(&self, id: SubscriptionId, max: usize) -> Vec<Arc<Event>> {
        let found = self.db.read(self.scan(id, max, &Arc::default())).unwrap();
        Arc::unwrap_or_clone(found.unwrap().events)
    }

    fn run(&self, sql: &str) {
        self.db.conn().execute_batch(sql).unwrap();
    }
}

/// How many of `mine` are the very events of `theirs`.
fn shared(mine: &[Arc<Event>], theirs: &[Arc<Event>]) -> usize {
    let pairs = mine.iter().zip(theirs);
    pairs
        .filter(|(mine, their)| Arc::ptr_eq(mine, their))
        .count()
}

#[test]
fn an_event_is_made_once_for_all_who_read_it() {
    let two = Two::new();
    two.publish(6);
    let first = two.look(two.first, 4);
    assert_eq!(first.len(), 4);
    assert_eq!(shared(&two.look(two.second, 3), &first), 3);
    // It goes on in the log where what is known ends, and that serves the first.
    let second = two.look(two.second, 10);
    assert_eq!(second, two.read(two.second, 10));
    assert_eq!(shared(&second, &first), 4);
    assert_eq!(shared(&two.look(two.first, 10), &second), 6);
}

#[test]
fn who_reads_alone_keeps_nothing() {
    let two = Two::new();
    let alone = Arc::new(Recent::default());
    two.publish(3);
    for _ in 0..2 {
        let found = two.db.read(two.scan(two.first, 3, &alone)).unwrap();
        assert_eq!(found.unwrap().events.len(), 3);
    }
    assert!(alone.lock().parts.is_empty());
}

#[test]
fn what_happens_to_rows_is_seen_by_who_comes_later() {
    for change in [
        "DELETE FROM events WHERE seq = 2",
        "DELETE FROM events",
        "UPDATE events SET payload = '{\"other\":1}' WHERE seq = 3",
        "DELETE FROM cross_process_events WHERE id = 2",
        "DELETE FROM cross_process_events WHERE id >= 3; DELETE FROM events WHERE seq = 5",
        "INSERT INTO home VALUES (1, 7, '', 0, 0, '');
         DROP TRIGGER events_count_delete; DELETE FROM events WHERE seq = 2",
    ] {
        let two = Two::new();
        two.publish(5);
        let before = two.look(two.first, 5);
        two.run(change);
        assert_eq!(two.look(two.second, 5), two.read(two.second, 5), "{change}");
        assert_ne!(two.look(two.second, 5), before, "{change}");
    }
}

#[test]
fn what_was_hidden_while_it_was_read_comes_back_with_its_restoring() {
    let two = Two::new();
    two.publish(5);
    two.run("DELETE FROM cross_process_events WHERE id = 3");
    assert_eq!(two.look(two.first, 5).len(), 4);
    assert_eq!(two.look(two.second, 5).len(), 4);
    let (by, last) = (String::new(), Seq::END);
    two.db.write(RestoreQueue { by, last }).unwrap();
    assert_eq!(two.look(two.first, 5).len(), 5);
    assert_eq!(two.look(two.second, 5), two.read(two.second, 5));
}

#[test]
fn what_a_transaction_may_undo_is_not_kept() {
    let two = Two::new();
    two.run("BEGIN IMMEDIATE");
    let tx = two.db.tx();
    two.drafts(3).run(&tx).unwrap();
    let scan = two.scan(two.first, 3, &two.recent);
    ClaimNow { scan }.run(&tx).unwrap();
    two.run("ROLLBACK");
    two.publish(3);
    let found = two.look(two.second, 3);
    assert_eq!((found.len(), &found), (3, &two.read(two.second, 3)));
}

#[test]
fn a_transaction_takes_nothing_that_was_committed_after_it_began() {
    let two = Two::new();
    two.publish(2);
    let later: Connection =
        connect(&two.db.path(), Use::Read, std::time::Duration::from_secs(5)).unwrap();
    later.execute_batch("BEGIN; SELECT * FROM events").unwrap();
    two.publish(2);
    assert_eq!(two.look(two.first, 9).len(), 4);
    let now = two.db.tx();
    let tx = Tx::new(&later, now.now, now.process, now.process_row);
    let found = two.scan(two.second, 9, &two.recent).run(&tx).unwrap();
    assert_eq!(found.unwrap().events.len(), 2);
}

#[test]
fn what_is_kept_has_a_bound_and_the_oldest_goes_first() {
    let two = Two::new();
    let known = Ground::of(two.db.conn(), Seq::START).unwrap().known;
    let large = "x".repeat(BYTES_MAX / 10);
    let event = |seq: i64| {
        let mut event = two.db.event("a", &large);
        event.seq = Some(Seq(seq));
        vec![Arc::new(event)]
    };
    for seq in 1..=20 {
        let part = (Seq(seq - 1), Seq(seq));
        two.recent.keep(part, &TypeSet::All, known, event(seq));
    }
    let is_known = |after: i64| two.recent.after(Seq(after), &TypeSet::All, known).is_some();
    assert!(two.recent.lock().bytes <= BYTES_MAX);
    assert_eq!((0..20).filter(|after| is_known(*after)).count(), 9);
    assert!(is_known(19) && !is_known(0));
    two.recent.forget();
    assert!(!is_known(19));
    assert_eq!(two.recent.lock().bytes, 0);
    for seq in 1..=100 {
        let part = (Seq(seq - 1), Seq(seq));
        two.recent.keep(part, &TypeSet::All, known, Vec::new());
    }
    assert_eq!((0..100).filter(|after| is_known(*after)).count(), PARTS_MAX);
}

#[test]
fn a_part_serves_only_those_whose_types_it_has() {
    let two = Two::new();
    let known = Ground::of(two.db.conn(), Seq::START).unwrap().known;
    let types =
        |names: &[&str]| TypeSet::only(names.iter().map(|name| EventType::from_canonical(name)));
    let part = (Seq::START, Seq(9));
    two.recent
        .keep(part, &types(&["a", "b"]), known, Vec::new());
    let serves = |types: TypeSet| two.recent.after(Seq(3), &types, known).is_some();
    assert!(serves(types(&["a", "b"])) && serves(types(&["b"])));
    assert!(!serves(types(&["a", "c"])) && !serves(TypeSet::All));
}

#[test]
fn who_reads_what_another_thread_reads_waits_for_it() {
    let two = Two::new();
    let known = Ground::of(two.db.conn(), Seq::START).unwrap().known;
    for _ in 0..20 {
        two.recent.forget();
        let (recent, both) = (&two.recent, Barrier::new(2));
        let turn = recent.turn(Seq(10), &TypeSet::All);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| {
                both.wait();
                let _turn = recent.turn(Seq(12), &TypeSet::All);
                recent.after(Seq(12), &TypeSet::All, known).is_some()
            });
            both.wait();
            std::thread::yield_now();
            let part = (Seq(10), Seq(20));
            recent.keep(part, &TypeSet::All, known, Vec::new());
            drop(turn);
            assert!(waits.join().unwrap());
        });
    }
    // Elsewhere in the log nobody waits, and nobody waits for ever.
    let _one = two.recent.turn(Seq(1_000_000), &TypeSet::All);
    let _two = two.recent.turn(Seq(10), &TypeSet::All);
    let _again = two.recent.turn(Seq(11), &TypeSet::All);
}

#[test]
fn a_reader_gives_way_to_one_a_little_behind_it_and_not_for_ever() {
    let two = Two::new();
    let at = |id: SubscriptionId, place: i64| {
        two.recent.note(id, Seq(place));
        Reading::new(two.scan(id, 1, &two.recent), Pending::channel().0)
    };
    let mut here = at(two.first, 1_000_000);
    for other in [1_000_000, 1_000_001, 1_000_000 - NEAR - 1] {
        assert!(!here.gives_way(&at(two.second, other)), "{other}");
    }
    let unknown = Reading::new(
        two.scan(two.second, 1, &Arc::default()),
        Pending::channel().0,
    );
    assert!(!here.gives_way(&unknown));
    let behind = at(two.second, 1_000_000 - NEAR);
    let gave_way = (0..100).filter(|_| here.gives_way(&behind));
    assert_eq!(gave_way.count(), 32);
}
