//! What is kept of one event's way through its durable subscriptions: the raw material of verdicts.

use super::deliveries::{LetterId, Why};
use super::letters::LetterState;
use super::subscriptions::{Generation, SubscriptionId};
use crate::clock::Time;
use crate::event::{EventId, ProcessId, Seq};
use crate::verdict::FailureKind;

/// Everything that positions, claims and redeliveries hold about one place of the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trail {
    /// One a durable subscription and generation, removed subscriptions too; by both.
    pub passages: Vec<Passage>,
    /// Every redelivery of the event, of live subscriptions too, oldest first.
    pub again: Vec<Again>,
    /// For each durable subscription that is ordered by key: the earliest unfinished redelivery of
    /// an earlier event with the same key, in the current generation.
    pub ahead: Vec<Again>,
}

/// How one place of the log stands with one generation of a durable subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The generation.
    pub generation: Generation,
    /// When it began, to the millisecond.
    pub began_at: Time,
    /// When a seek or a removal ended it, to the millisecond.
    pub ended_at: Option<Time>,
    /// Where the place lies in it.
    pub place: Place,
}

/// Where a place of the log lies in a generation. Says nothing of an event that the subscription
/// does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Before the part of the log that the generation is for.
    Outside,
    /// Not taken yet; of a generation that is over: never handled in it.
    Ahead,
    /// In a claim and not settled; nobody owns a claim that was given back.
    Claimed {
        /// Who holds the claim.
        by: Option<ProcessId>,
    },
    /// The event was deleted from the queue before it was settled: what came of a run of it since
    /// does not count.
    Deleted {
        /// Whether it was in a claim then.
        taken: bool,
    },
    /// Settled, passed, or on a way of its own as a redelivery.
    Passed {
        /// Who handled the range it lies in, where the ledger still says.
        by: Option<ProcessId>,
    },
}

/// One redelivery of one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Again {
    /// Its id; `dead_letter_queue.id` if it failed.
    pub id: LetterId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The generation it belongs to.
    pub generation: Generation,
    /// The event.
    pub event: EventId,
    /// Its place; none for an event that is in no log.
    pub seq: Option<Seq>,
    /// Why it came again.
    pub why: Why,
    /// Where it stands. One that never failed *waits* as retrying and *succeeded* as recovered.
    pub state: LetterState,
    /// Whether a run of it failed: then it is a dead letter.
    pub failed: bool,
    /// Runs started in this budget.
    pub attempts: u32,
    /// Runs started in all.
    pub attempts_total: u32,
    /// How often a process died with it.
    pub deaths: u32,
    /// The last error's text.
    pub error: Option<String>,
    /// The last error's class.
    pub error_kind: Option<FailureKind>,
    /// When it may be taken; none while it may not.
    pub due: Option<Time>,
    /// A run that timed out still holds its thread: it is not due before that ends.
    pub held: bool,
    /// The process that runs it, or whose thread holds it.
    pub owner: Option<ProcessId>,
    /// The event that an edit made of it, or that it was edited from.
    pub linked: Option<EventId>,
}
