//! A command for processes of the home, and what each answered.

use std::time::Duration;

use serde_json::Value;

use crate::clock::Clock;
use crate::event::{ProcessId, bounded_by};
use crate::store::{Error, Store};

/// Longest wait for the doorbell before the answers are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One command for one process.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Whom.
    pub process: ProcessId,
    /// What it is to do, such as `daemon.start`.
    pub verb: String,
    /// With what, a JSON object.
    pub arguments: Value,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was done; the process's own words.
    Done(String),
    /// The process refused; its own words.
    Refused(String),
    /// No answer came in time; it may be done all the same, later.
    Silent,
}

/// Asks each and waits for every reply, at most `within`; replies stand in the order of the
/// questions. Blocks. `by` is kept in the audit.
///
/// # Errors
/// The store's. What was asked until then may be done.
pub fn ask(
    store: &dyn Store,
    clock: &dyn Clock,
    questions: &[Question],
    by: &str,
    within: Duration,
) -> Result<Vec<Reply>, Error> {
    let mut open = Vec::with_capacity(questions.len());
    for question in questions {
        let sent = store.send(
            question.process,
            question.verb.clone(),
            question.arguments.to_string(),
            bounded_by(by),
        );
        open.push((sent.wait()?, Reply::Silent));
    }
    let until = clock.monotonic() + within;
    let mut seen = 0;
    loop {
        for (command, reply) in open.iter_mut().filter(|(_, reply)| *reply == Reply::Silent) {
            if let Some(text) = store.command(*command).wait()?.result {
                *reply = match text.starts_with("ok") {
                    true => Reply::Done(text),
                    false => Reply::Refused(text),
                };
            }
        }
        let is_silent = open.iter().any(|(_, reply)| *reply == Reply::Silent);
        if !is_silent || clock.monotonic() >= until {
            return Ok(open.into_iter().map(|(_, reply)| reply).collect());
        }
        seen = store.wait_for_news(seen, LOOK_EVERY);
    }
}
