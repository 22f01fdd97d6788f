//! What is asked for: of when, by what, and how long it may take.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Time};
use crate::store::counting::Window;

/// How long one answer may read, all its steps together: five million events are counted within
/// it on an ordinary disk.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Most lines of one answer: as many as somebody reads; the rest is one line, `other`.
pub const LINES_MAX: usize = 50;

/// What the lines of an answer stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// One line for everything.
    All,
    /// A line for each verdict code.
    Code,
    /// A line for each event type.
    Type,
    /// A line for each subscription, by name.
    Subscription,
    /// A line for each process.
    Process,
}

/// A question about a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Of when, and in how many slots.
    pub window: Window,
    /// By what.
    pub by: By,
    /// How long it may read.
    pub time_limit: Duration,
    /// Most lines.
    pub lines_max: usize,
}

impl Ask {
    /// A question about what was between `since` and `until`, in `slots` slots.
    #[must_use]
    pub fn new(since: Time, until: Time, slots: u32, by: By) -> Ask {
        Ask {
            window: Window {
                since,
                until: until.max(since),
                slots,
            },
            by,
            time_limit: TIME_LIMIT,
            lines_max: LINES_MAX,
        }
    }
}

/// The time that a question has left.
pub(super) struct Deadline<'a> {
    clock: &'a dyn Clock,
    ends: Duration,
}

impl<'a> Deadline<'a> {
    /// `limit` from now.
    pub(super) fn of(clock: &'a dyn Clock, limit: Duration) -> Deadline<'a> {
        Deadline {
            clock,
            ends: clock.monotonic().saturating_add(limit),
        }
    }

    /// Whether it has passed.
    pub(super) fn is_over(&self) -> bool {
        self.clock.monotonic() >= self.ends
    }
}
