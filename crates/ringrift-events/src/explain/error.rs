//! Why a question about an event or a subscription has no answer.

use std::borrow::Cow;

use crate::coded::{Class, Coded};
use crate::{catalog, store};

/// What explaining refuses, and what it cannot tell.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name could mean several things.
    #[error("{value:?} could be any of {}", candidates.join(", "))]
    Ambiguous {
        /// The name.
        value: String,
        /// What it could mean, at most ten.
        candidates: Vec<String>,
    },
    /// No event that is kept goes by this name.
    #[error("no event that is kept goes by {value:?}: {kept}")]
    EventUnknown {
        /// The name.
        value: String,
        /// What is kept, and since when.
        kept: String,
        /// Where more is to be seen.
        next: String,
    },
    /// No event can go by this name yet: the log has not come so far.
    #[error("no event of the log goes by {value:?}: {kept}")]
    EventToCome {
        /// The number.
        value: String,
        /// Where the log ends.
        kept: String,
    },
    /// No subscription goes by this name.
    #[error("no subscription goes by {value:?}{hint}")]
    SubscriptionUnknown {
        /// The name.
        value: String,
        /// Similar names, if there are any.
        hint: String,
    },
    /// The type or the payload is refused at the door.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Ambiguous { .. } => "NAME_AMBIGUOUS",
            Error::EventUnknown { .. } | Error::EventToCome { .. } => "EVENT_UNKNOWN",
            Error::SubscriptionUnknown { .. } => "NAME_UNKNOWN",
            Error::Catalog(error) => error.code(),
            Error::Store(error) => Coded::code(error),
        }
    }

    fn class(&self) -> Class {
        match self {
            Error::Ambiguous { .. } | Error::SubscriptionUnknown { .. } => Class::Refused,
            Error::EventUnknown { .. } | Error::EventToCome { .. } => Class::Unknown,
            Error::Catalog(error) => error.class(),
            Error::Store(error) => error.class(),
        }
    }

    fn value(&self) -> Option<Cow<'_, str>> {
        match self {
            Error::Ambiguous { value, .. }
            | Error::EventUnknown { value, .. }
            | Error::EventToCome { value, .. }
            | Error::SubscriptionUnknown { value, .. } => Some(Cow::Borrowed(value)),
            Error::Catalog(error) => error.value(),
            Error::Store(error) => error.value(),
        }
    }

    fn next(&self) -> Option<Cow<'_, str>> {
        match self {
            Error::Ambiguous { candidates, .. } => {
                Some(Cow::Owned(format!("say one of: {}", candidates.join("  "))))
            }
            Error::EventUnknown { next, .. } => Some(Cow::Borrowed(next)),
            Error::EventToCome { .. } => Some(Cow::Borrowed("ringrift events ls")),
            Error::SubscriptionUnknown { .. } => Some(Cow::Borrowed("ringrift subs ls")),
            Error::Catalog(error) => error.next(),
            Error::Store(error) => error.next(),
        }
    }
}
