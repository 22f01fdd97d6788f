//! What a look at the wiring can be refused for.

use std::borrow::Cow;
use std::path::PathBuf;

use crate::coded::{Class, Coded};

/// Why the wiring could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store's own error.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// A folder or file of users' sources cannot be read.
    #[error("cannot read the sources at {}: {why}", path.display())]
    Source {
        /// What was named.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A baseline cannot be read or written, or a line of it is none.
    #[error("the baseline {}{}: {why}", path.display(), line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Baseline {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: Option<usize>,
        /// What is wrong with it.
        why: String,
    },
}

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Store(error) => error.code(),
            Error::Source { .. } => "LINT_SOURCE_UNREADABLE",
            Error::Baseline { .. } => "LINT_BASELINE_INVALID",
        }
    }

    fn class(&self) -> Class {
        match self {
            Error::Store(error) => error.class(),
            Error::Source { .. } | Error::Baseline { .. } => Class::Refused,
        }
    }

    fn value(&self) -> Option<Cow<'_, str>> {
        match self {
            Error::Store(error) => error.value(),
            Error::Source { path, .. } | Error::Baseline { path, .. } => {
                Some(Cow::Owned(path.display().to_string()))
            }
        }
    }

    fn next(&self) -> Option<Cow<'_, str>> {
        match self {
            Error::Store(error) => Coded::next(error),
            Error::Source { .. } | Error::Baseline { .. } => {
                Some(Cow::Borrowed("ringrift lint --help"))
            }
        }
    }
}
