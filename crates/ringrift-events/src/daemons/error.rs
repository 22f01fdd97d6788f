//! What the supervisor refuses.

use std::borrow::Cow;

use crate::coded::{Class, Coded};

/// A refused request about a daemon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No daemon of this process has that name.
    #[error("no daemon {name} in this process; it has {}", known.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The system needs this daemon for itself.
    #[error("daemon {name} belongs to the system and cannot be stopped by hand")]
    Internal {
        /// The daemon.
        name: String,
    },
    /// Its start failed.
    #[error("daemon {name} did not start: {why}")]
    StartFailed {
        /// The daemon.
        name: String,
        /// What it said.
        why: String,
    },
}

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Unknown { .. } => "DAEMON_UNKNOWN",
            Error::Internal { .. } => "DAEMON_INTERNAL",
            Error::StartFailed { .. } => "DAEMON_START_FAILED",
        }
    }

    fn class(&self) -> Class {
        match self {
            Error::Unknown { .. } | Error::Internal { .. } => Class::Refused,
            Error::StartFailed { .. } => Class::Unavailable,
        }
    }

    fn value(&self) -> Option<Cow<'_, str>> {
        match self {
            Error::Unknown { name, .. }
            | Error::Internal { name }
            | Error::StartFailed { name, .. } => Some(Cow::Borrowed(name)),
        }
    }

    fn next(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed("ringrift daemons ls"))
    }
}
