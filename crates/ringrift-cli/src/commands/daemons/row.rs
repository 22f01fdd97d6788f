//! One daemon as scripts read it, and as a row for people.

use ringrift_events::clock::Time;
use ringrift_events::daemons::{HEARTBEAT, SWEEPER};
use ringrift_events::event::ProcessId;
use ringrift_events::store::registry::{DaemonState, ProcessState};
use serde::Serialize;

use crate::call::Call;
use crate::output::{Cell, Moment, PREVIEW_CHARS, Paint, one_line};
use crate::resolve::{lives, short};

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
    /// The row of a daemon. A row of the store is as old as the daemon's last change of state, for
    /// an idle home writes nothing: what moves since then is told by the pages alone.
    pub(crate) fn of(
        call: &Call,
        daemon: &DaemonState,
        processes: &[ProcessState],
        swept: Option<(ProcessId, Time)>,
    ) -> DaemonRow {
        let process = processes
            .iter()
            .find(|state| state.process.id == daemon.process);
        let ended = !process.is_some_and(lives);
        let cycle_at = match (ended, daemon.name.as_str()) {
            (true, _) => daemon.cycle_at,
            (false, HEARTBEAT) => process.map(|state| state.beat_at),
            (false, SWEEPER) => swept
                .filter(|(by, _)| *by == daemon.process)
                .map(|(_, at)| at),
            (false, _) => None,
        };
        DaemonRow {
            name: daemon.name.clone(),
            process: daemon.process.to_string(),
            pid: process.map(|state| state.process.pid),
            state: match (ended, daemon.state.as_str()) {
                (true, "running" | "standby" | "backoff") => "ended".to_owned(),
                (_, state) => state.to_owned(),
            },
            stopped_by: daemon.stopped_by.clone(),
            restarts: daemon.restarts,
            error: daemon.error.clone(),
            cycle_at: cycle_at.map(|at| call.show(at)),
            since: call.show(daemon.since),
            short: short(daemon.process),
        }
    }

    /// One row of a table.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let state = match &self.stopped_by {
            Some(by) if self.state == "stopped" => format!("stopped by {by}"),
            Some(_) | None => self.state.clone(),
        };
        let paint = match self.state.as_str() {
            "running" => Paint::Good,
            "standby" | "ended" => Paint::Faint,
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

/// The last look for dead processes.
#[derive(Debug, Serialize)]
pub(crate) struct Sweep {
    pub(crate) at: Moment,
    process: String,
    pub(crate) pid: Option<u32>,
    #[serde(skip)]
    pub(crate) short: String,
}

impl Sweep {
    /// Who looked, and when, if anybody did.
    pub(crate) fn of(
        call: &Call,
        swept: Option<(ProcessId, Time)>,
        processes: &[ProcessState],
    ) -> Option<Sweep> {
        swept.map(|(process, at)| Sweep {
            at: call.show(at),
            process: process.to_string(),
            pid: processes
                .iter()
                .find(|state| state.process.id == process)
                .map(|state| state.process.pid),
            short: short(process),
        })
    }
}
