//! `ringrift subs resubscribe`: the daemons and handlers of every process stop and start anew.

use clap::Args as ClapArgs;
use ringrift_events::store::Store;
use ringrift_events::store::registry::{DaemonState, ProcessState};
use serde::Serialize;

use crate::ask::{Asked, Target, ask};
use crate::call::Call;
use crate::commands::processes::restart_router::hosted;
use crate::confirm::{Confirm, Go, Plan};
use crate::failure::{Done, Error, Stop};
use crate::output::{Report, Text};
use crate::resolve::lives;
use crate::{open, resolve};

/// Stopping and starting take as long as two commands.
const STEPS: u32 = 2;

/// The arguments of `subs resubscribe`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift subs resubscribe --dry-run\n  ringrift subs resubscribe --process 4711 --yes\n\nEach process stops its daemons, gives every handler a fresh loop and starts all daemons, also those\nthat were given up or that somebody had stopped: the plan names them. Positions, dedup keys and dead\nletters stay as they are, and what is paused stays paused. What runs longer than two seconds goes on\nwith the loop it has, and is named."
)]
pub(crate) struct Args {
    /// Only in this process: its id, the first digits of it, or its pid.
    #[arg(long, short = 'p', value_name = "PROCESS")]
    process: Option<String>,

    #[command(flatten)]
    confirm: Confirm,
}

#[derive(Serialize)]
struct Resubscribed {
    processes: Vec<Asked>,
    dry_run: bool,
    #[serde(skip)]
    count: u64,
}

/// Says what would stop and start, asks, and tells what each process answered.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let within = open::config(call)?.settings.process.command_wait;
    let store = open::writing(call)?;
    let daemons = store.daemons().wait()?;
    let processes = processes(&*store, &daemons, args)?;
    let states = store.subscriptions().wait()?;
    let count = processes.len() as u64;
    let plan = Plan {
        what: format!(
            "stop and start every handler and daemon of {}",
            processes_text(count)
        ),
        count,
        lines: processes
            .iter()
            .map(|process| line(process, &hosted(&states, process.process.id), &daemons))
            .collect(),
        undo: "none needed: nothing is lost and nothing runs twice; a daemon that is to stand \
               still: ringrift daemons stop DAEMON"
            .to_owned(),
    };
    let go = args.confirm.ask(call, &plan)?;
    let arguments = serde_json::json!({});
    let answers = match go {
        Go::DryRun => Vec::new(),
        Go::Ahead => {
            let whole = |process| Target::whole(process, &arguments);
            let targets: Vec<Target<'_>> = processes.iter().map(whole).collect();
            ask(
                call,
                &*store,
                "handlers.resubscribe",
                &targets,
                within * STEPS,
            )?
        }
    };
    let resubscribed = Resubscribed {
        processes: answers,
        dry_run: go == Go::DryRun,
        count,
    };
    call.answer("subs resubscribe", &resubscribed)
}

/// The live processes that have daemons, or the one that is named; never empty.
fn processes(
    store: &dyn Store,
    daemons: &[DaemonState],
    args: &Args,
) -> Result<Vec<ProcessState>, Stop> {
    if let Some(text) = &args.process {
        return Ok(vec![resolve::process(store, text)?]);
    }
    let mut found = store.processes().wait()?;
    found.retain(|state| {
        let has = |daemon: &DaemonState| daemon.process == state.process.id;
        lives(state) && daemons.iter().any(has)
    });
    if found.is_empty() {
        let what = "hosts a handler or a daemon".to_owned();
        return Err(Error::NobodyThere { what }.into());
    }
    Ok(found)
}

/// One process of the plan: its handlers, and the daemons that do not run now.
fn line(process: &ProcessState, hosted: &[String], daemons: &[DaemonState]) -> String {
    let handlers = match hosted {
        [] => "no handler".to_owned(),
        names => names.join(", "),
    };
    let mut line = format!("pid {}: {handlers}", process.process.pid);
    let here = |daemon: &&DaemonState| daemon.process == process.process.id;
    let stands = |daemon: &&DaemonState| daemon.state == "stopped" || daemon.state == "failed";
    for daemon in daemons.iter().filter(here).filter(stands) {
        line.push_str(&format!("; {} is {}", daemon.name, daemon.state));
        if let Some(by) = &daemon.stopped_by {
            line.push_str(&format!(" by {by}"));
        }
    }
    line
}

fn processes_text(count: u64) -> String {
    match count {
        1 => "1 process".to_owned(),
        more => format!("{more} processes"),
    }
}

impl Report for Resubscribed {
    fn write(&self, text: &mut Text) {
        if self.dry_run {
            let processes = processes_text(self.count);
            text.line(format!("the handlers of {processes} would be resubscribed"));
        }
        for one in &self.processes {
            text.line(format!("pid {}: {}", one.pid, one.answer));
        }
    }
}
