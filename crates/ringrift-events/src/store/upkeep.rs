//! Sweeping, retention, counting, checking, backup: what keeps a store well for weeks.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::Pending;
use super::deliveries::LetterId;
use super::subscriptions::{Generation, SubscriptionId};
use crate::clock::Time;
use crate::event::{EventId, ProcessId, Seq};

/// What the sweeper may do, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRules {
    /// Deaths while alone before an event is poison.
    pub poison_deaths: u32,
    /// Settled events go after this.
    pub keep_settled: Duration,
    /// Verdicts and the audit go after this.
    pub keep_facts: Duration,
    /// Deleted rows can be restored this long.
    pub keep_deleted: Duration,
    /// A durable subscription without a process loses its work after this, with verdicts.
    pub keep_orphaned: Duration,
    /// A live handler's letter without a process that hosts its name becomes dead after this.
    pub keep_orphaned_letters: Duration,
    /// Pages of dead processes are kept this long.
    pub keep_pages: Duration,
    /// Most events in the log: the oldest settled ones go first.
    pub log_events_max: u64,
    /// Most bytes of the database file.
    pub log_bytes_max: u64,
    /// At most this many rows are deleted in one transaction.
    pub rows_max: usize,
}

/// Deaths in company count a third: each of the handlers that ran may have been the cause, but one
/// that is there every time must not kill process after process for ever.
const DEATHS_IN_COMPANY: u32 = 3;

/// Whether an event that was running when its process died, `deaths` times in all and
/// `deaths_alone` times with nothing beside it, is poison by `poison_deaths`
/// ([`SweepRules::poison_deaths`]).
#[must_use]
pub fn is_poison(poison_deaths: u32, deaths: u32, deaths_alone: u32) -> bool {
    let alone = poison_deaths.max(1);
    deaths_alone >= alone || deaths >= alone.saturating_mul(DEATHS_IN_COMPANY)
}

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Processes found dead and taken over.
    pub dead: Vec<ProcessId>,
    /// Claims that went back to waiting.
    pub claims_returned: u64,
    /// Deliveries that were running in dead processes.
    pub interrupted: u64,
    /// Events that became poison, with the subscription.
    pub poisoned: Vec<(SubscriptionId, EventId)>,
    /// Events deleted by retention.
    pub events_deleted: u64,
    /// Deliveries that expired unsettled.
    pub expired: u64,
    /// More is left than one sweep may do.
    pub more: bool,
}

/// How many deliveries of one generation of one durable subscription are in each state. They add
/// up to `matching`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The generation.
    pub generation: Generation,
    /// Deliveries there are: matching events in the part of the log it covers.
    pub matching: u64,
    /// In the log, not taken.
    pub waiting: u64,
    /// Held by a process.
    pub claimed: u64,
    /// Succeeded, skipped by the handler or duplicates.
    pub done: u64,
    /// Dead letters with a next retry.
    pub retrying: u64,
    /// Dead letters waiting for an operator.
    pub dead: u64,
    /// Ended by an operator, a seek or a removal.
    pub discarded: u64,
    /// Ended by retention, or purged.
    pub expired: u64,
}

impl Tally {
    /// A tally that has counted nothing yet.
    #[must_use]
    pub fn of(subscription: SubscriptionId, generation: Generation) -> Tally {
        Tally {
            subscription,
            generation,
            matching: 0,
            waiting: 0,
            claimed: 0,
            done: 0,
            retrying: 0,
            dead: 0,
            discarded: 0,
            expired: 0,
        }
    }
}

/// What `db check` found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Problems, in words; empty when all is well.
    pub problems: Vec<String>,
    /// Events in the log.
    pub events: u64,
    /// Bytes of the database file and of its WAL.
    pub bytes: u64,
}

/// An operator's own deleting statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// One `DELETE` from `cross_process_events` or `dead_letter_queue`.
    pub sql: String,
    /// Who asks, for the audit.
    pub by: String,
    /// How long it may take. Nobody else of the home can write meanwhile.
    pub time_limit: Duration,
    /// Only finds out what it would touch: it is rolled back.
    pub dry_run: bool,
}

/// What a deletion touched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Touched {
    /// Events that are deleted now.
    pub events: u64,
    /// Dead letters that are purged now.
    pub letters: u64,
    /// The first few of the events.
    pub first_events: Vec<Seq>,
    /// The first few of the letters.
    pub first_letters: Vec<LetterId>,
}

/// Figures for `status` that are cheap whatever the log's size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// The log's end.
    pub head: Seq,
    /// The oldest event kept.
    pub oldest: Seq,
    /// Bytes of the database file.
    pub file_bytes: u64,
    /// Bytes of its WAL.
    pub wal_bytes: u64,
    /// Who outside this process reads the oldest state in the WAL, and so keeps it: pid (0 where it
    /// has none here) and command line. Looked for only while the WAL is above its bound.
    pub wal_reader: Option<(u32, String)>,
    /// Dead letters shown by `dead_letter_queue`.
    pub letters: u64,
    /// Who last looked for dead processes, and when; none if nobody did since the machine started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swept: Option<(ProcessId, Time)>,
    /// Who keeps the write lock now, beyond an ordinary transaction.
    pub write_lock: Option<WriteLock>,
    /// Why nothing can be published now, in words: no room on the disk, or in the log. Such a publish
    /// answers `PUB_BACKPRESSURE`.
    pub held_back: Vec<String>,
    /// What is unusual about the store, in words: no private descriptor table, FUSE, low numbers.
    pub notes: Vec<String>,
}

/// A write lock that somebody keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WriteLock {
    /// The holder's process number.
    pub pid: u32,
    /// Its command line.
    pub command: String,
    /// It has been held since then, or before.
    pub since: Time,
    /// Of the processes of the home that wait for it, the one that has waited longest; it may be
    /// just opening the store, and known by nothing else yet.
    pub waits: Option<u32>,
}

/// The verbs that keep the store well.
pub trait Upkeep: Send + Sync {
    /// Whether [`Upkeep::take_over`] would find somebody: asked often, and cheap where it is not so. May
    /// say so where there is nobody.
    fn any_lost(&self) -> Pending<bool> {
        Pending::ready(Ok(true))
    }

    /// Takes over from dead and hung processes: one transaction a process; counts deaths; returns
    /// claims; ends live subscriptions. Safe from many processes at once, and idempotent.
    fn take_over(&self, rules: SweepRules) -> Pending<Swept>;

    /// Deletes what retention lets go, at most `rows_max` rows; says whether more is left.
    /// Unsettled work never goes silently.
    fn retain(&self, rules: SweepRules) -> Pending<Swept>;

    /// How many events some durable subscription owes or no poller has passed: exactly
    /// `SELECT COUNT(*) FROM cross_process_events WHERE acked = 0`.
    fn count_pending(&self) -> Pending<u64>;

    /// The sums of every durable subscription's current generation. Reads the whole log it covers: for tests and
    /// `db check`.
    fn tallies(&self) -> Pending<Vec<Tally>>;

    /// Cheap figures.
    fn figures(&self) -> Pending<Figures>;

    /// Deletes the pending events up to the place `last` as the runbook's block does; they are
    /// restorable. Answers how many; with `dry_run` only counts. Who shows the count to a person
    /// gives the head of that moment both times, so that nothing goes that nobody saw.
    fn clear_queue_to(&self, by: String, last: Seq, dry_run: bool) -> Pending<u64>;

    /// The same of whatever is pending when the call takes effect.
    fn clear_queue(&self, by: String, dry_run: bool) -> Pending<u64> {
        self.clear_queue_to(by, Seq::END, dry_run)
    }

    /// Brings deleted events up to the place `last` back; exactly the deliveries that were purged
    /// unsettled become due.
    fn restore_queue_to(&self, by: String, last: Seq, dry_run: bool) -> Pending<u64>;

    /// The same of whatever is deleted when the call takes effect.
    fn restore_queue(&self, by: String, dry_run: bool) -> Pending<u64> {
        self.restore_queue_to(by, Seq::END, dry_run)
    }

    /// Checks the file's integrity and the sums.
    fn check(&self) -> Pending<Checked>;

    /// Writes a consistent copy that passes `integrity_check`, of a live store too.
    fn backup(&self, to: PathBuf) -> Pending<()>;

    /// Runs one read-only statement; at most `limit` rows. Columns, then rows as JSON values.
    /// [`crate::store::ErrorCode::TimedOut`] once it took longer than `time_limit`.
    fn query(
        &self,
        sql: String,
        limit: usize,
        time_limit: Duration,
    ) -> Pending<(Vec<String>, Vec<Vec<serde_json::Value>>)>;

    /// Runs one statement that deletes through the public views, and answers what it touched. Any
    /// other one is [`crate::store::ErrorCode::SqlRefused`], naming the table and the proper verb.
    /// What it deleted is restorable, and it is an operator's act in the audit.
    fn delete_by_sql(&self, deletion: Deletion) -> Pending<Touched>;
}
