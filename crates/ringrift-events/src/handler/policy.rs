//! What is allowed to a handler, and what follows a failure; every default a named constant.

use std::time::Duration;

use super::retry::RetryPolicy;

/// How long a run may take: long enough for a stage's bookkeeping, short enough that a hung one is
/// noticed within a minute. Known handlers run 500 s and more and raise it.
pub const TIME_LIMIT: Duration = Duration::from_secs(60);

/// From when on a run is called slow in the log.
pub const SLOW: Duration = Duration::from_secs(1);

/// Runs of one handler at once: one keeps the order that most handlers silently rely on.
pub const CONCURRENCY: u32 = 1;

/// Runs of all handlers of a process at once: each may hold a thread, and tokio keeps 512.
pub const IN_FLIGHT_MAX: usize = 256;

/// How long a handler's confirmed dedup key lives.
pub const DEDUP_TTL: Duration = Duration::from_secs(300);

/// What a time-out's message names as the way to raise the limit.
pub const TIME_LIMIT_SETTING: &str = "`handler.time_limit` in ringrift.toml, or this handler's own limit (`Policy::time_limit`; in \
     Python `timeout=`; of `ringrift subscribe` --timeout)";

/// The policies of one handler.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How long a run may take ([`TIME_LIMIT`]).
    pub time_limit: Duration,
    /// From when on it is slow ([`SLOW`]).
    pub slow: Duration,
    /// How many run at once ([`CONCURRENCY`]); at least 1.
    pub concurrency: u32,
    /// How many may start in a while; none means any number.
    pub rate: Option<Rate>,
    /// The handler's own dedup; none means by event id only.
    pub dedup: Option<Dedup>,
    /// What follows a failure.
    pub retry: RetryPolicy,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            time_limit: TIME_LIMIT,
            slow: SLOW,
            concurrency: CONCURRENCY,
            rate: None,
            dedup: None,
            retry: RetryPolicy::default(),
        }
    }
}

/// At most `events` starts in any `per`; a burst may use them all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least 1.
    pub events: u32,
    /// In which time.
    pub per: Duration,
}

/// A handler's own idea of "the same again".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dedup {
    /// The payload fields that make the key, dotted paths allowed; never empty.
    pub fields: Vec<String>,
    /// How long a confirmed key lives, from its success on; a hit does not prolong it
    /// ([`DEDUP_TTL`]).
    pub ttl: Duration,
}

impl Dedup {
    /// Dedup by these fields for [`DEDUP_TTL`].
    pub fn by<S: Into<String>>(fields: impl IntoIterator<Item = S>) -> Dedup {
        Dedup {
            fields: fields.into_iter().map(Into::into).collect(),
            ttl: DEDUP_TTL,
        }
    }
}
