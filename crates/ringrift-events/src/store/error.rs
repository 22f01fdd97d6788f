//! What can go wrong in a store, as few kinds as callers branch on.

use crate::event::{EventId, Seq};

/// The kinds of store error. Each has a page in `docs/errors/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// Another process holds the write lock longer than the busy limit. `STORE_BUSY`.
    Busy,
    /// The disk, or the mapped files' space, is full. `STORE_FULL`.
    Full,
    /// The file or folder cannot be written. `STORE_READ_ONLY`.
    ReadOnly,
    /// There is no store at this home. `STORE_MISSING`.
    Missing,
    /// The database is gone from a home that had one. `STORE_LOST`.
    Lost,
    /// The file is not a RingRift store. `STORE_NOT_OURS`.
    NotOurs,
    /// A newer version wrote the file. `STORE_NEWER`.
    Newer,
    /// The file is damaged. `STORE_CORRUPT`.
    Corrupt,
    /// The file lies on a network file system. `STORE_NETWORK_FS`.
    NetworkFs,
    /// The file was restored or replaced under this process. `STORE_REPLACED`.
    Replaced,
    /// Two homes lead to one file, or the file was copied from another home. `STORE_TWO_HOMES`.
    TwoHomes,
    /// A group-writable home lacks setgid, or a file has the wrong mode. `STORE_PERMISSIONS`.
    Permissions,
    /// The handle was made before `fork()`. `STORE_FORKED`.
    Forked,
    /// The handle is closed. `STORE_CLOSED`.
    Closed,
    /// An earlier failure makes further writes unsafe until all processes closed. `STORE_POISONED`.
    Poisoned,
    /// The log is full of unsettled work or the disk nearly full. `STORE_BACKPRESSURE`.
    Backpressure,
    /// The claim was taken over; the answer is refused. `LEASE_LOST`.
    LeaseLost,
    /// The name has another definition. `SUBSCRIPTION_DIFFERS`.
    SubscriptionDiffers,
    /// The named thing does not exist. `NOT_FOUND`.
    NotFound,
    /// The thing is in a state that does not allow this. `WRONG_STATE`.
    WrongState,
    /// The event id or idempotency key was used for another event. `IDEMPOTENCY_CONFLICT`.
    IdempotencyConflict,
    /// Two declarations of one type differ. `TYPE_DIFFERS`.
    TypeDiffers,
    /// The restore is refused while processes live. `STORE_IN_USE`.
    InUse,
    /// An operator's statement is at fault, or may not do what it would. `SQL_REFUSED`.
    SqlRefused,
    /// The time that was given ran out. `TIMED_OUT`.
    TimedOut,
    /// Anything else the operating system or SQLite said. `STORE_IO`.
    Io,
}

impl ErrorCode {
    /// Every kind, for the test that pairs codes with pages.
    pub const ALL: &'static [ErrorCode] = &[
        ErrorCode::Busy,
        ErrorCode::Full,
        ErrorCode::ReadOnly,
        ErrorCode::Missing,
        ErrorCode::Lost,
        ErrorCode::NotOurs,
        ErrorCode::Newer,
        ErrorCode::Corrupt,
        ErrorCode::NetworkFs,
        ErrorCode::Replaced,
        ErrorCode::TwoHomes,
        ErrorCode::Permissions,
        ErrorCode::Forked,
        ErrorCode::Closed,
        ErrorCode::Poisoned,
        ErrorCode::Backpressure,
        ErrorCode::LeaseLost,
        ErrorCode::SubscriptionDiffers,
        ErrorCode::NotFound,
        ErrorCode::WrongState,
        ErrorCode::IdempotencyConflict,
        ErrorCode::TypeDiffers,
        ErrorCode::InUse,
        ErrorCode::SqlRefused,
        ErrorCode::TimedOut,
        ErrorCode::Io,
    ];

    /// The code as people and scripts see it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::Busy => "STORE_BUSY",
            ErrorCode::Full => "STORE_FULL",
            ErrorCode::ReadOnly => "STORE_READ_ONLY",
            ErrorCode::Missing => "STORE_MISSING",
            ErrorCode::Lost => "STORE_LOST",
            ErrorCode::NotOurs => "STORE_NOT_OURS",
            ErrorCode::Newer => "STORE_NEWER",
            ErrorCode::Corrupt => "STORE_CORRUPT",
            ErrorCode::NetworkFs => "STORE_NETWORK_FS",
            ErrorCode::Replaced => "STORE_REPLACED",
            ErrorCode::TwoHomes => "STORE_TWO_HOMES",
            ErrorCode::Permissions => "STORE_PERMISSIONS",
            ErrorCode::Forked => "STORE_FORKED",
            ErrorCode::Closed => "STORE_CLOSED",
            ErrorCode::Poisoned => "STORE_POISONED",
            ErrorCode::Backpressure => "STORE_BACKPRESSURE",
            ErrorCode::LeaseLost => "LEASE_LOST",
            ErrorCode::SubscriptionDiffers => "SUBSCRIPTION_DIFFERS",
            ErrorCode::NotFound => "NOT_FOUND",
            ErrorCode::WrongState => "WRONG_STATE",
            ErrorCode::IdempotencyConflict => "IDEMPOTENCY_CONFLICT",
            ErrorCode::TypeDiffers => "TYPE_DIFFERS",
            ErrorCode::InUse => "STORE_IN_USE",
            ErrorCode::SqlRefused => "SQL_REFUSED",
            ErrorCode::TimedOut => "TIMED_OUT",
            ErrorCode::Io => "STORE_IO",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            ErrorCode::Busy | ErrorCode::Full | ErrorCode::Backpressure | ErrorCode::InUse
        )
    }
}

/// A store's refusal or failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Its kind; callers branch on this, never on the text.
    pub code: ErrorCode,
    /// A lowercase fragment that names the thing, the value at fault and what was attempted.
    pub message: String,
    /// The next command to run, if one helps.
    pub next: Option<String>,
    /// The outcome is unknown: the change may be in the store.
    pub may_have_applied: bool,
}

impl Error {
    /// An error that certainly changed nothing.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Error {
        Error {
            code,
            message: message.into(),
            next: None,
            may_have_applied: false,
        }
    }

    /// The same error with the next command to run.
    #[must_use]
    pub fn with_next(mut self, next: impl Into<String>) -> Error {
        self.next = Some(next.into());
        self
    }

    /// The same error, its outcome unknown.
    #[must_use]
    pub fn unknown_outcome(mut self) -> Error {
        self.may_have_applied = true;
        self
    }

    /// Whether the same call may succeed later without anybody's help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.code.is_retryable()
    }

    /// The error for an event that is not in the log.
    #[must_use]
    pub fn no_event(id: EventId) -> Error {
        Error::new(ErrorCode::NotFound, format!("no event {id} in the log"))
            .with_next("ringrift events ls")
    }

    /// The error for a position that is not in the log.
    #[must_use]
    pub fn no_seq(seq: Seq) -> Error {
        Error::new(
            ErrorCode::NotFound,
            format!("no event with number {seq} in the log"),
        )
        .with_next("ringrift events ls")
    }
}

impl crate::coded::Coded for Error {
    fn code(&self) -> &'static str {
        self.code.as_str()
    }

    fn class(&self) -> crate::coded::Class {
        use crate::coded::Class;
        match self.code {
            ErrorCode::Busy
            | ErrorCode::Full
            | ErrorCode::ReadOnly
            | ErrorCode::Missing
            | ErrorCode::Closed
            | ErrorCode::Backpressure
            | ErrorCode::InUse
            | ErrorCode::Permissions
            | ErrorCode::Forked
            | ErrorCode::Io => Class::Unavailable,
            ErrorCode::Lost
            | ErrorCode::NotOurs
            | ErrorCode::Newer
            | ErrorCode::Corrupt
            | ErrorCode::Poisoned
            | ErrorCode::Replaced => Class::Damaged,
            ErrorCode::NetworkFs
            | ErrorCode::TwoHomes
            | ErrorCode::LeaseLost
            | ErrorCode::SubscriptionDiffers
            | ErrorCode::NotFound
            | ErrorCode::WrongState
            | ErrorCode::IdempotencyConflict
            | ErrorCode::TypeDiffers
            | ErrorCode::SqlRefused => Class::Refused,
            ErrorCode::TimedOut => Class::Unknown,
        }
    }

    fn next(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.next.as_deref().map(std::borrow::Cow::Borrowed)
    }

    fn may_have_applied(&self) -> bool {
        self.may_have_applied
    }
}
