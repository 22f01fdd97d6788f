//! `ringrift status`: the home at a glance, cheap whatever the log's size.

use clap::Args as ClapArgs;
use ringrift_events::metrics::Standing;
use ringrift_events::store::Store;
use ringrift_events::store::subscriptions::SubscriptionState;
use ringrift_events::store::upkeep::Figures;
use serde::Serialize;

use super::daemons::row::{self as daemon_row, DaemonRow, Sweep};
use super::processes::row::{self as process_row, ProcessRow};
use super::subs::row::{self as subscription_row, SubscriptionRow};
use crate::call::Call;
use crate::failure::{Done, Stop};
use crate::open;
use crate::output::{Paint, Report, Text, bytes_text};
use crate::resolve::lives;

/// The arguments of `status`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift status\n  ringrift status --count\n  ringrift status --json | jq '.data.findings'\n\nExits 1 when something needs attention."
)]
pub(crate) struct Args {
    /// Count the pending events exactly; on a large backlog that takes a while.
    #[arg(long)]
    count: bool,
}

#[derive(Serialize)]
struct Status {
    /// What needs attention, in words; empty when all is well.
    findings: Vec<String>,
    #[serde(flatten)]
    figures: Figures,
    /// In the place of the figures' pair: who last looked for dead processes, as `daemons ls` says.
    swept: Option<Sweep>,
    pending: Option<u64>,
    processes: Vec<ProcessRow>,
    subscriptions: Vec<SubscriptionRow>,
    /// The daemons that do not run.
    daemons: Vec<DaemonRow>,
}

/// From when on a count is a finding.
struct Limits {
    backlog: u64,
    letters: u64,
}

/// Looks.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let store = open::reading(call)?;
    let health = open::config(call)?.settings.health;
    let limits = Limits {
        backlog: health.backlog,
        letters: health.dead_letters,
    };
    let status = look(call, &*store, args.count, &limits)?;
    let exit = if status.findings.is_empty() {
        crate::exit::Exit::Ok
    } else {
        crate::exit::Exit::No
    };
    call.answer_as("status", &status, exit)
}

fn look(call: &Call, store: &dyn Store, count: bool, limits: &Limits) -> Result<Status, Stop> {
    // Asked at once, so that the answers come together.
    let (figures, processes, states, daemons) = (
        store.figures(),
        store.processes(),
        store.subscriptions(),
        store.daemons(),
    );
    let (figures, processes) = (figures.wait()?, processes.wait()?);
    let (states, daemons) = (states.wait()?, daemons.wait()?);
    let standing = Standing::look(store)?;
    let pending = if count {
        Some(store.count_pending().wait()?)
    } else {
        None
    };
    let idle: Vec<DaemonRow> = daemons
        .iter()
        // A process that only publishes never starts them; that is as it should be.
        .filter(|daemon| match daemon.state.as_str() {
            "running" | "standby" => false,
            "stopped" => daemon.stopped_by.is_some(),
            _ => true,
        })
        .filter(|daemon| {
            processes
                .iter()
                .any(|state| state.process.id == daemon.process && lives(state))
        })
        .map(|daemon| DaemonRow::of(call, daemon, &processes, figures.swept))
        .collect();
    Ok(Status {
        findings: findings(&figures, &standing, &states, &idle, pending, limits),
        pending,
        processes: processes
            .iter()
            .filter(|state| lives(state))
            .map(|state| ProcessRow::of(call, state))
            .collect(),
        subscriptions: states
            .iter()
            .filter(|state| state.ended_at.is_none())
            .map(|state| SubscriptionRow::of(call, state, figures.head))
            .collect(),
        daemons: idle,
        swept: Sweep::of(call, figures.swept, &processes),
        figures: Figures {
            swept: None,
            ..figures
        },
    })
}

fn findings(
    figures: &Figures,
    standing: &Standing,
    states: &[SubscriptionState],
    idle: &[DaemonRow],
    pending: Option<u64>,
    limits: &Limits,
) -> Vec<String> {
    let held_back = figures.held_back.iter();
    let mut findings: Vec<String> = held_back
        .map(|why| format!("nothing can be published: {why}"))
        .collect();
    findings.extend(figures.notes.iter().cloned());
    let hung = standing.hung.iter();
    findings.extend(hung.map(|one| format!("{one} hangs: its heartbeat stopped")));
    let unhosted = standing.unhosted.iter();
    findings.extend(unhosted.map(|name| format!("{name} owes events that no live process takes")));
    for state in states.iter().filter(|state| state.ended_at.is_none()) {
        if let Some((_, by)) = &state.paused {
            findings.push(format!("{} is paused by {by}", state.current().name));
        }
    }
    findings.extend(standing.stalled.iter().cloned());
    for daemon in idle {
        findings.push(format!(
            "{} is {} in pid {}",
            daemon.name,
            daemon.state,
            daemon.pid.unwrap_or(0)
        ));
    }
    if let Some(pending) = pending.filter(|pending| *pending > limits.backlog) {
        findings.push(format!("{pending} events are pending"));
    }
    if figures.letters > limits.letters {
        findings.push(format!("{} dead letters", figures.letters));
    }
    findings
}

impl Report for Status {
    fn write(&self, text: &mut Text) {
        let verdict = if self.findings.is_empty() {
            text.paint(Paint::Good, "ok")
        } else {
            text.paint(Paint::Odd, "needs attention")
        };
        text.line(verdict);
        text.fields(&[
            (
                "log",
                format!(
                    "{} to {}, {} and {} of WAL",
                    self.figures.oldest,
                    self.figures.head,
                    bytes_text(self.figures.file_bytes),
                    bytes_text(self.figures.wal_bytes)
                ),
            ),
            (
                "pending",
                self.pending
                    .map(|pending| pending.to_string())
                    .unwrap_or_default(),
            ),
            ("dead letters", self.figures.letters.to_string()),
        ]);
        if !self.findings.is_empty() {
            text.title("Findings");
            for finding in &self.findings {
                text.line(format!("  {finding}"));
            }
        }
        text.title("Processes");
        text.table(
            process_row::HEADINGS,
            self.processes.iter().map(ProcessRow::cells).collect(),
        );
        text.title("Subscriptions");
        text.table(
            subscription_row::HEADINGS,
            self.subscriptions
                .iter()
                .map(SubscriptionRow::cells)
                .collect(),
        );
        if !self.daemons.is_empty() {
            text.title("Daemons that do not run");
            text.table(
                daemon_row::HEADINGS,
                self.daemons.iter().map(DaemonRow::cells).collect(),
            );
        }
    }
}
