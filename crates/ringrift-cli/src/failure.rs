//! Why a command ended early, and the command's own errors.

use std::borrow::Cow;

use ringrift_events::coded::{Class, Coded};
use serde::Serialize;

use crate::exit::Exit;
use crate::pages;

/// What a command comes to: an exit code, or the reason why it stopped.
pub(crate) type Done = Result<Exit, Stop>;

/// Why a command stopped before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It failed.
    Failed(Box<Failure>),
    /// Whoever read standard output is gone: nothing is left to say, and nobody to say it to.
    ReaderGone,
}

/// An error as it is shown: in words, or as the `error` of the JSON envelope.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Failure {
    /// Its code; each has a page in `docs/errors/`.
    pub(crate) code: Cow<'static, str>,
    /// What happened: a lowercase fragment.
    pub(crate) message: String,
    /// The value at fault.
    pub(crate) value: Option<String>,
    /// The next command to run.
    pub(crate) next: Option<String>,
    /// The change may have been made although the answer is lost.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) may_have_applied: bool,
    /// How the program ends.
    #[serde(skip)]
    pub(crate) exit: Exit,
}

impl<E: Coded> From<E> for Stop {
    fn from(error: E) -> Stop {
        Stop::Failed(Box::new(Failure {
            code: Cow::Borrowed(error.code()),
            message: with_causes(&error),
            value: error.value().map(Cow::into_owned),
            next: error
                .next()
                .map(Cow::into_owned)
                .or_else(|| pages::next(error.code()).map(str::to_owned)),
            may_have_applied: error.may_have_applied(),
            exit: error.class().into(),
        }))
    }
}

/// An error's text followed by its causes, leaving out those its text repeats already.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = next.source();
    }
    text
}

/// The command's own refusals; the library's carry their own codes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A time could not be read.
    #[error("{value:?} is no time: {why}")]
    Time {
        /// As it was given.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// A duration could not be read.
    #[error("{value:?} is no duration")]
    Duration {
        /// As it was given.
        value: String,
    },
    /// Nothing goes by this name.
    #[error("no {kind} goes by {value:?}{hint}")]
    NotFound {
        /// What was looked for.
        kind: &'static str,
        /// The name.
        value: String,
        /// Similar names, if there are any.
        hint: String,
        /// The command that lists what there is.
        next: &'static str,
    },
    /// A name could mean several things.
    #[error("{value:?} could be any of {}", candidates.join(", "))]
    Ambiguous {
        /// The name.
        value: String,
        /// What it could mean, at most ten.
        candidates: Vec<String>,
    },
    /// A destructive verb was not confirmed.
    #[error("{what}: not confirmed, nothing was changed")]
    NotConfirmed {
        /// What would have happened.
        what: String,
        /// The same command, confirmed.
        next: String,
    },
    /// Another process did not take a command in time.
    #[error("{} did not answer within {within}: {}", plural(silent.len()), silent.join(", "))]
    Unanswered {
        /// Who.
        silent: Vec<String>,
        /// How long was waited.
        within: String,
    },
    /// Another process refused a command.
    #[error("{process} refused: {answer}")]
    CommandRefused {
        /// Who.
        process: String,
        /// What it said.
        answer: String,
    },
    /// No live process could take a command.
    #[error("no live process of this home {what}")]
    NobodyThere {
        /// What was looked for.
        what: String,
    },
    /// One line of the input was refused.
    #[error("line {line}: {why}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
        /// What was published before it.
        published: u64,
    },
    /// A value was refused.
    #[error("{what}: {why}")]
    Input {
        /// What was given.
        what: String,
        /// What is wrong with it.
        why: String,
        /// The next command to run.
        next: &'static str,
    },
    /// A file or standard stream could not be read or written.
    #[error("{what}")]
    Io {
        /// What was attempted, and on what.
        what: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// An address could not be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The time that was given ran out.
    #[error("{what} within {limit}")]
    TimedOut {
        /// What did not happen.
        what: String,
        /// The limit.
        limit: String,
        /// The next command to run.
        next: String,
    },
}

fn committed(count: u64) -> String {
    match count {
        0 => "no event is committed".to_owned(),
        1 => "one event is committed".to_owned(),
        count => format!("{count} events are committed"),
    }
}

fn plural(count: usize) -> String {
    if count == 1 {
        "one process".to_owned()
    } else {
        format!("{count} processes")
    }
}

/// Every code of [`Error`], for the test that pairs codes with pages.
#[cfg(test)]
pub(crate) const CODES: &[&str] = &[
    "NOT_A_TIME",
    "NOT_A_DURATION",
    "NAME_UNKNOWN",
    "NAME_AMBIGUOUS",
    "NOT_CONFIRMED",
    "COMMAND_UNANSWERED",
    "COMMAND_REFUSED",
    "NO_LIVE_PROCESS",
    "LINE_REFUSED",
    "INPUT_REFUSED",
    "FILE_FAILED",
    "LISTEN_FAILED",
    "TIMED_OUT",
];

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Time { .. } => "NOT_A_TIME",
            Error::Duration { .. } => "NOT_A_DURATION",
            Error::NotFound { .. } => "NAME_UNKNOWN",
            Error::Ambiguous { .. } => "NAME_AMBIGUOUS",
            Error::NotConfirmed { .. } => "NOT_CONFIRMED",
            Error::Unanswered { .. } => "COMMAND_UNANSWERED",
            Error::CommandRefused { .. } => "COMMAND_REFUSED",
            Error::NobodyThere { .. } => "NO_LIVE_PROCESS",
            Error::Line { .. } => "LINE_REFUSED",
            Error::Input { .. } => "INPUT_REFUSED",
            Error::Io { .. } => "FILE_FAILED",
            Error::Listen { .. } => "LISTEN_FAILED",
            Error::TimedOut { .. } => "TIMED_OUT",
        }
    }

    fn class(&self) -> Class {
        match self {
            Error::Time { .. }
            | Error::Duration { .. }
            | Error::NotFound { .. }
            | Error::Ambiguous { .. }
            | Error::NotConfirmed { .. }
            | Error::CommandRefused { .. }
            | Error::Line { .. }
            | Error::Input { .. } => Class::Refused,
            Error::Unanswered { .. }
            | Error::NobodyThere { .. }
            | Error::Io { .. }
            | Error::Listen { .. } => Class::Unavailable,
            Error::TimedOut { .. } => Class::Unknown,
        }
    }

    fn value(&self) -> Option<Cow<'_, str>> {
        match self {
            Error::Time { value, .. }
            | Error::Duration { value }
            | Error::NotFound { value, .. }
            | Error::Ambiguous { value, .. } => Some(Cow::Borrowed(value)),
            Error::Unanswered { silent, .. } => Some(Cow::Owned(silent.join(", "))),
            Error::CommandRefused { process, .. } => Some(Cow::Borrowed(process)),
            Error::Line { line, .. } => Some(Cow::Owned(line.to_string())),
            Error::Input { what, .. } => Some(Cow::Borrowed(what)),
            Error::Listen { address, .. } => Some(Cow::Owned(address.to_string())),
            Error::NotConfirmed { .. }
            | Error::NobodyThere { .. }
            | Error::Io { .. }
            | Error::TimedOut { .. } => None,
        }
    }

    fn next(&self) -> Option<Cow<'_, str>> {
        match self {
            Error::Time { .. } => Some(Cow::Borrowed(
                "use 90s, 15m, 1h, 7d, or a date such as 2026-11-23 or 2026-11-23T14:30",
            )),
            Error::Duration { .. } => Some(Cow::Borrowed("use 500ms, 90s, 15m, 1h or 7d")),
            Error::NotFound { next, .. } | Error::Input { next, .. } => Some(Cow::Borrowed(next)),
            Error::NotConfirmed { next, .. } | Error::TimedOut { next, .. } => {
                Some(Cow::Borrowed(next))
            }
            Error::Ambiguous { candidates, .. } => {
                Some(Cow::Owned(format!("say one of: {}", candidates.join("  "))))
            }
            Error::Unanswered { .. } | Error::CommandRefused { .. } | Error::NobodyThere { .. } => {
                Some(Cow::Borrowed("ringrift processes ls"))
            }
            Error::Line { published, .. } => Some(Cow::Owned(format!(
                "{} before it; mend the line and publish from it on, or use --keep-going",
                committed(*published)
            ))),
            // The page's advice.
            Error::Io { .. } | Error::Listen { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_code_value_next_and_exit() {
        let stop = Stop::from(Error::Duration {
            value: "soon".into(),
        });
        let Stop::Failed(failure) = stop else {
            panic!("a refusal is a failure")
        };
        assert_eq!(failure.code, "NOT_A_DURATION");
        assert_eq!(failure.value.as_deref(), Some("soon"));
        assert_eq!(failure.exit, Exit::Refused);
        assert!(failure.next.is_some());
    }

    #[test]
    fn an_error_without_a_next_command_takes_its_pages() {
        let stop = Stop::from(Error::Io {
            what: "cannot read payload.json".into(),
            source: std::io::Error::other("no such file"),
        });
        let Stop::Failed(failure) = stop else {
            panic!("a failure")
        };
        assert_eq!(failure.next.as_deref(), Some("ringrift status"));
    }

    #[test]
    fn causes_are_told_once() {
        let error = Error::Io {
            what: "cannot read payload.json".into(),
            source: std::io::Error::other("no such file"),
        };
        assert_eq!(
            with_causes(&error),
            "cannot read payload.json: no such file"
        );
    }
}
