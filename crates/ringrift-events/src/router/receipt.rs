//! What a publish answers.

use crate::event::{EventId, Seq};
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::Code;

/// What became of one event at one live subscription of the publishing process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Its name.
    pub name: std::sync::Arc<str>,
    /// `RT_MATCHED`, or why it did not get the event.
    pub code: Code,
}

/// The answer to a publish, after its commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The event's id.
    pub id: EventId,
    /// Its place in the log; `None` for a volatile event.
    pub seq: Option<Seq>,
    /// Whether it left this process.
    pub bridged: bool,
    /// The original, if this publish was a duplicate; nothing was appended then.
    pub duplicate_of: Option<EventId>,
    /// The live subscriptions of this process that got it.
    pub matched: Vec<std::sync::Arc<str>>,
    /// Those that name its type and did not get it, and why.
    pub skipped: Vec<(std::sync::Arc<str>, Code)>,
    /// Required fields that the payload lacks, where the type's policy is to warn.
    pub missing: Vec<String>,
    /// Handlers that had not ended when the wait for them did.
    pub running: Vec<std::sync::Arc<str>>,
}
