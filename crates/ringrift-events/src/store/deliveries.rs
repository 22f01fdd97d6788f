//! Taking events for handlers, and saying what came of them.

use std::sync::Arc;
use std::time::Duration;

use super::Pending;
use super::subscriptions::{Generation, SubscriptionId};
use super::trail::Trail;
use crate::clock::Time;
use crate::event::{Event, EventId, Seq};
use crate::verdict::{Failure, Outcome};

/// Proof that this process holds a claim. Opaque: callers only hand it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClaimToken {
    /// The store's number for it.
    pub id: i64,
    /// Raised each time the claim changes hands: an older one is refused.
    pub fence: i64,
}

/// Events of one durable subscription that this process alone may handle for now.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The proof; that of [`Want::grows`] where that claim has grown.
    pub token: ClaimToken,
    /// Whose events they are.
    pub subscription: SubscriptionId,
    /// In which generation.
    pub generation: Generation,
    /// The events, in log order; never empty. The filter already holds for each. Of a claim that has
    /// grown only the new ones.
    pub events: Arc<Vec<Arc<Event>>>,
    /// Another process held it before: it died, hung or handed it back.
    pub taken_over: bool,
    /// More may be there already. If not, whatever comes next will ring.
    pub more: bool,
}

/// What to ask for.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    /// The subscription; this process hosts it.
    pub subscription: SubscriptionId,
    /// At most this many events, 1 to [`CLAIM_EVENTS_MAX`]; other numbers mean the nearer end.
    pub max: usize,
    /// The caller has just seen an event in the log that it takes. Changes what the asking costs,
    /// not what is answered.
    pub likely: bool,
    /// The open claim that grows by what is found, so that one settlement tells of both. It does
    /// while nothing else of the subscription was claimed after it, it never changed hands, and it
    /// stays within one version and [`CLAIM_PLACES_MAX`]; else there is another claim.
    pub grows: Option<Grows>,
}

/// A claim that may grow, as this process knows it.
#[derive(Clone, Copy, Debug)]
pub struct Grows {
    /// The proof.
    pub token: ClaimToken,
    /// Its last event. A claim that ends elsewhere does not grow: what this process did not hear of
    /// must not be settled with what it did.
    pub last: Seq,
}

/// Places of the log that a claim which grows may span.
pub const CLAIM_PLACES_MAX: i64 = 100_000;

/// Most events in one claim when it is opened, or by which it grows: few enough that they are gone
/// through in some milliseconds, enough that their two transactions weigh nothing beside them.
pub const CLAIM_EVENTS_MAX: usize = 2_048;

/// What came of one event of a claim or of one redelivery.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The event's place.
    pub seq: Seq,
    /// The outcome.
    pub outcome: Outcome,
    /// How long the run took.
    pub took: Duration,
    /// When a failed one is next due; `None` makes it dead. Ignored for other outcomes.
    pub retry_at: Option<Time>,
    /// The dedup key it had reserved: confirmed if done, released otherwise.
    pub dedup_key: Option<String>,
    /// A blocking run that timed out and whose thread still runs: the letter is not due before
    /// [`Deliveries::late`] or this process's death, whatever `retry_at` says.
    pub held: bool,
}

/// What came of a claim, so far or at last.
#[derive(Clone, Debug)]
pub struct Settle {
    /// The proof.
    pub token: ClaimToken,
    /// Everything of the claim up to here is settled with this.
    pub settled_to: Seq,
    /// One for each event that was not plainly done, wherever it lies in the claim, and for each
    /// that has a dedup key. An event at or below `settled_to` without an entry is done.
    pub results: Vec<Settlement>,
    /// How many events were plainly done and have no entry: for the counters.
    pub done: u64,
}

/// Why a delivery comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// It failed before: a dead letter's retry.
    Retry,
    /// Its process died or hung while it ran.
    LeaseLost,
    /// A handler held it when its process shut down.
    HandedBack,
    /// An operator asked for a past event again.
    Replay,
    /// Its event was deleted unhandled and then restored.
    Restored,
    /// An earlier event of its key was retrying when its turn came (`ordered_by_key`).
    KeyBlocked,
}

/// Names one redelivery, and so one dead letter.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct LetterId(pub i64);

/// One event for one handler, again. It is claimed by this process when it is given out.
#[derive(Clone, Debug)]
pub struct Redelivery {
    /// Its id.
    pub id: LetterId,
    /// The proof: settling compares it.
    pub fence: i64,
    /// Whose delivery.
    pub subscription: SubscriptionId,
    /// The event (a volatile one was kept with the letter).
    pub event: Arc<Event>,
    /// Why.
    pub why: Why,
    /// How many runs were started before this one, in this budget.
    pub attempts: u32,
    /// How often a process died with it; if any, it starts alone.
    pub deaths: u32,
}

/// A confirmed key is remembered this many times its window.
pub const DEDUP_MEMORY_FACTOR: u32 = 10;

/// Whether `wanted` means this dedup key: the key itself, as `dedup reset` and the facts show it,
/// or the value of one of its fields.
#[must_use]
pub fn is_key(key: &str, wanted: &str) -> bool {
    let quoted = serde_json::Value::from(wanted).to_string();
    let is = |field: &str| {
        let value = field.split_once('=').map(|(_, value)| value);
        value.is_some_and(|value| value == wanted || value == quoted)
    };
    key == wanted || key.split('|').skip(1).any(is)
}

/// What the dedup step learned about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// It is this event's now.
    Yes,
    /// Reserved, and known to have run for `original` before its window ended at that time.
    AfterWindow {
        /// The event that had it.
        original: EventId,
        /// When that window ended.
        ended_at: Time,
    },
    /// It ran for another event within the window.
    Duplicate {
        /// That event.
        original: EventId,
        /// When the window ends.
        window_ends_at: Time,
    },
    /// Another event runs with it now: ask again when that one has ended.
    Wait {
        /// That event.
        holder: EventId,
    },
}

/// The verbs on deliveries of durable subscriptions, and on the retries of all.
///
/// Claims and settles are never synced to disk: losing one means delivery again.
pub trait Deliveries: Send + Sync {
    /// Takes the next events, ownerless claims of dead processes first; `None` when there is
    /// nothing now. Paused and ended subscriptions give nothing, nor does one that this process
    /// does not host; a live one is [`super::ErrorCode::WrongState`]. Leaves out events that have a
    /// redelivery of their own, deleted ones, and ones whose filter is false (passed without a
    /// claim). With `ordered_by_key` there is one open claim at a time, and an event whose key has
    /// an unfinished redelivery becomes one of its own (`Why::KeyBlocked`), due after the earlier
    /// ones of its key: it keeps its place and the claim goes on for the other keys.
    ///
    /// With [`Want::grows`] an open claim takes in what is found, where it can.
    ///
    /// Never twice at once to two processes: the loser of a race gets the next events or none.
    fn claim(&self, want: Want) -> Pending<Option<Claim>>;

    /// Says what came of a claim. When `settled_to` reaches its last event the claim is closed.
    ///
    /// All or nothing; a result for an event outside the claim is
    /// [`super::ErrorCode::WrongState`]. Settling what is settled is `Ok(false)` and changes
    /// nothing. If another
    /// process took the claim or a seek fenced it: [`super::ErrorCode::LeaseLost`]. An event that was purged
    /// meanwhile keeps `ST_PURGED`; the rest is settled.
    fn settle(&self, settle: Settle) -> Pending<bool>;

    /// Gives back the events after `keep_to`, none of which was started; they go to whoever
    /// claims next. Errors as [`Deliveries::settle`].
    fn hand_back(&self, token: ClaimToken, keep_to: Seq) -> Pending<()>;

    /// Moves one event out of a claim into a redelivery of its own, due at once for any process
    /// (`Why::HandedBack`). `started`: its handler was called and could not finish before shutdown,
    /// which counts as a run; it keeps its dedup key for the next one, until this process leaves.
    /// One that did not start counts none, and the dedup keys reserved for it are free. Errors as
    /// [`Deliveries::settle`].
    fn give_up(&self, token: ClaimToken, seq: Seq, started: bool) -> Pending<()>;

    /// Reserves dedup keys of one durable subscription, each for one event, in order. A key that
    /// this same event holds already is `Yes` again. Confirmed ones live `ttl`, and are
    /// remembered ten times as long.
    fn reserve(
        &self,
        subscription: SubscriptionId,
        keys: Vec<(String, EventId)>,
        ttl: Duration,
    ) -> Pending<Vec<Reserved>>;

    /// Forgets the dedup keys of a durable subscription, or those that `key` means ([`is_key`]), and
    /// answers how many: an event that has one runs once more. A key that a run holds stays its own,
    /// but what it fell back to is forgotten. Recorded in the audit with `by`; with `dry_run` only
    /// counts.
    fn forget_keys(
        &self,
        subscription: SubscriptionId,
        key: Option<String>,
        by: String,
        dry_run: bool,
    ) -> Pending<u64>;

    /// Takes due redeliveries of these subscriptions (of live ones by handler name), oldest due
    /// first; each counts a start. At most `max`. What this process does not host or has paused is
    /// passed over, and so is what lies beyond the border of an old version that it hosts.
    /// [`Redelivery::subscription`] is the one asked for.
    fn claim_due(&self, subscriptions: Vec<SubscriptionId>, max: usize)
    -> Pending<Vec<Redelivery>>;

    /// When the next redelivery of these subscriptions is due.
    fn next_due(&self, subscriptions: Vec<SubscriptionId>) -> Pending<Option<Time>>;

    /// Says what came of a redelivery: done leaves the queue as recovered, failed is due again at
    /// `retry_at` or dead. `Ok(false)` if it was settled, [`super::ErrorCode::LeaseLost`] if the
    /// fence is old.
    fn settle_due(&self, id: LetterId, fence: i64, settlement: Settlement) -> Pending<bool>;

    /// Gives back a redelivery that was taken and did not start: due at once for any process, its
    /// start does not count, and its dedup key, if it held one, is free. Answers and errors as
    /// [`Deliveries::settle_due`].
    fn hand_back_due(&self, id: LetterId, fence: i64, dedup_key: Option<String>) -> Pending<bool>;

    /// Keeps a live handler's failed delivery as a dead letter; a volatile event is kept with it.
    /// `held` as in [`Settlement::held`].
    fn park(
        &self,
        subscription: SubscriptionId,
        event: Arc<Event>,
        failure: Failure,
        retry_at: Option<Time>,
        held: bool,
    ) -> Pending<LetterId>;

    /// Says how a held run ended at last. A success settles its letter as recovered (evidence:
    /// late); anything else makes the letter due at the time it had been given and is recorded as
    /// `HN_ABANDONED`. `Ok(false)` if no letter of this process is held for that event.
    fn late(&self, subscription: SubscriptionId, event: EventId, outcome: Outcome)
    -> Pending<bool>;

    /// Asks for a past event again, for one subscription only. Answers its redelivery.
    fn replay(&self, subscription: SubscriptionId, seq: Seq, by: String) -> Pending<LetterId>;

    /// What is kept of the event at this place: how it stands with each durable subscription in
    /// each generation, and its redeliveries. Of a place that holds no event, positions alone.
    fn trail(&self, seq: Seq) -> Pending<Trail>;
}
