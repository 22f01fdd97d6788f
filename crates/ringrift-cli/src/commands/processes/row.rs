//! One process as scripts read it, and as a row for people.

use std::time::Duration;

use ringrift_events::clock::Time;
use ringrift_events::store::registry::{Counters, Liveness, ProcessState};
use serde::Serialize;

use crate::call::Call;
use crate::output::{Cell, Moment, PREVIEW_CHARS, Paint, duration_text, one_line};
use crate::resolve::{lives, short};

/// One process.
#[derive(Debug, Serialize)]
pub(crate) struct ProcessRow {
    pub(crate) id: String,
    pub(crate) pid: u32,
    pub(crate) host: String,
    pub(crate) liveness: Liveness,
    pub(crate) started_at: Moment,
    pub(crate) beat_at: Moment,
    /// Milliseconds since the last heartbeat, for one that lives.
    pub(crate) beat_age_ms: Option<u64>,
    pub(crate) counters: Counters,
    /// How many handlers it runs now.
    pub(crate) running: usize,
    pub(crate) polled_to: i64,
    pub(crate) blocked_by: Option<Blocker>,
    pub(crate) version: String,
    pub(crate) command: String,
    #[serde(skip)]
    short: String,
}

/// Who held the write lock when a process last had to wait.
#[derive(Debug, Serialize)]
pub(crate) struct Blocker {
    pub(crate) pid: u32,
    pub(crate) command: String,
    pub(crate) since: Moment,
}

/// The headings of [`ProcessRow::cells`].
pub(crate) const HEADINGS: &[&str] = &[
    "id",
    "pid",
    "host",
    "state",
    "beat",
    "published",
    "received",
    "done",
    "failed",
    "running",
    "command",
];

impl ProcessRow {
    /// The row of a process.
    pub(crate) fn of(call: &Call, state: &ProcessState) -> ProcessRow {
        let process = &state.process;
        ProcessRow {
            id: process.id.to_string(),
            pid: process.pid,
            host: process.host.clone(),
            liveness: state.liveness,
            started_at: call.show(process.started_at),
            beat_at: call.show(state.beat_at),
            beat_age_ms: lives(state).then(|| age_ms(call.now(), state.beat_at)),
            counters: state.counters,
            running: state.running.len(),
            polled_to: state.polled_to.0,
            blocked_by: state
                .blocked_by
                .as_ref()
                .map(|(pid, command, since)| Blocker {
                    pid: *pid,
                    command: command.clone(),
                    since: call.show(*since),
                }),
            version: process.version.clone(),
            command: process.command.clone(),
            short: short(process.id),
        }
    }

    /// One row of a table.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let beat = self.beat_age_ms.map_or_else(
            || self.beat_at.to_string(),
            |age| format!("{} ago", duration_text(Duration::from_millis(age))),
        );
        vec![
            self.short.clone().into(),
            self.pid.into(),
            self.host.clone().into(),
            liveness_cell(self.liveness),
            beat.into(),
            self.counters.published.into(),
            self.counters.received.into(),
            self.counters.done.into(),
            self.counters.failed.into(),
            self.running.into(),
            one_line(&self.command, PREVIEW_CHARS).into(),
        ]
    }
}

fn age_ms(now: Time, beat_at: Time) -> u64 {
    u64::try_from(now.since(beat_at).as_millis()).unwrap_or(u64::MAX)
}

/// The state in its colour.
pub(crate) fn liveness_cell(liveness: Liveness) -> Cell {
    match liveness {
        Liveness::Alive => Cell::painted(Paint::Good, "alive"),
        Liveness::Hung => Cell::painted(Paint::Bad, "hung"),
        Liveness::Left => Cell::painted(Paint::Faint, "left"),
        Liveness::Dead => Cell::painted(Paint::Odd, "dead"),
    }
}
