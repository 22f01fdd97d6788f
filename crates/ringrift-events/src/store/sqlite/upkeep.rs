//! The verbs that keep the store well, as this store answers them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::SqliteStore;
use super::claiming::give;
use super::housekeeper::wal_of;
use super::line::closed;
use super::long::Place;
use super::verb::{Question, Tx};
use super::verbs::upkeep::{
    AnyLost, ClearQueue, CountPending, FindDead, LogFigures, RestoreQueue, Retain, RetirePages,
    SaveMark, TakeOver, Tallies,
};
use crate::event::{ProcessId, Seq};
use crate::store::log::{Follow, Followed};
use crate::store::pending::Answer;
use crate::store::upkeep::{Checked, Deletion, Figures, SweepRules, Swept, Tally, Touched, Upkeep};
use crate::store::{Error, ErrorCode, Pending, Store};

/// The poller's place is saved at most this often.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// Most pages of ended processes kept, whatever their age.
const PAGES_MAX: usize = 1_000;

/// Up to where this process's poller has read, and what of it is saved.
#[derive(Debug, Default)]
pub(super) struct Mark(Mutex<Marked>);

#[derive(Clone, Copy, Debug, Default)]
struct Marked {
    polled_to: Seq,
    /// Asked to be saved.
    asked: Seq,
    asked_at: Option<Duration>,
    saved: Seq,
    /// Where retention goes on looking for settled events.
    retained: Seq,
}

impl Mark {
    fn lock(&self) -> MutexGuard<'_, Marked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SqliteStore {
    /// Saves the poller's place where public SQL sees it, at most once a second. Never waits.
    pub(super) fn mark_polled(&self, polled_to: Seq) {
        let now = self.options.clock.monotonic();
        {
            let mut mark = self.mark.lock();
            mark.polled_to = mark.polled_to.max(polled_to);
            let early = mark
                .asked_at
                .is_some_and(|at| now.saturating_sub(at) < MARK_EVERY);
            if self.is_read_only() || early || mark.polled_to <= mark.asked {
                return;
            }
            mark.asked = mark.polled_to;
            mark.asked_at = Some(now);
        }
        self.save_mark(polled_to, |_| ());
    }

    /// Saves the place; `then` runs on the courier, or a waiting caller in its place.
    fn save_mark(&self, polled_to: Seq, then: impl FnOnce(&Result<(), Error>) + Send + 'static) {
        let own = Weak::clone(&self.own);
        self.write_then(SaveMark { polled_to }, move |result| {
            if let (Ok(()), Some(store)) = (result, own.upgrade()) {
                let mut mark = store.mark.lock();
                mark.saved = mark.saved.max(polled_to);
            }
            then(result);
        })
        .forget();
    }

    /// The place that is not saved yet, for those who are about to count.
    fn unsaved_mark(&self) -> Option<Seq> {
        let mark = self.mark.lock();
        (!self.is_read_only() && mark.polled_to > mark.saved).then_some(mark.polled_to)
    }

    fn take_over_next(
        &self,
        rules: SweepRules,
        mut dead: Vec<i64>,
        mut swept: Swept,
        answer: Answer<Swept>,
    ) {
        let Some(row) = dead.pop() else {
            if let Some(shared) = self.presence.shared() {
                shared.note_swept(self.process_id(), self.options.clock.now());
            }
            give(&answer, Ok(swept));
            return;
        };
        let verb = TakeOver {
            presence: Arc::clone(&self.presence),
            row,
            poison_deaths: rules.poison_deaths,
        };
        let own = Weak::clone(&self.own);
        self.write_then(verb, move |one| match (one, own.upgrade()) {
            (Err(error), _) => give(&answer, Err(error.clone())),
            (Ok(_), None) => give(&answer, Err(closed())),
            (Ok(one), Some(store)) => {
                add(&mut swept, one);
                store.take_over_next(rules, dead, swept, answer);
            }
        })
        .forget();
    }

    /// Pages go only after the sweep was committed.
    fn retire_pages(&self, keep: Duration, swept: Swept, answer: Answer<Swept>) {
        let retire = RetirePages {
            presence: Arc::clone(&self.presence),
            keep,
            pages_max: PAGES_MAX,
        };
        self.read_then(retire, move |removed| {
            give(&answer, removed.clone().map(|_| swept));
        })
        .forget();
    }

    fn restore_next(&self, (by, last): (String, Seq), restored: u64, answer: Answer<u64>) {
        let own = Weak::clone(&self.own);
        let step = RestoreQueue {
            by: by.clone(),
            last,
        };
        self.write_then(step, move |step| match (step, own.upgrade()) {
            (Err(error), _) => give(&answer, Err(error.clone())),
            (Ok(step), Some(store)) if step.more => {
                store.restore_next((by, last), restored + step.events, answer);
            }
            (Ok(step), _) => give(&answer, Ok(restored + step.events)),
        })
        .forget();
    }
}

fn add(sum: &mut Swept, one: &Swept) {
    sum.dead.extend(&one.dead);
    sum.claims_returned += one.claims_returned;
    sum.interrupted += one.interrupted;
    sum.poisoned.extend(&one.poisoned);
}

impl Store for SqliteStore {
    fn close(&self) {
        SqliteStore::close(self);
    }

    fn follow(&self, follow: Follow) -> Result<Followed, Error> {
        self.follow_log(follow)
    }
}

impl Upkeep for SqliteStore {
    fn any_lost(&self) -> Pending<bool> {
        let presence = Arc::clone(&self.presence);
        self.read(AnyLost {
            find: FindDead { presence },
        })
    }

    fn take_over(&self, rules: SweepRules) -> Pending<Swept> {
        let (answer, pending) = Pending::channel();
        let own = Weak::clone(&self.own);
        let presence = Arc::clone(&self.presence);
        self.read_then(FindDead { presence }, move |dead| {
            match (dead, own.upgrade()) {
                (Err(error), _) => give(&answer, Err(error.clone())),
                (Ok(_), None) => give(&answer, Err(closed())),
                (Ok(dead), Some(store)) => {
                    store.take_over_next(rules, dead.clone(), Swept::default(), answer);
                }
            }
        })
        .forget();
        pending
    }

    fn retain(&self, rules: SweepRules) -> Pending<Swept> {
        let keep = rules.keep_pages;
        let from = self.mark.lock().retained;
        let (answer, pending) = Pending::channel();
        let own = Weak::clone(&self.own);
        self.write_then(Retain { rules, from }, move |swept| {
            match (swept.clone(), own.upgrade()) {
                (Ok((swept, next)), Some(store)) => {
                    store.mark.lock().retained = next;
                    store.retire_pages(keep, swept, answer);
                }
                (swept, _) => give(&answer, swept.map(|(swept, _)| swept)),
            }
        })
        .forget();
        pending
    }

    fn count_pending(&self) -> Pending<u64> {
        let Some(polled_to) = self.unsaved_mark() else {
            return self.read(CountPending);
        };
        let (answer, pending) = Pending::channel();
        let own = Weak::clone(&self.own);
        self.save_mark(polled_to, move |saved| match (saved, own.upgrade()) {
            (Err(error), _) => give(&answer, Err(error.clone())),
            (Ok(()), None) => give(&answer, Err(closed())),
            (Ok(()), Some(store)) => {
                store
                    .read_then(CountPending, move |count| give(&answer, count.clone()))
                    .forget();
            }
        });
        pending
    }

    fn tallies(&self) -> Pending<Vec<Tally>> {
        let process = self.process_id();
        self.work(move |place| ask(place, process, Tallies))
    }

    fn figures(&self) -> Pending<Figures> {
        self.read(LogFigures {
            database: self.database.clone(),
            wal: wal_of(&self.database),
            notes: self.notes().to_vec(),
            wal_bytes_max: self.options.wal_bytes_max,
            bounds: self.options.bounds(),
            presence: Arc::clone(&self.presence),
        })
    }

    fn clear_queue_to(&self, by: String, last: Seq, dry_run: bool) -> Pending<u64> {
        match dry_run {
            true => self.read(ClearQueue { by, last }),
            false => self.write(ClearQueue { by, last }),
        }
    }

    fn restore_queue_to(&self, by: String, last: Seq, dry_run: bool) -> Pending<u64> {
        if dry_run {
            return self.read(RestoreQueue { by, last });
        }
        let (answer, pending) = Pending::channel();
        self.restore_next((by, last), 0, answer);
        pending
    }

    fn check(&self) -> Pending<Checked> {
        let process = self.process_id();
        self.work(move |place| match check(place, process) {
            // Damage that keeps the check itself from going on is what it was asked for.
            Err(error) if error.code == ErrorCode::Corrupt => Ok(Checked {
                problems: vec![error.message],
                ..Checked::default()
            }),
            checked => checked,
        })
    }

    fn backup(&self, to: PathBuf) -> Pending<()> {
        self.back_up(to)
    }

    fn query(
        &self,
        sql: String,
        limit: usize,
        time_limit: Duration,
    ) -> Pending<(Vec<String>, Vec<Vec<serde_json::Value>>)> {
        self.ask_sql(sql, limit, time_limit)
    }

    fn delete_by_sql(&self, deletion: Deletion) -> Pending<Touched> {
        self.run_deletion(deletion)
    }
}

fn check(place: &Place, process: ProcessId) -> Result<Checked, Error> {
    let mut checked = super::integrity::check(place)?;
    if checked.problems.is_empty() {
        let tallies = ask(place, process, Tallies)?;
        checked
            .problems
            .extend(tallies.iter().filter_map(unbalanced));
    }
    Ok(checked)
}

/// A sum that does not add up, in words.
pub(super) fn unbalanced(tally: &Tally) -> Option<String> {
    let sum = tally.waiting
        + tally.claimed
        + tally.done
        + tally.retrying
        + tally.dead
        + tally.discarded
        + tally.expired;
    (sum != tally.matching).then(|| {
        format!(
            "subscription {} generation {}: {} deliveries, but {sum} in some state",
            tally.subscription.0, tally.generation.0, tally.matching
        )
    })
}

/// Answers a long question on a connection of its own, in one read transaction.
fn ask<Q: Question>(place: &Place, process: ProcessId, question: Q) -> Result<Q::Answer, Error> {
    let conn = place.reader()?;
    conn.execute_batch("BEGIN")?;
    question.run(&Tx::new(&conn, place.clock.now(), process, 0))
}
