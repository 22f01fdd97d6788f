//! What every operator-facing error can say of itself: a code, the value at fault, what to run
//! next, and how a script should take it.

use std::borrow::Cow;

/// How a caller should take an error; the command's exit code follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The input is at fault (exit 3).
    Refused,
    /// The store or a process is not available; try again (exit 4).
    Unavailable,
    /// The store is damaged or newer than this program (exit 5).
    Damaged,
    /// It cannot be told, or time ran out (exit 6).
    Unknown,
}

/// An error with a code that has a page in `docs/errors/`.
pub trait Coded: std::error::Error {
    /// The code, such as `STORE_BUSY`.
    fn code(&self) -> &'static str;

    /// How to take it.
    fn class(&self) -> Class;

    /// The value at fault.
    fn value(&self) -> Option<Cow<'_, str>> {
        None
    }

    /// The next command to run.
    fn next(&self) -> Option<Cow<'_, str>> {
        None
    }

    /// The outcome is unknown: the change may have been made.
    fn may_have_applied(&self) -> bool {
        false
    }
}
