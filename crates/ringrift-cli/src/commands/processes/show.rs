//! `ringrift processes show`: what one process runs and ran.

use std::time::Duration;

use clap::Args as ClapArgs;
use ringrift_events::store::registry::DaemonState;
use serde::Serialize;

use super::row::ProcessRow;
use crate::call::Call;
use crate::commands::daemons::row::{self as daemon_row, DaemonRow};
use crate::failure::Done;
use crate::output::{Cell, Moment, Report, Text, duration_text};
use crate::{open, resolve};

/// The arguments of `processes show`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift processes show 4711\n  ringrift processes show 019ab3c4-0000 --json"
)]
pub(crate) struct Args {
    /// Its id, the first digits of it, or its pid.
    #[arg(value_name = "PROCESS")]
    process: String,
}

#[derive(Serialize)]
struct RunningRow {
    subscription: String,
    event: String,
    seq: Option<i64>,
    since: Moment,
    step: Option<String>,
    abandoned: bool,
}

#[derive(Serialize)]
struct RecentRow {
    subscription: String,
    event: String,
    code: &'static str,
    took_us: u64,
    at: Moment,
}

#[derive(Serialize)]
struct Shown {
    process: ProcessRow,
    running: Vec<RunningRow>,
    recent: Vec<RecentRow>,
    daemons: Vec<DaemonRow>,
}

/// Shows it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::reading(call)?;
    let state = resolve::process(&*store, &args.process)?;
    let names = resolve::Names::read(&*store)?;
    let daemons: Vec<DaemonState> = store.daemons().wait()?;
    let figures = store.figures().wait()?;
    let shown = Shown {
        running: state
            .running
            .iter()
            .map(|running| RunningRow {
                subscription: names.of_id(running.subscription),
                event: running.event.to_string(),
                seq: running.seq.map(|seq| seq.0),
                since: call.show(running.since),
                step: running.step.clone(),
                abandoned: running.abandoned,
            })
            .collect(),
        recent: state
            .recent
            .iter()
            .map(|recent| RecentRow {
                subscription: names.of_id(recent.subscription),
                event: recent.event.to_string(),
                code: recent.code.as_str(),
                took_us: recent.took_us,
                at: call.show(recent.at),
            })
            .collect(),
        daemons: daemons
            .iter()
            .filter(|daemon| daemon.process == state.process.id)
            .map(|daemon| DaemonRow::of(call, daemon, std::slice::from_ref(&state), figures.swept))
            .collect(),
        process: ProcessRow::of(call, &state),
    };
    call.answer("processes show", &shown)
}

impl Report for Shown {
    fn write(&self, text: &mut Text) {
        let process = &self.process;
        let counters = &process.counters;
        let blocked = process
            .blocked_by
            .as_ref()
            .map(|by| format!("pid {} ({}) since {}", by.pid, by.command, by.since));
        text.fields(&[
            ("id", process.id.clone()),
            ("pid", format!("{} on {}", process.pid, process.host)),
            ("command", process.command.clone()),
            ("state", format!("{:?}", process.liveness).to_lowercase()),
            ("started", process.started_at.to_string()),
            ("last beat", process.beat_at.to_string()),
            ("version", process.version.clone()),
            ("read to", process.polled_to.to_string()),
            (
                "published",
                format!(
                    "{} ({} stayed here, {} failed)",
                    counters.published, counters.published_volatile, counters.publish_failed
                ),
            ),
            ("received", counters.received.to_string()),
            (
                "delivered",
                format!(
                    "{} ({} done, {} skipped, {} duplicates, {} failed)",
                    counters.delivered,
                    counters.done,
                    counters.skipped,
                    counters.deduplicated,
                    counters.failed
                ),
            ),
            ("waited for", blocked.unwrap_or_default()),
        ]);
        text.title("Running");
        text.table(
            &["subscription", "event", "seq", "since", "step", ""],
            self.running.iter().map(RunningRow::cells).collect(),
        );
        text.title("Last deliveries");
        text.table(
            &["at", "subscription", "event", "verdict", "took"],
            self.recent.iter().map(RecentRow::cells).collect(),
        );
        text.title("Daemons");
        text.table(
            daemon_row::HEADINGS,
            self.daemons.iter().map(DaemonRow::cells).collect(),
        );
    }
}

impl RunningRow {
    fn cells(&self) -> Vec<Cell> {
        let given_up = if self.abandoned { "given up" } else { "" };
        vec![
            self.subscription.clone().into(),
            self.event.clone().into(),
            self.seq
                .map(|seq| seq.to_string())
                .unwrap_or_default()
                .into(),
            self.since.to_string().into(),
            self.step.clone().unwrap_or_default().into(),
            given_up.into(),
        ]
    }
}

impl RecentRow {
    fn cells(&self) -> Vec<Cell> {
        vec![
            self.at.to_string().into(),
            self.subscription.clone().into(),
            self.event.clone().into(),
            self.code.into(),
            duration_text(Duration::from_micros(self.took_us)).into(),
        ]
    }
}
