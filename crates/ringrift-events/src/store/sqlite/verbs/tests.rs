//! What only this store can break: its ledger, its kept positions, its bounded steps.

use std::time::Duration;

use super::append::Append;
use super::deliveries::{ClaimNow, HandBack, Scan, SettleClaim, TakeClaim, Taken};
use super::subscriptions::{Subscribe, Unsubscribe};
use super::upkeep::{ClearQueue, CountPending, RestoreQueue, Retain, SaveMark, Tallies};
use crate::event::Seq;
use crate::store::ErrorCode;
use crate::store::deliveries::{Claim, Grows, Settle, Want};
use crate::store::log::{Appended, Batch, Draft, Durability, TypeSet};
use crate::store::sqlite::testing::TestDatabase;
use crate::store::subscriptions::{Definition, Kind, Start, SubscriptionId};
use crate::store::upkeep::{SweepRules, Tally};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct Stage {
    db: TestDatabase,
    id: SubscriptionId,
}

impl Stage {
    fn new() -> Stage {
        let db = TestDatabase::new();
        db.join();
        let definition = Definition {
            name: "d".to_owned(),
            kind: Kind::Durable,
            types: TypeSet::All,
            filter: None,
            start: Start::Now,
            dedup: Vec::new(),
            ordered_by_key: false,
        };
        let subscribe = Subscribe {
            definition,
            replace: false,
        };
        let id = db.write(subscribe).unwrap().id;
        Stage { db, id }
    }

    fn draft(&self) -> Draft {
        Draft {
            event: std::sync::Arc::new(self.db.event("a", "{}")),
            idempotency_key: None,
            call_site: None,
        }
    }

    fn append(&self, drafts: Vec<Draft>) -> Vec<Appended> {
        let durability = Durability::Process;
        self.db
            .write(Append::new(Batch { drafts, durability }))
            .unwrap()
    }

    fn publish(&self, count: usize) -> Vec<Seq> {
        let appended = self.append((0..count).map(|_| self.draft()).collect());
        appended.iter().map(|one| one.seq).collect()
    }

    fn claim(&self, max: usize) -> Option<Claim> {
        self.claim_as(Want {
            subscription: self.id,
            max,
            likely: false,
            grows: None,
        })
    }

    fn claim_as(&self, want: Want) -> Option<Claim> {
        loop {
            let scan = Scan {
                want,
                from: None,
                rows_max: 100,
                presence: None,
                recent: std::sync::Arc::default(),
            };
            let found = self.db.read(scan).unwrap()?;
            if found.events.is_empty() && !found.ownerless {
                return None;
            }
            match self.db.write(TakeClaim { found, want }).unwrap() {
                Taken::Claim(claim) => return Some(claim),
                Taken::Nothing | Taken::Passed(_) => return None,
                Taken::Again => {}
            }
        }
    }

    fn claim_now(&self, max: usize, rows_max: usize) -> Taken {
        let scan = Scan {
            want: Want {
                subscription: self.id,
                max,
                likely: true,
                grows: None,
            },
            from: None,
            rows_max,
            presence: None,
            recent: std::sync::Arc::default(),
        };
        self.db.write(ClaimNow { scan }).unwrap()
    }

    fn settle(&self, claim: &Claim, settled_to: Seq) -> bool {
        let settle = Settle {
            token: claim.token,
            settled_to,
            results: Vec::new(),
            done: 1,
        };
        self.db.write(SettleClaim { settle }).unwrap()
    }

    fn number(&self, sql: &str) -> i64 {
        self.db.conn().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn tally(&self) -> Tally {
        self.db.read(Tallies).unwrap()[0]
    }

    fn pending(&self) -> u64 {
        self.db.read(CountPending).unwrap()
    }

    fn retain(&self, rules: SweepRules) -> (crate::store::upkeep::Swept, Seq) {
        let from = Seq::START;
        self.db.write(Retain { rules, from }).unwrap()
    }
}

fn rules() -> SweepRules {
    SweepRules {
        poison_deaths: 2,
        keep_settled: 7 * DAY,
        keep_facts: 30 * DAY,
        keep_deleted: 7 * DAY,
        keep_orphaned: 30 * DAY,
        keep_orphaned_letters: DAY,
        keep_pages: DAY,
        log_events_max: 1_000_000,
        log_bytes_max: 1 << 40,
        rows_max: 1_000,
    }
}

#[test]
fn what_another_process_may_have_appended_for_this_one_is_no_duplicate() {
    let log = Stage::new();
    let (first, second) = (log.draft(), log.draft());
    log.append(vec![first.clone()]);
    let batch = Batch {
        drafts: vec![first.clone(), second],
        durability: Durability::Process,
    };
    let mut repeated = Append::new(batch);
    repeated.repeat();
    let appended = log.db.write(repeated).unwrap();
    let told: Vec<_> = appended
        .iter()
        .map(|one| (one.seq.0, one.duplicate_of))
        .collect();
    assert_eq!(told, [(1, None), (2, None)]);
    let again = log.append(vec![first.clone()]);
    assert_eq!(again[0].duplicate_of, Some(first.event.id));
}

#[test]
fn a_claim_in_one_step_takes_what_is_there_and_says_whether_there_is_more() {
    let stage = Stage::new();
    stage.publish(5);
    let taken: Vec<(usize, bool)> = (0..3)
        .map_while(|_| match stage.claim_now(2, 100) {
            Taken::Claim(claim) => Some((claim.events.len(), claim.more)),
            Taken::Again | Taken::Nothing | Taken::Passed(_) => None,
        })
        .collect();
    assert_eq!(taken, [(2, true), (2, true), (1, false)]);
    let Taken::Passed(found) = stage.claim_now(2, 100) else {
        panic!("nothing is left to take");
    };
    assert!(found.events.is_empty() && !found.more);
    // With the write lock in hand it reads no further than it was told to.
    stage.publish(5);
    let Taken::Claim(claim) = stage.claim_now(10, 3) else {
        panic!("five are there");
    };
    assert_eq!((claim.events.len(), claim.more), (3, true));
}

fn last(claim: &Claim) -> Seq {
    claim.events.last().and_then(|event| event.seq).unwrap()
}

#[test]
fn settled_neighbours_of_one_owner_become_one_row_and_old_tokens_stay_settled() {
    let stage = Stage::new();
    stage.publish(4);
    let first = stage.claim(2).unwrap();
    assert!(stage.settle(&first, last(&first)));
    let second = stage.claim(2).unwrap();
    assert!(stage.settle(&second, last(&second)));
    assert_eq!(stage.number("SELECT COUNT(*) FROM claims"), 1);
    assert_eq!(stage.number("SELECT last_seq - first_seq FROM claims"), 3);
    assert_eq!(stage.number("SELECT done FROM claims"), 2, "of both");
    assert!(!stage.settle(&first, last(&first)), "settled, not lost");
    assert_eq!(stage.tally().done, 4);
}

#[test]
fn a_claim_that_grows_is_one_row_with_one_settlement() {
    let stage = Stage::new();
    stage.publish(6);
    let first = stage.claim(2).unwrap();
    let mut grown = first.clone();
    for _ in 0..2 {
        let token = first.token;
        let want = Want {
            subscription: stage.id,
            max: 2,
            likely: false,
            grows: Some(Grows {
                token,
                last: last(&grown),
            }),
        };
        grown = stage.claim_as(want).unwrap();
        assert_eq!(grown.token, token);
    }
    assert_eq!(stage.number("SELECT COUNT(*) FROM claims"), 1);
    assert_eq!(stage.number("SELECT last_seq - first_seq FROM claims"), 5);
    assert!(stage.settle(&first, Seq(6)));
    let settled = "SELECT COUNT(*) FROM claims WHERE settled_us IS NOT NULL";
    assert_eq!(stage.number(settled), 1);
    assert_eq!(stage.tally().done, 6);
}

#[test]
fn no_claim_gets_a_number_again_after_retention() {
    let stage = Stage::new();
    stage.publish(2);
    let claim = stage.claim(2).unwrap();
    assert!(stage.settle(&claim, last(&claim)));
    stage.db.clock.advance(8 * DAY);
    stage.retain(rules());
    assert_eq!(stage.number("SELECT COUNT(*) FROM events"), 0);
    stage.publish(1);
    let next = stage.claim(1).unwrap();
    assert!(next.token.id > claim.token.id, "{:?}", next.token);
    assert!(!stage.settle(&claim, last(&claim)), "settled, not lost");
}

#[test]
fn an_open_claim_between_keeps_its_neighbours_apart() {
    let stage = Stage::new();
    stage.publish(3);
    let claims: Vec<Claim> = (0..3).map(|_| stage.claim(1).unwrap()).collect();
    assert!(stage.settle(&claims[0], last(&claims[0])));
    assert!(stage.settle(&claims[2], last(&claims[2])));
    assert_eq!(stage.number("SELECT COUNT(*) FROM claims"), 3);
    let tally = stage.tally();
    assert_eq!((tally.done, tally.claimed), (2, 1));
    assert_eq!(stage.number("SELECT settled FROM subscription_rows"), 1);
}

#[test]
fn each_deletion_keeps_the_positions_of_its_moment() {
    let stage = Stage::new();
    let seqs = stage.publish(4);
    let polled_to = seqs[3];
    stage.db.write(SaveMark { polled_to }).unwrap();
    let held = stage.claim(2).unwrap();
    assert_eq!(stage.pending(), 4);
    let by = || "op".to_owned();
    assert_eq!(
        stage
            .db
            .write(ClearQueue {
                by: by(),
                last: Seq::END
            })
            .unwrap(),
        4
    );
    assert_eq!(stage.pending(), 0);
    assert_eq!(stage.tally().expired, 4);
    // The handler's answer comes: its two stay purged, and the cursor goes on over the others.
    assert!(stage.settle(&held, last(&held)));
    let [.., fifth] = stage.publish(1)[..] else {
        unreachable!("one")
    };
    let next = stage.claim(10).unwrap();
    assert_eq!(next.events[0].seq, Some(fifth));
    assert!(stage.settle(&next, fifth));
    let restored = stage
        .db
        .write(RestoreQueue {
            by: by(),
            last: Seq::END,
        })
        .unwrap();
    assert_eq!((restored.events, restored.more), (4, false));
    let tally = stage.tally();
    assert_eq!((tally.matching, tally.done, tally.waiting), (5, 1, 4));
    assert_eq!(
        stage.number("SELECT COUNT(*) FROM redeliveries WHERE why = 'restored'"),
        4
    );
}

#[test]
fn what_was_settled_before_a_deletion_is_not_owed_again() {
    let stage = Stage::new();
    stage.publish(2);
    let claim = stage.claim(1).unwrap();
    assert!(stage.settle(&claim, last(&claim)));
    // Both are deleted, by a statement of one's own: one was settled.
    let sql = "DELETE FROM cross_process_events";
    stage.db.conn().execute_batch(sql).unwrap();
    assert_eq!(
        stage
            .db
            .write(RestoreQueue {
                by: String::new(),
                last: Seq::END
            })
            .unwrap()
            .events,
        2
    );
    let tally = stage.tally();
    assert_eq!((tally.done, tally.waiting), (1, 1));
    assert_eq!(stage.number("SELECT COUNT(*) FROM redeliveries"), 0);
}

#[test]
fn retention_takes_settled_events_only_and_says_what_lapsed() {
    let stage = Stage::new();
    stage.publish(3);
    let claim = stage.claim(1).unwrap();
    assert!(stage.settle(&claim, last(&claim)));
    stage.db.clock.advance(8 * DAY);
    assert_eq!(stage.retain(rules()).0.events_deleted, 1);
    assert_eq!(stage.number("SELECT COUNT(*) FROM events"), 2);
    // Nobody hosts it for a month: what it owed ends, with a verdict.
    let (id, at) = (stage.id, None);
    stage.db.write(Unsubscribe { id, at }).unwrap();
    stage.db.clock.advance(31 * DAY);
    let swept = stage.retain(rules()).0;
    assert_eq!(swept.expired, 2);
    assert_eq!(
        stage.number("SELECT COUNT(*) FROM facts WHERE code = 'ST_EXPIRED'"),
        1
    );
    assert_eq!(
        stage.number("SELECT settled - cursor FROM subscription_rows"),
        0
    );
}

#[test]
fn a_claim_given_back_in_part_keeps_what_was_settled() {
    let stage = Stage::new();
    let seqs = stage.publish(4);
    let claim = stage.claim(4).unwrap();
    assert!(stage.settle(&claim, seqs[1]));
    let (token, keep_to) = (claim.token, Seq::START);
    stage.db.write(HandBack { token, keep_to }).unwrap();
    let tally = stage.tally();
    assert_eq!((tally.done, tally.waiting, tally.claimed), (2, 2, 0));
    let again = stage.claim(10).unwrap();
    let places: Vec<Seq> = again.events.iter().filter_map(|event| event.seq).collect();
    assert_eq!(places, seqs[2..]);
}

#[test]
fn an_id_that_is_there_already_costs_no_number_wherever_it_stands_in_a_batch() {
    for at in [0, 5, 15, 16, 31, 39] {
        let stage = Stage::new();
        let known = stage.draft();
        let first = stage.append(vec![known.clone()])[0].seq;
        let mut drafts: Vec<Draft> = (0..39).map(|_| stage.draft()).collect();
        drafts.insert(at, known.clone());
        let mut appended = stage.append(drafts);
        let again = appended.remove(at);
        assert_eq!(again.duplicate_of, Some(known.event.id));
        assert_eq!(again.seq, first);
        let numbers: Vec<i64> = appended.iter().map(|one| one.seq.0).collect();
        let expected: Vec<i64> = (first.0 + 1..=first.0 + 39).collect();
        assert_eq!(numbers, expected);
        assert_eq!(stage.number("SELECT COUNT(*) FROM events"), 40);
    }
}

#[test]
fn the_number_of_a_deleted_newest_event_is_not_given_again() {
    let stage = Stage::new();
    stage.publish(3);
    let delete = |which| stage.db.conn().execute(which, []).unwrap();
    assert_eq!(delete("DELETE FROM events WHERE seq >= 2"), 2);
    assert_eq!(stage.publish(1), [Seq(4)]);
    assert_eq!(delete("DELETE FROM events"), 2);
    assert_eq!(stage.publish(2), [Seq(5), Seq(6)]);
    assert_eq!(delete("DELETE FROM events WHERE seq = 5"), 1);
    assert_eq!(stage.publish(1), [Seq(7)]);
}

#[test]
fn a_file_that_does_not_say_how_far_its_log_goes_takes_nothing_and_says_so() {
    let stage = Stage::new();
    stage.publish(2);
    let sql = "DELETE FROM log_end";
    assert_eq!(stage.db.conn().execute(sql, []).unwrap(), 1);
    let batch = Batch {
        drafts: vec![stage.draft()],
        durability: Durability::Process,
    };
    let error = stage.db.write(Append::new(batch)).unwrap_err();
    assert_eq!(error.code, ErrorCode::Corrupt);
    assert!(error.message.contains("log_end"), "{}", error.message);
    assert_eq!(stage.number("SELECT COUNT(*) FROM events"), 2);
}
