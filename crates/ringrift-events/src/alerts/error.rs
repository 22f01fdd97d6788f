//! What can go wrong while alerts are asked for or answered.

use std::borrow::Cow;

use crate::coded::{Class, Coded};
use crate::store;

/// What can go wrong while alerts are asked for or answered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Nothing of this kind goes by this name. `NAME_UNKNOWN`.
    #[error("no {kind} goes by {name:?}{}", nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    Unknown {
        /// `alert`, `rule`, `sink` or `silence`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The one that may have been meant.
        nearest: Option<String>,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Unknown { .. } => "NAME_UNKNOWN",
            Error::Store(error) => error.code(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Error::Unknown { .. } => Class::Refused,
            Error::Store(error) => error.class(),
        }
    }

    fn value(&self) -> Option<Cow<'_, str>> {
        match self {
            Error::Unknown { name, .. } => Some(Cow::Borrowed(name)),
            Error::Store(error) => error.value(),
        }
    }

    fn next(&self) -> Option<Cow<'_, str>> {
        match self {
            Error::Unknown { kind, .. } => Some(Cow::Borrowed(match *kind {
                "rule" => "ringrift alerts rules",
                "silence" => "ringrift alerts silence",
                _ => "ringrift alerts ls --all",
            })),
            Error::Store(error) => error.next(),
        }
    }
}
