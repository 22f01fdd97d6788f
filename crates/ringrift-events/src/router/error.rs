//! What the router refuses, and why.

use std::borrow::Cow;

use super::subscribe::NAME_BYTES_MAX;
use crate::coded::{Class, Coded, quoted};
use crate::event::EventId;
use crate::{catalog, store};

/// A refused publish or subscribe. Nothing was delivered, and nothing is half-done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The door refused the type, the payload or the filter.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// Handlers publish in a circle.
    #[error(
        "publish of {event_type} refused: it would be {depth} events deep in its chain (at most {depth_max}); \
         handlers publish in a circle that began with event {parent}"
    )]
    TooDeep {
        /// The type.
        event_type: String,
        /// How deep it would be.
        depth: u16,
        /// How deep it may be.
        depth_max: u16,
        /// The event whose handler published it.
        parent: EventId,
    },
    /// The publish itself cannot be.
    #[error("publish refused: {problem}")]
    Rejected {
        /// What is wrong, with the value.
        problem: String,
    },
    /// A bound on publishes in flight was reached.
    #[error(
        "{count} publishes with {bytes} bytes of payload are in flight (at most {count_max} and {bytes_max})"
    )]
    Backpressure {
        /// Publishes in flight.
        count: usize,
        /// Their payload.
        bytes: usize,
        /// The bound on the first.
        count_max: usize,
        /// The bound on the second.
        bytes_max: usize,
    },
    /// The store refused or failed; the event's id makes publishing again safe.
    #[error("event {id} is not published: {source}")]
    PublishFailed {
        /// The event.
        id: EventId,
        /// What the store said.
        #[source]
        source: store::Error,
    },
    /// The store refused or failed outside a publish, or this is a child of `fork()`.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Another function has this name in this process.
    #[error(
        "the name {name} belongs to another handler of this process; give this one a name of its own"
    )]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The name cannot be one of a subscription.
    #[error(
        "subscription name {name:?}: {problem}; a name has 1 to {NAME_BYTES_MAX} bytes, letters, digits and ._-:/@<>, and begins with a letter, a digit or _"
    )]
    NameInvalid {
        /// The name, at most its first 200 bytes.
        name: String,
        /// What is odd about it.
        problem: String,
    },
    /// A durable subscription to a type that does not leave its process.
    #[error(
        "durable subscription {name} to {event_type}: that type is not bridged, so no event of it is ever in the log"
    )]
    NotBridged {
        /// The subscription.
        name: String,
        /// The type.
        event_type: String,
    },
    /// A subscription without a type, or with a policy that cannot be.
    #[error("subscription {name}: {problem}")]
    Definition {
        /// The subscription.
        name: String,
        /// What is wrong, with the value.
        problem: String,
    },
    /// The router is shutting down.
    #[error("the router is stopped; {attempted} was refused")]
    Stopped {
        /// What was attempted.
        attempted: &'static str,
    },
}

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Catalog(error) => error.code(),
            Error::TooDeep { .. } | Error::Rejected { .. } => "PUB_REJECTED",
            Error::Backpressure { .. } => "PUB_BACKPRESSURE",
            Error::PublishFailed { source, .. } => publish_failed(source.code),
            Error::Store(error) => error.code(),
            Error::NameTaken { .. } => "SUBSCRIPTION_NAME_TAKEN",
            Error::NameInvalid { .. } => "SUBSCRIPTION_NAME_INVALID",
            Error::NotBridged { .. } => "SUBSCRIPTION_NOT_BRIDGED",
            Error::Definition { .. } => "SUBSCRIPTION_INVALID",
            Error::Stopped { .. } => "ROUTER_STOPPED",
        }
    }

    fn class(&self) -> Class {
        match self {
            Error::Catalog(error) => error.class(),
            Error::Backpressure { .. } | Error::Stopped { .. } => Class::Unavailable,
            Error::PublishFailed { source, .. } => source.class(),
            Error::Store(error) => error.class(),
            Error::TooDeep { .. }
            | Error::Rejected { .. }
            | Error::NameTaken { .. }
            | Error::NameInvalid { .. }
            | Error::NotBridged { .. }
            | Error::Definition { .. } => Class::Refused,
        }
    }

    fn value(&self) -> Option<Cow<'_, str>> {
        match self {
            Error::Catalog(error) => error.value(),
            Error::TooDeep { event_type, .. } | Error::NotBridged { event_type, .. } => {
                Some(Cow::Borrowed(event_type))
            }
            Error::Backpressure { count, .. } => Some(Cow::Owned(count.to_string())),
            Error::PublishFailed { id, .. } => Some(Cow::Owned(id.to_string())),
            Error::NameTaken { name }
            | Error::NameInvalid { name, .. }
            | Error::Definition { name, .. } => Some(Cow::Borrowed(name)),
            Error::Store(error) => error.value(),
            Error::Rejected { .. } | Error::Stopped { .. } => None,
        }
    }

    fn next(&self) -> Option<Cow<'_, str>> {
        match self {
            Error::Catalog(error) => error.next(),
            Error::TooDeep { parent, .. } => {
                Some(Cow::Owned(format!("ringrift events show {parent}")))
            }
            Error::Backpressure { .. } => Some(Cow::Borrowed("ringrift status")),
            Error::Rejected { .. } => Some(Cow::Borrowed("ringrift publish --help")),
            Error::PublishFailed { source, id } => Some(source.next.clone().map_or_else(
                || Cow::Owned(format!("ringrift events show {id}")),
                Cow::Owned,
            )),
            Error::Store(error) => error.next(),
            Error::NotBridged { event_type, .. } => Some(Cow::Owned(format!(
                "ringrift types show {}",
                quoted(event_type.as_str())
            ))),
            Error::NameInvalid { .. } => Some(Cow::Borrowed("ringrift subscribe --help")),
            Error::NameTaken { name } | Error::Definition { name, .. } => {
                Some(Cow::Owned(format!("ringrift subs show {}", quoted(name))))
            }
            Error::Stopped { .. } => Some(Cow::Borrowed("ringrift processes ls")),
        }
    }

    fn may_have_applied(&self) -> bool {
        match self {
            Error::PublishFailed { source, .. } | Error::Store(source) => source.may_have_applied,
            Error::Catalog(_)
            | Error::TooDeep { .. }
            | Error::Rejected { .. }
            | Error::Backpressure { .. }
            | Error::NameTaken { .. }
            | Error::NameInvalid { .. }
            | Error::NotBridged { .. }
            | Error::Definition { .. }
            | Error::Stopped { .. } => false,
        }
    }
}

/// The publisher's word for a store's failure; what the publisher can act on keeps its own.
pub(super) fn publish_failed(code: store::ErrorCode) -> &'static str {
    if code == store::ErrorCode::Backpressure {
        "PUB_BACKPRESSURE"
    } else if code == store::ErrorCode::IdempotencyConflict {
        code.as_str()
    } else {
        "PUB_STORE_FAILED"
    }
}

impl Error {
    /// Whether the same call may succeed later without anybody's help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Backpressure { .. } => true,
            Error::PublishFailed { source, .. } | Error::Store(source) => source.is_retryable(),
            Error::Catalog(_)
            | Error::TooDeep { .. }
            | Error::Rejected { .. }
            | Error::NameTaken { .. }
            | Error::NameInvalid { .. }
            | Error::NotBridged { .. }
            | Error::Definition { .. }
            | Error::Stopped { .. } => false,
        }
    }
}
