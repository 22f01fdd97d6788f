//! `ringrift processes restart-router`: fresh loops for a process's subscriptions.

use clap::Args as ClapArgs;
use ringrift_events::event::ProcessId;
use ringrift_events::store::subscriptions::SubscriptionState;
use serde::Serialize;

use crate::ask::{Asked, Target, ask};
use crate::call::Call;
use crate::confirm::{Confirm, Go, Plan};
use crate::failure::Done;
use crate::output::{Report, Text};
use crate::{open, resolve};

/// The arguments of `processes restart-router`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift processes restart-router 4711 --yes\n\nEach subscription of the process gets a fresh loop, and its poller and retry daemon are started anew.\nA loop makes room where it holds nothing: no event is lost and none runs twice. What runs longer than\ntwo seconds goes on with the loop it has, and is named."
)]
pub(crate) struct Args {
    /// The process: its id, the first digits of it, or its pid.
    #[arg(value_name = "PROCESS")]
    process: String,

    #[command(flatten)]
    confirm: Confirm,
}

#[derive(Serialize)]
struct Restarted {
    pid: u32,
    answers: Vec<Asked>,
    dry_run: bool,
}

/// Asks the process and says what it answered.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let within = open::config(call)?.settings.process.command_wait;
    let store = open::writing(call)?;
    let process = resolve::process(&*store, &args.process)?;
    let pid = process.process.pid;
    let hosted = hosted(&store.subscriptions().wait()?, process.process.id);
    let plan = Plan {
        what: format!(
            "restart the router of pid {pid}: {}",
            match hosted.len() {
                1 => "1 subscription".to_owned(),
                many => format!("{many} subscriptions"),
            }
        ),
        count: hosted.len() as u64,
        lines: hosted,
        undo: "none needed: nothing is lost and nothing runs twice".to_owned(),
    };
    let go = args.confirm.ask(call, &plan)?;
    let arguments = serde_json::json!({});
    let answers = match go {
        Go::DryRun => Vec::new(),
        Go::Ahead => {
            let target = Target::whole(&process, &arguments);
            ask(call, &*store, "router.restart", &[target], within)?
        }
    };
    let restarted = Restarted {
        pid,
        answers,
        dry_run: go == Go::DryRun,
    };
    call.answer("processes restart-router", &restarted)
}

/// The names of the subscriptions that a process hosts.
pub(crate) fn hosted(states: &[SubscriptionState], process: ProcessId) -> Vec<String> {
    let here = |state: &&SubscriptionState| {
        state.process == Some(process) || state.hosts.contains_key(&process)
    };
    let standing = states.iter().filter(|state| state.ended_at.is_none());
    standing
        .filter(here)
        .map(|state| state.current().name.clone())
        .collect()
}

impl Report for Restarted {
    fn write(&self, text: &mut Text) {
        if self.dry_run {
            text.line(format!("the router of pid {} would be restarted", self.pid));
        }
        for one in &self.answers {
            text.line(format!("pid {}: {}", one.pid, one.answer));
        }
    }
}
