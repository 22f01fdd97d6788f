//! `ringrift daemons stop|start|restart`: a command to the processes that host the daemon.

use std::collections::BTreeSet;

use clap::Args as ClapArgs;
use ringrift_events::daemons::{COMMANDS, HEARTBEAT};
use ringrift_events::store::Store;
use ringrift_events::store::registry::ProcessState;
use serde::Serialize;

use crate::ask::{Asked, Target, ask};
use crate::call::Call;
use crate::failure::{Done, Error, Stop};
use crate::output::{Report, Text};
use crate::resolve::{lives, nearest};
use crate::{open, resolve};

/// What `all` leaves alone: a process without them neither beats nor hears.
const SELF_KEPT: [&str; 2] = [HEARTBEAT, COMMANDS];

/// What to do with the daemon.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Stop it.
    Stop,
    /// Start it.
    Start,
    /// Both.
    Restart,
}

impl Act {
    fn verb(self) -> &'static str {
        match self {
            Act::Stop => "daemon.stop",
            Act::Start => "daemon.start",
            Act::Restart => "daemon.restart",
        }
    }

    fn command(self) -> &'static str {
        match self {
            Act::Stop => "daemons stop",
            Act::Start => "daemons start",
            Act::Restart => "daemons restart",
        }
    }
}

/// The arguments of the three verbs.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift daemons stop CROSS_PROCESS_POLLER --process 4711\n  ringrift daemons start CROSS_PROCESS_POLLER\n  ringrift daemons restart all\n\nExits 4, naming who did not answer, after five seconds."
)]
pub(crate) struct Args {
    /// The daemon's name, such as CROSS_PROCESS_POLLER or DLQ_RETRY; `all` for every one.
    #[arg(value_name = "DAEMON")]
    name: String,

    /// Only in this process: its id, the first digits of it, or its pid.
    #[arg(long, short = 'p', value_name = "PROCESS")]
    process: Option<String>,
}

#[derive(Serialize)]
struct Answered {
    answers: Vec<Asked>,
}

/// Asks each process, and waits for the answers.
pub(crate) fn run(call: &Call, args: &Args, act: Act) -> Done {
    let within = open::config(call)?.settings.process.command_wait;
    let store = open::writing(call)?;
    let meant = targets(&*store, args)?;
    let mut targets = Vec::with_capacity(meant.len());
    for (daemon, process) in &meant {
        targets.push(Target {
            daemon: Some(daemon.clone()),
            ..Target::whole(process, &serde_json::json!({ "name": daemon }))
        });
    }
    let answers = ask(call, &*store, act.verb(), &targets, within)?;
    call.answer(act.command(), &Answered { answers })
}

/// Which daemons of which live processes are meant; never empty.
fn targets(store: &dyn Store, args: &Args) -> Result<Vec<(String, ProcessState)>, Stop> {
    let wanted = args.name.to_ascii_uppercase();
    let processes = match &args.process {
        Some(text) => vec![resolve::process(store, text)?],
        None => store
            .processes()
            .wait()?
            .into_iter()
            .filter(lives)
            .collect(),
    };
    let daemons = store.daemons().wait()?;
    let mut targets = Vec::new();
    for process in &processes {
        for daemon in &daemons {
            let here = daemon.process == process.process.id;
            let meant = if wanted == "ALL" {
                !SELF_KEPT.contains(&daemon.name.as_str())
            } else {
                daemon.name == wanted
            };
            if here && meant {
                targets.push((daemon.name.clone(), process.clone()));
            }
        }
    }
    if !targets.is_empty() {
        return Ok(targets);
    }
    let known: BTreeSet<&str> = daemons.iter().map(|daemon| daemon.name.as_str()).collect();
    if wanted != "ALL" && !known.is_empty() && !known.contains(wanted.as_str()) {
        return Err(Error::NotFound {
            kind: "daemon",
            value: args.name.clone(),
            hint: nearest(&wanted, known.into_iter()),
            next: "ringrift daemons ls",
        }
        .into());
    }
    Err(Error::NobodyThere {
        what: format!("hosts {wanted}"),
    }
    .into())
}

impl Report for Answered {
    fn write(&self, text: &mut Text) {
        for answer in &self.answers {
            let daemon = answer.daemon.as_deref().unwrap_or_default();
            text.line(format!("{daemon} in pid {}: {}", answer.pid, answer.answer));
        }
    }
}
