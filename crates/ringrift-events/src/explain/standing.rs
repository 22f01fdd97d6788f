//! What an operator reads: a verdict with its evidence, and where it belongs.

use serde::Serialize;

use super::judge::Case;
use super::known::Scenery;
use super::whole::Side;
use crate::clock::{Time, rfc3339};
use crate::coded::quoted;
use crate::event::{EventId, EventType};
use crate::store::registry::Fact;
use crate::store::subscriptions::{Generation, Kind, SubscriptionId, SubscriptionState};
use crate::verdict::Code;

/// A coded fact about one event and one subscription, with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The code.
    pub code: Code,
    /// The case in one sentence.
    pub sentence: String,
    /// What is.
    pub actual: String,
    /// What would have to be for the event to be handled; empty when all is well.
    pub expected: String,
    /// The next command.
    pub next: String,
    /// Whether the delivery is done; the code's own, unless the case says otherwise.
    #[serde(skip)]
    pub side: Side,
}

/// Where the event stands with one subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The subscription's number.
    #[serde(rename = "id")]
    pub subscription: SubscriptionId,
    /// Its name.
    #[serde(rename = "subscription")]
    pub name: String,
    /// Durable or live.
    pub kind: Kind,
    /// The generation that the verdict is about.
    pub generation: Generation,
    /// The last word.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What became of earlier deliveries of the same event, oldest first: of earlier generations,
    /// or before a replay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Earlier>,
    /// What was recorded of this delivery on its way, oldest first: each failed attempt, each lost
    /// process, each act of an operator.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Recorded>,
}

/// A recorded fact about one delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// When.
    #[serde(serialize_with = "rfc3339")]
    pub at: Time,
    /// What; none for an act of an operator that is no verdict.
    pub code: Option<Code>,
    /// What an operator did, such as `dlq.restore`.
    pub act: Option<String>,
    /// The process it happened in, as people know it.
    pub process: Option<String>,
    /// The operator whose act it was.
    pub by: Option<String>,
    /// Its evidence, JSON.
    pub evidence: String,
}

impl Recorded {
    /// A fact as it is told; none if it says neither what happened nor what was done.
    pub(super) fn of(fact: &Fact, scenery: &Scenery) -> Option<Recorded> {
        let pid = |id| {
            scenery
                .process(id)
                .map(|state| format!("pid {}", state.process.pid))
        };
        let (by, act) = fact.act.clone().unzip();
        (fact.code.is_some() || act.is_some()).then(|| Recorded {
            at: fact.at,
            code: fact.code,
            act,
            process: fact.process.and_then(pid),
            by,
            evidence: fact.evidence.clone(),
        })
    }
}

/// One delivery of the event that is over, or that a replay came after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Earlier {
    /// Its generation.
    pub generation: Generation,
    /// How it stands.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl Verdict {
    /// A verdict whose next command is the code's own.
    pub(super) fn new(code: Code, case: &Case<'_>, sentence: impl Into<String>) -> Verdict {
        let verdict = Verdict::about(code, case.event.id, sentence);
        let verdict = verdict.of_type(&case.event.event_type);
        verdict.of_subscription(case.state)
    }

    /// A verdict about one event and no subscription.
    pub(super) fn about(code: Code, event: EventId, sentence: impl Into<String>) -> Verdict {
        Verdict {
            code,
            sentence: sentence.into(),
            actual: String::new(),
            expected: String::new(),
            next: code.next().replace("ID", &event.to_string()),
            side: Side::of(code),
        }
    }

    /// Names the event's type in the next command.
    pub(super) fn of_type(mut self, event_type: &EventType) -> Verdict {
        self.next = self.next.replace("TYPE", &quoted(event_type.as_str()));
        self
    }

    /// Names the subscription in the next command; last, since a name may hold any other word.
    pub(super) fn of_subscription(mut self, state: &SubscriptionState) -> Verdict {
        self.next = self.next.replace("NAME", &quoted(&state.current().name));
        self
    }

    /// Says what is.
    pub(super) fn actual(mut self, text: impl Into<String>) -> Verdict {
        self.actual = text.into();
        self
    }

    /// Says on which side the delivery is, whatever the code says.
    pub(super) fn on(mut self, side: Side) -> Verdict {
        self.side = side;
        self
    }

    /// Says what would have to be.
    pub(super) fn expected(mut self, text: impl Into<String>) -> Verdict {
        self.expected = text.into();
        self
    }

    /// Names another command than the code's own.
    pub(super) fn next(mut self, command: impl Into<String>) -> Verdict {
        self.next = command.into();
        self
    }
}
