//! One daemon as scripts read it, and as a row for people.

use ringrift_events::store::registry::{DaemonState, ProcessState};
use serde::Serialize;

use crate::call::Call;
use crate::output::{Cell, Moment, PREVIEW_CHARS, Paint, one_line};
use crate::resolve::short;

/// One daemon of one process.
#[derive(Debug, Serialize)]
pub(crate) struct DaemonRow {
    pub(crate) name: String,
    pub(crate) process: String,
    pub(crate) pid: Option<u32>,
    pub(crate) state: String,
    pub(crate) stopped_by: Option<String>,
    pub(crate) restarts: u32,
    pub(crate) error: Option<String>,
    pub(crate) cycle_at: Option<Moment>,
    pub(crate) since: Moment,
    #[serde(skip)]
    short: String,
}

/// The headings of [`DaemonRow::cells`].
pub(crate) const HEADINGS: &[&str] = &[
    "name",
    "process",
    "pid",
    "state",
    "since",
    "last cycle",
    "restarts",
    "error",
];

impl DaemonRow {
    /// The row of a daemon.
    pub(crate) fn of(call: &Call, daemon: &DaemonState, processes: &[ProcessState]) -> DaemonRow {
        DaemonRow {
            name: daemon.name.clone(),
            process: daemon.process.to_string(),
            pid: processes
                .iter()
                .find(|state| state.process.id == daemon.process)
                .map(|state| state.process.pid),
            state: daemon.state.clone(),
            stopped_by: daemon.stopped_by.clone(),
            restarts: daemon.restarts,
            error: daemon.error.clone(),
            cycle_at: daemon.cycle_at.map(|at| call.show(at)),
            since: call.show(daemon.since),
            short: short(daemon.process),
        }
    }

    /// One row of a table.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let state = match &self.stopped_by {
            Some(by) => format!("{} by {by}", self.state),
            None => self.state.clone(),
        };
        let paint = match self.state.as_str() {
            "running" => Paint::Good,
            "standby" => Paint::Faint,
            "failed" => Paint::Bad,
            _ => Paint::Odd,
        };
        vec![
            self.name.clone().into(),
            self.short.clone().into(),
            self.pid
                .map(|pid| pid.to_string())
                .unwrap_or_default()
                .into(),
            Cell::painted(paint, state),
            self.since.to_string().into(),
            self.cycle_at
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default()
                .into(),
            self.restarts.into(),
            one_line(self.error.as_deref().unwrap_or(""), PREVIEW_CHARS).into(),
        ]
    }
}
