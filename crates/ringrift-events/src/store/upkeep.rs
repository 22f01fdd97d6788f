//! Sweeping, retention, counting, checking, backup: what keeps a store well for weeks.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::Pending;
use super::subscriptions::{Generation, SubscriptionId};
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
    /// Dead letters shown by `dead_letter_queue`.
    pub letters: u64,
    /// What is unusual about the store, in words: no private descriptor table, FUSE, low numbers.
    pub notes: Vec<String>,
}

/// The verbs that keep the store well.
pub trait Upkeep: Send + Sync {
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

    /// Deletes the pending events as the runbook's block does; they are restorable. Answers how
    /// many; with `dry_run` only counts.
    fn clear_queue(&self, by: String, dry_run: bool) -> Pending<u64>;

    /// Brings deleted events back; exactly the deliveries that were purged unsettled become due.
    fn restore_queue(&self, by: String, dry_run: bool) -> Pending<u64>;

    /// Checks the file's integrity and the sums.
    fn check(&self) -> Pending<Checked>;

    /// Writes a consistent copy that passes `integrity_check`, of a live store too.
    fn backup(&self, to: PathBuf) -> Pending<()>;

    /// Runs one read-only statement; at most `limit` rows. Columns, then rows as JSON values.
    fn query(
        &self,
        sql: String,
        limit: usize,
    ) -> Pending<(Vec<String>, Vec<Vec<serde_json::Value>>)>;
}
