//! From when on something is a finding.

use std::time::Duration;

use crate::store::sqlite::WAL_BYTES_MAX;

/// The thresholds. Each is a setting with its origin (`ringrift config show`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Events may wait this long for a handler that no process runs: a restart takes a moment.
    pub unhosted_after: Duration,
    /// A foreign write lock may be held this long: a statement of an operator takes a moment.
    pub lock_held: Duration,
    /// A dead letter may be due this long before somebody must have retried it.
    pub overdue: Duration,
    /// Share of starts, in percent, from which on a handler fails consistently.
    pub failing_percent: u32,
    /// Starts below which nothing is said of a share.
    pub failing_starts: u64,
    /// Events that must have failed: one bad event alone is no failing handler.
    pub failing_events: u64,
    /// Two events of one publisher with the same content within this time were meant as one.
    pub twice_within: Duration,
    /// More copies than this are a beat, not a slip.
    pub twice_copies: usize,
    /// Events of a type that every filter must have turned away.
    pub filtered_events: u64,
    /// A key that came again within this share of its window, in percent, after it had ended.
    pub window_missed_percent: u32,
    /// Share of the dead letters, in percent, that one error makes up to be named.
    pub one_fault_percent: u32,
    /// Dead letters below which nothing is said of a share.
    pub one_fault_letters: usize,
    /// Handlers that run this long without one ending make no progress.
    pub no_progress: Duration,
    /// A poller may leave an event unread this long.
    pub unread: Duration,
    /// Somebody must have looked for dead processes within this time.
    pub unswept: Duration,
    /// Deliveries may wait this long for a place among their process's handlers.
    pub crowded_after: Duration,
    /// By how much clocks may differ.
    pub clock_skew: Duration,
    /// Bytes of the write-ahead log above which it has grown.
    pub wal_bytes: u64,
    /// Share of the disk, in percent, that must be free.
    pub disk_free_percent: u32,
    /// Pending events above which there is a backlog.
    pub backlog: u64,
    /// Dead letters above which there are many.
    pub dead_letters: u64,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            unhosted_after: Duration::from_secs(10),
            lock_held: Duration::from_secs(1),
            overdue: Duration::from_secs(10),
            failing_percent: 80,
            failing_starts: 20,
            failing_events: 3,
            twice_within: Duration::from_secs(10),
            twice_copies: 3,
            filtered_events: 20,
            window_missed_percent: 100,
            one_fault_percent: 80,
            one_fault_letters: 20,
            no_progress: Duration::from_secs(120),
            unread: Duration::from_secs(30),
            unswept: Duration::from_secs(30),
            crowded_after: Duration::from_secs(1),
            clock_skew: Duration::from_secs(5),
            wal_bytes: WAL_BYTES_MAX,
            disk_free_percent: 10,
            backlog: 1_000,
            dead_letters: 100,
        }
    }
}
