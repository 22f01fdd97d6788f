//! What the user's function answers, and how it becomes an outcome.

use std::error::Error;
use std::io;
use std::time::Duration;

use crate::clock::Time;
use crate::event::EventId;
use crate::verdict::{Circumstances, ERROR_BYTES_MAX, Failure, FailureKind, Outcome, RetryWish};

/// The answer of a handler's function. `?` works on any error.
pub type Reply = Result<(), NotDone>;

/// Why an event was not handled.
#[derive(Debug)]
pub enum NotDone {
    /// It does not concern this handler; nothing is tried again.
    Skip(String),
    /// The handler keeps keys of its own and has handled the same before; nothing is tried again.
    /// With a dedup policy the handler is not even called.
    Duplicate {
        /// The event that had the key first.
        original: EventId,
        /// The key.
        key: String,
        /// When its window ends.
        window_ends_at: Time,
    },
    /// Its host could not call the function at all: nothing happened, and the event goes back
    /// without an attempt. Only for hosts of async functions; of others it is a failure.
    NotBegun,
    /// It is to be tried again after this long. Counts as a failed attempt.
    Retry {
        /// How long to wait at least.
        after: Duration,
        /// Why, for the dead letter.
        reason: String,
    },
    /// It can never succeed: the letter is dead at once.
    Dead(String),
    /// It failed; the retry policy decides.
    Failed(Box<dyn Error + Send + Sync>),
}

impl NotDone {
    /// A failure from anything that can be an error: a text, an `anyhow::Error`.
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> NotDone {
        NotDone::Failed(error.into())
    }

    /// "It does not concern me", with the reason that operators will read.
    pub fn skip(reason: impl Into<String>) -> NotDone {
        NotDone::Skip(reason.into())
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for NotDone {
    fn from(error: E) -> NotDone {
        NotDone::Failed(Box::new(error))
    }
}

/// What a reply comes to. May run the user's `Display`: guard it like the function itself.
pub(super) fn outcome(reply: Reply, took: Duration, step: Option<String>) -> Outcome {
    let failed = |kind, message: String, wish, errno: Vec<i32>| {
        Outcome::Failed(Failure {
            kind,
            message: bounded(message),
            took,
            step,
            wish,
            circumstances: Some(Box::new(Circumstances {
                errno,
                ..Circumstances::default()
            })),
        })
    };
    match reply {
        Ok(()) => Outcome::Done,
        Err(NotDone::Skip(reason)) => Outcome::Skipped {
            reason: bounded(reason),
        },
        Err(NotDone::Duplicate {
            original,
            key,
            window_ends_at,
        }) => Outcome::Duplicate {
            original,
            key: bounded(key),
            window_ends_at,
        },
        Err(NotDone::NotBegun) => failed(
            FailureKind::Error,
            "it could not be called".to_owned(),
            RetryWish::Policy,
            Vec::new(),
        ),
        Err(NotDone::Retry { after, reason }) => failed(
            FailureKind::Error,
            reason,
            RetryWish::After(after),
            Vec::new(),
        ),
        Err(NotDone::Dead(reason)) => {
            failed(FailureKind::Error, reason, RetryWish::Never, Vec::new())
        }
        Err(NotDone::Failed(error)) => {
            let errno = errno_chain(error.as_ref());
            let kind = if errno.iter().any(|errno| is_resource(*errno)) {
                FailureKind::Resource
            } else {
                FailureKind::Error
            };
            let message = with_causes(error.as_ref());
            failed(kind, message, RetryWish::Policy, errno)
        }
    }
}

/// Cuts a text at [`ERROR_BYTES_MAX`], on a character's border.
pub(super) fn bounded(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(ERROR_BYTES_MAX));
    text
}

/// Most causes that are looked at: a chain that leads back to itself must end.
const CAUSES_MAX: usize = 32;

fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    for _ in 0..CAUSES_MAX {
        let Some(cause) = next.filter(|_| text.len() < ERROR_BYTES_MAX) else {
            break;
        };
        let cause_text = cause.to_string();
        // Many errors repeat their cause in their own text.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// The system's error numbers in a chain of causes, outermost first; never from text.
fn errno_chain(error: &(dyn Error + 'static)) -> Vec<i32> {
    let mut found = Vec::new();
    let mut next = Some(error);
    for _ in 0..CAUSES_MAX {
        let Some(error) = next else { break };
        let errno = if let Some(error) = error.downcast_ref::<io::Error>() {
            error.raw_os_error()
        } else {
            error
                .downcast_ref::<rustix::io::Errno>()
                .map(|errno| errno.raw_os_error())
        };
        found.extend(errno);
        // A wrapping `io::Error` names the cause of what it wraps as its own, skipping the thing
        // itself, which may be the one with the number.
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    found
}

fn is_resource(errno: i32) -> bool {
    use rustix::io::Errno;
    [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::AGAIN,
    ]
    .iter()
    .any(|known| known.raw_os_error() == errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot export")]
    struct Wrapped(#[source] io::Error);

    fn failure(reply: Reply) -> Failure {
        let Outcome::Failed(failure) = outcome(reply, Duration::from_secs(1), None) else {
            panic!("expected a failure");
        };
        failure
    }

    #[test]
    fn a_question_mark_keeps_the_error_with_its_causes() {
        fn run() -> Reply {
            Err(Wrapped(io::Error::other("the roof is on fire")))?;
            Ok(())
        }
        let failure = failure(run());
        assert_eq!(failure.message, "cannot export: the roof is on fire");
        assert_eq!(failure.kind, FailureKind::Error);
    }

    #[test]
    fn a_refused_resource_is_known_by_its_number_however_deep_it_lies() {
        for errno in [24, 23, 12, 28] {
            let inner = io::Error::from_raw_os_error(errno);
            let middle = io::Error::other(Wrapped(io::Error::other(inner)));
            let failure = failure(Err(NotDone::from(Wrapped(middle))));
            assert_eq!(failure.kind, FailureKind::Resource, "errno {errno}");
            assert_eq!(failure.circumstances.unwrap().errno, [errno]);
        }
        let refused = io::Error::from_raw_os_error(13);
        assert_eq!(failure(Err(refused.into())).kind, FailureKind::Error);
    }

    #[test]
    fn a_handler_s_own_key_makes_a_duplicate() {
        let original = EventId(uuid::Uuid::from_u128(7));
        let known = NotDone::Duplicate {
            original,
            key: "training_completed config_key='hex8_2p'".to_owned(),
            window_ends_at: Time(5),
        };
        let outcome = outcome(Err(known), Duration::ZERO, None);
        assert!(
            matches!(outcome, Outcome::Duplicate { original: of, window_ends_at: Time(5), .. }
                if of == original)
        );
    }

    #[test]
    fn a_text_that_says_no_space_left_is_no_resource_failure() {
        let error = NotDone::failed("No space left on device (os error 28)");
        assert_eq!(failure(Err(error)).kind, FailureKind::Error);
    }

    #[test]
    fn an_error_text_is_cut_at_its_bound_on_a_characters_border() {
        let failure = failure(Err(NotDone::Dead("ü".repeat(ERROR_BYTES_MAX))));
        assert_eq!(failure.message.len(), ERROR_BYTES_MAX);
        assert_eq!(failure.wish, RetryWish::Never);
    }
}
