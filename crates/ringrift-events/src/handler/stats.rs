//! What a handler counts about itself.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::clock::Time;
use crate::event::{Event, EventId, EventType};
use crate::store::records::Ends;
use crate::verdict::{Failure, FailureKind, Outcome};

/// How many errors a handler remembers.
pub(super) const RECENT_ERRORS_MAX: usize = 100;

/// Most bytes of an error's text in the list of recent ones; the dead letter has the whole.
const PREVIEW_BYTES_MAX: usize = 2_048;

/// A handler's counters, as they stand. The names are those that operators know.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Runs that ended, whatever came of them.
    pub events_processed: u64,
    /// Events whose dedup key was known.
    pub events_deduplicated: u64,
    /// Runs that succeeded.
    pub success_count: u64,
    /// Runs that failed, time-outs and panics among them.
    pub errors_count: u64,
    /// Runs in which the handler skipped the event.
    pub skipped_count: u64,
    /// Of the failed runs, those that exceeded their time limit.
    pub timeouts_count: u64,
    /// Of the failed runs, those that panicked.
    pub panics_count: u64,
    /// Runs given up that succeeded later.
    pub late_success_count: u64,
    /// Blocking runs given up whose thread still runs and holds a slot.
    pub abandoned: u64,
    /// Runs at this moment, the abandoned ones not counted.
    pub running: u64,
    /// Microseconds of all runs together.
    pub took_us: u64,
    /// The last error's text, cut short.
    pub last_error: Option<String>,
    /// When it happened.
    pub last_error_time: Option<Time>,
    /// When the handler was made.
    pub started_at: Time,
    /// When a run last began or ended.
    pub last_activity: Option<Time>,
    /// When the event of the last run was published.
    pub last_event_time: Option<Time>,
}

/// One failed run, as a handler remembers it.
#[derive(Clone, Debug, PartialEq)]
pub struct RecentError {
    /// When it ended.
    pub at: Time,
    /// The event.
    pub event: EventId,
    /// Its type.
    pub event_type: EventType,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// Its class.
    pub kind: FailureKind,
    /// The error's text, cut short.
    pub message: String,
    /// The step it was in.
    pub step: Option<String>,
    /// How long it had lasted.
    pub took: Duration,
    /// It had been given up at its time limit and failed only now.
    pub late: bool,
}

/// The live counters behind [`Stats`].
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) success: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) deduplicated: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) timeouts: AtomicU64,
    pub(super) panics: AtomicU64,
    pub(super) late_success: AtomicU64,
    pub(super) abandoned: AtomicU64,
    pub(super) running: AtomicU64,
    took_us: AtomicU64,
    last_activity: AtomicI64,
    last_event: AtomicI64,
    recent: Mutex<VecDeque<RecentError>>,
}

impl Counts {
    /// A run of this event begins; whoever runs it counts in `running` that he does.
    pub(super) fn begun(&self, event: &Event, at: Time) {
        self.last_activity.store(at.0, Ordering::Relaxed);
        self.last_event
            .store(event.published_at.0, Ordering::Relaxed);
    }

    pub(super) fn ended(&self, outcome: &Outcome, took: Duration, at: Time) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.took_us.fetch_add(us, Ordering::Relaxed);
        self.last_activity.store(at.0, Ordering::Relaxed);
        let counter = match outcome {
            Outcome::Done => &self.success,
            Outcome::Skipped { .. } => &self.skipped,
            Outcome::Duplicate { .. } => &self.deduplicated,
            Outcome::Failed(failure) => {
                match failure.kind {
                    FailureKind::Timeout => self.timeouts.fetch_add(1, Ordering::Relaxed),
                    FailureKind::Panic => self.panics.fetch_add(1, Ordering::Relaxed),
                    FailureKind::Error | FailureKind::Resource | FailureKind::Poison => 0,
                };
                &self.errors
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// So many runs succeeded, which took so long together, the last of them until `at`.
    pub(super) fn succeeded(&self, count: u64, took: Duration, at: Time) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.took_us.fetch_add(us, Ordering::Relaxed);
        self.last_activity.store(at.0, Ordering::Relaxed);
        self.success.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn remember(
        &self,
        event: &Event,
        attempt: u32,
        failure: &Failure,
        at: Time,
        late: bool,
    ) {
        let message = &failure.message;
        let error = RecentError {
            at,
            event: event.id,
            event_type: event.event_type.clone(),
            attempt,
            kind: failure.kind,
            message: message[..message.floor_char_boundary(PREVIEW_BYTES_MAX)].to_owned(),
            step: failure.step.clone(),
            took: failure.took,
            late,
        };
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.truncate(RECENT_ERRORS_MAX - 1);
        recent.push_front(error);
    }

    pub(super) fn recent(&self, limit: usize) -> Vec<RecentError> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().take(limit).cloned().collect()
    }

    pub(super) fn ends(&self) -> Ends {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Ends {
            done: get(&self.success),
            failed: get(&self.errors),
            skipped: get(&self.skipped),
            duplicates: get(&self.deduplicated),
        }
    }

    pub(super) fn snapshot(&self, started_at: Time) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let moment = |at: &AtomicI64| Some(Time(at.load(Ordering::Relaxed))).filter(|t| t.0 != 0);
        let last = self.recent(1).pop();
        let (success, skipped, errors) =
            (get(&self.success), get(&self.skipped), get(&self.errors));
        Stats {
            events_processed: success + skipped + errors,
            events_deduplicated: get(&self.deduplicated),
            success_count: success,
            errors_count: errors,
            skipped_count: skipped,
            timeouts_count: get(&self.timeouts),
            panics_count: get(&self.panics),
            late_success_count: get(&self.late_success),
            abandoned: get(&self.abandoned),
            running: get(&self.running),
            took_us: get(&self.took_us),
            last_error_time: last.as_ref().map(|error| error.at),
            last_error: last.map(|error| error.message),
            started_at,
            last_activity: moment(&self.last_activity),
            last_event_time: moment(&self.last_event),
        }
    }
}
