//! `ringrift daemons stop|start|restart`: a command to the processes that host the daemon, and
//! their answers.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args as ClapArgs;
use ringrift_events::daemons::{COMMANDS, HEARTBEAT};
use ringrift_events::store::Store;
use ringrift_events::store::registry::ProcessState;
use serde::Serialize;

use crate::call::Call;
use crate::failure::{Done, Error, Stop};
use crate::output::{Report, Text, duration_text};
use crate::resolve::{lives, nearest};
use crate::{open, resolve};

/// Longest wait for the doorbell before the answers are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

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
    answers: Vec<Answer>,
}

#[derive(Serialize)]
struct Answer {
    daemon: String,
    process: String,
    pid: u32,
    answer: String,
}

struct Asked {
    command: i64,
    daemon: String,
    process: ProcessState,
    answer: Option<String>,
}

/// Asks each process, and waits for the answers.
pub(crate) fn run(call: &Call, args: &Args, act: Act) -> Done {
    let within = open::config(call)?.settings.process.command_wait;
    let store = open::writing(call)?;
    let targets = targets(&*store, args)?;
    let mut asked = Vec::new();
    for (daemon, process) in targets {
        let arguments = serde_json::json!({ "name": daemon }).to_string();
        let sent = store.send(
            process.process.id,
            act.verb().to_owned(),
            arguments,
            call.by(),
        );
        asked.push(Asked {
            command: sent.wait()?,
            daemon,
            process,
            answer: None,
        });
    }
    await_answers(call, &*store, &mut asked, within)?;
    report(call, act, asked, within)
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

fn await_answers(
    call: &Call,
    store: &dyn Store,
    asked: &mut [Asked],
    within: Duration,
) -> Result<(), Stop> {
    let until = call.clock.monotonic() + within;
    let mut seen = 0;
    loop {
        for open in asked.iter_mut().filter(|asked| asked.answer.is_none()) {
            open.answer = store.command(open.command).wait()?.result;
        }
        let done = asked.iter().all(|asked| asked.answer.is_some());
        if done || call.clock.monotonic() >= until {
            return Ok(());
        }
        seen = store.wait_for_news(seen, LOOK_EVERY);
    }
}

fn report(call: &Call, act: Act, asked: Vec<Asked>, within: Duration) -> Done {
    let silent: Vec<String> = asked
        .iter()
        .filter(|asked| asked.answer.is_none())
        .map(|asked| format!("pid {} ({})", asked.process.process.pid, asked.daemon))
        .collect();
    if !silent.is_empty() {
        return Err(Error::Unanswered {
            silent,
            within: duration_text(within),
        }
        .into());
    }
    let answers: Vec<Answer> = asked
        .into_iter()
        .map(|asked| Answer {
            daemon: asked.daemon,
            process: asked.process.process.id.to_string(),
            pid: asked.process.process.pid,
            answer: asked.answer.unwrap_or_default(),
        })
        .collect();
    if let Some(refused) = answers
        .iter()
        .find(|answer| !answer.answer.starts_with("ok"))
    {
        return Err(Error::CommandRefused {
            process: format!("pid {}", refused.pid),
            answer: refused.answer.clone(),
        }
        .into());
    }
    call.answer(act.command(), &Answered { answers })
}

impl Report for Answered {
    fn write(&self, text: &mut Text) {
        for answer in &self.answers {
            text.line(format!(
                "{} in pid {}: {}",
                answer.daemon, answer.pid, answer.answer
            ));
        }
    }
}
