//! The dead letter queue: failed deliveries, and what operators do with them.

use serde::{Deserialize, Serialize};

use super::Pending;
use super::deliveries::LetterId;
use super::subscriptions::SubscriptionId;
use crate::clock::Time;
use crate::event::{Event, EventId, EventType};
use crate::verdict::FailureKind;

/// Where a dead letter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterState {
    /// Due again at its time.
    Retrying,
    /// A process runs it now.
    Running,
    /// Its attempts are used up; it waits for an operator.
    Dead,
    /// It succeeded after all.
    Recovered,
    /// An operator, a seek or a removal ended it.
    Discarded,
    /// Retention ended it.
    Expired,
    /// It was deleted through the public view, or purged; restorable for a time.
    Purged,
}

impl LetterState {
    /// Every state.
    pub const ALL: [LetterState; 7] = [
        LetterState::Retrying,
        LetterState::Running,
        LetterState::Dead,
        LetterState::Recovered,
        LetterState::Discarded,
        LetterState::Expired,
        LetterState::Purged,
    ];

    /// As it stands in `dead_letter_queue.status`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LetterState::Retrying => "retrying",
            LetterState::Running => "running",
            LetterState::Dead => "dead",
            LetterState::Recovered => "recovered",
            LetterState::Discarded => "discarded",
            LetterState::Expired => "expired",
            LetterState::Purged => "purged",
        }
    }

    /// The state with this text.
    #[must_use]
    pub fn parse(text: &str) -> Option<LetterState> {
        LetterState::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// One dead letter. Only deliveries that failed are letters: takeovers and replays that have not
/// failed are none. An edited event is the failed delivery under another payload, so a letter from
/// the start, with the original's error.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// Its id: `dead_letter_queue.id`.
    pub id: LetterId,
    /// The event.
    pub event: Event,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The handler's name.
    pub handler: String,
    /// Where it stands.
    pub state: LetterState,
    /// The last error's text.
    pub error: String,
    /// The last error's class.
    pub error_kind: FailureKind,
    /// The step the handler was in.
    pub step: Option<String>,
    /// Runs started in this budget.
    pub attempts: u32,
    /// Runs started in all.
    pub attempts_total: u32,
    /// How often a process died with it.
    pub deaths: u32,
    /// When it failed first.
    pub created_at: Time,
    /// When it failed last.
    pub last_attempt_at: Time,
    /// When it is due again.
    pub next_retry_at: Option<Time>,
    /// The event that an edit made of it, or that this one was edited from; the letter of that one
    /// is found by [`LetterFilter::event`].
    pub linked: Option<EventId>,
}

impl Letter {
    /// The letter as it stands now, for an act that is to spare one that moves on.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen {
            id: self.id,
            attempts: self.attempts,
            attempts_total: self.attempts_total,
        }
    }
}

/// A letter as an operator saw it. One that was retried or has run since then has moved on: a new
/// budget alone would hide it, since its first run brings `attempts` back to where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its number.
    pub id: LetterId,
    /// Runs started in its budget.
    pub attempts: u32,
    /// Runs started in all.
    pub attempts_total: u32,
}

/// Which letters. Every field narrows; empty means all that have not recovered.
#[derive(Clone, Debug, Default)]
pub struct LetterFilter {
    /// These ids.
    pub ids: Vec<LetterId>,
    /// Of this event, in the log or not.
    pub event: Option<EventId>,
    /// This handler.
    pub handler: Option<String>,
    /// This type.
    pub event_type: Option<EventType>,
    /// These states; empty means retrying, running and dead.
    pub states: Vec<LetterState>,
    /// Created at or after.
    pub since: Option<Time>,
    /// Created before.
    pub before: Option<Time>,
    /// Ids below this (newest first paging).
    pub below: Option<LetterId>,
    /// At most this many, ≤ 100,000.
    pub limit: usize,
}

/// What an operator does with letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterAct {
    /// Due at once with a fresh budget; from dead or retrying.
    Retry,
    /// Ended by hand; from retrying or dead.
    Discard,
    /// Hidden for seven days, then gone; any state but running.
    Purge,
    /// Back from discarded or purged to where it stood; a discarded one that was purged is discarded
    /// again. One that would wait again is left when its subscription was removed or sought since:
    /// nobody would run it. A letter and the one edited from it never
    /// wait both: what had taken its place is discarded; while that one runs, and once it has
    /// succeeded, the letter is left.
    Restore,
}

/// What an act came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acted {
    /// Letters that changed, and were not undone by what the same act did to another one.
    pub changed: u64,
    /// Letters that were in a state that does not allow it, changed since they were seen, or gave
    /// way to another half of their edit.
    pub left: Vec<LetterId>,
    /// Of these, the ones whose subscription, or its generation, has ended.
    pub ended: Vec<LetterId>,
}

/// The verbs on dead letters.
pub trait Letters: Send + Sync {
    /// Letters, newest first.
    fn letters(&self, filter: LetterFilter) -> Pending<Vec<Letter>>;

    /// How many letters `dead_letter_queue` shows.
    fn count_letters(&self) -> Pending<u64>;

    /// Acts on a snapshot: letters as the operator saw them; one that moved on since is left.
    /// Recorded in the audit with `by`.
    fn act(&self, act: LetterAct, seen: Vec<Seen>, by: String) -> Pending<Acted>;

    /// Discards a letter in favour of an edited event that takes its place for the same handler
    /// alone: `edited` is appended to no log and reaches nobody else. It is a letter of its own, due
    /// at once with a fresh budget, that keeps the original's error and links to it. Answers it.
    /// [`LetterAct::Restore`] of the original undoes the edit unless its run goes on or has
    /// succeeded.
    fn edit(&self, seen: Seen, edited: Event, by: String) -> Pending<LetterId>;
}
