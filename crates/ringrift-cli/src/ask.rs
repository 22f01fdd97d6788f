//! A command for processes of the home, and their answers or the error that names who gave none.

use std::collections::BTreeMap;
use std::time::Duration;

use ringrift_events::recovery::{self, Question, Reply};
use ringrift_events::store::Store;
use ringrift_events::store::registry::ProcessState;
use serde::Serialize;
use serde_json::Value;

use crate::call::Call;
use crate::failure::{Error, Stop};
use crate::output::duration_text;

/// Who is asked, with what.
#[derive(Clone, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) process: &'a ProcessState,
    /// The daemon that is meant, where it is one of several.
    pub(crate) daemon: Option<String>,
    pub(crate) arguments: Value,
}

impl<'a> Target<'a> {
    /// A process as a whole.
    pub(crate) fn whole(process: &'a ProcessState, arguments: &Value) -> Target<'a> {
        Target {
            process,
            daemon: None,
            arguments: arguments.clone(),
        }
    }
}

/// Each process once, with the daemons that were meant in it.
fn named(silent: &[&Target<'_>]) -> Vec<String> {
    let mut processes: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for target in silent {
        let daemons = processes.entry(target.process.process.pid).or_default();
        daemons.extend(target.daemon.as_deref());
    }
    let one = |(pid, daemons): (&u32, &Vec<&str>)| match daemons.as_slice() {
        [] => format!("pid {pid}"),
        daemons => format!("pid {pid} ({})", daemons.join(", ")),
    };
    processes.iter().map(one).collect()
}

/// What one process answered.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Asked {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) daemon: Option<String>,
    pub(crate) process: String,
    pub(crate) pid: u32,
    pub(crate) answer: String,
}

/// Asks each and waits for every answer, at most `within`.
///
/// Who did not answer, and the first refusal, are errors that name the process.
pub(crate) fn ask(
    call: &Call,
    store: &dyn Store,
    verb: &str,
    targets: &[Target<'_>],
    within: Duration,
) -> Result<Vec<Asked>, Stop> {
    let question = |target: &Target<'_>| Question {
        process: target.process.process.id,
        verb: verb.to_owned(),
        arguments: target.arguments.clone(),
    };
    let questions: Vec<Question> = targets.iter().map(question).collect();
    let replies = recovery::ask(store, &*call.clock, &questions, &call.by(), within)?;
    let (mut answers, mut silent, mut refused) = (Vec::new(), Vec::new(), None);
    for (target, reply) in targets.iter().zip(replies) {
        match reply {
            Reply::Done(answer) => answers.push(Asked {
                daemon: target.daemon.clone(),
                process: target.process.process.id.to_string(),
                pid: target.process.process.pid,
                answer,
            }),
            Reply::Refused(answer) => refused = refused.or(Some((target, answer))),
            Reply::Silent => silent.push(target),
        }
    }
    if !silent.is_empty() {
        let (silent, within) = (named(&silent), duration_text(within));
        return Err(Error::Unanswered { silent, within }.into());
    }
    match refused {
        None => Ok(answers),
        Some((target, answer)) => Err(Error::CommandRefused {
            process: format!("pid {}", target.process.process.pid),
            answer,
        }
        .into()),
    }
}
