//! Facts that a verb records in its own transaction: they stand exactly when what they tell does.

use serde_json::Value;

use crate::event::{EventId, EventType, Seq};
use crate::store::Error;
use crate::store::registry::Fact;
use crate::store::sqlite::registry::keep_fact;
use crate::store::sqlite::verb::Tx;
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::Code;

/// What a fact is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) event: Option<EventId>,
    pub(crate) seq: Option<Seq>,
    pub(crate) seq_to: Option<Seq>,
    pub(crate) event_type: Option<EventType>,
    pub(crate) subscription: Option<SubscriptionId>,
}

/// Records a verdict of this process.
pub(crate) fn verdict(
    tx: &Tx<'_>,
    code: Code,
    about: About,
    evidence: &Value,
) -> Result<(), Error> {
    keep_fact(tx, &fact(tx, Some(code), about, None, evidence))
}

/// Records what an operator did.
pub(crate) fn act(
    tx: &Tx<'_>,
    name: &str,
    by: &str,
    about: About,
    evidence: &Value,
) -> Result<(), Error> {
    let act = Some((by.to_owned(), name.to_owned()));
    keep_fact(tx, &fact(tx, None, about, act, evidence))
}

/// Records a verdict that an operator's act brought about.
pub(crate) fn verdict_by(
    tx: &Tx<'_>,
    code: Code,
    (by, name): (&str, &str),
    about: About,
    evidence: &Value,
) -> Result<(), Error> {
    let act = Some((by.to_owned(), name.to_owned()));
    keep_fact(tx, &fact(tx, Some(code), about, act, evidence))
}

fn fact(
    tx: &Tx<'_>,
    code: Option<Code>,
    about: About,
    act: Option<(String, String)>,
    evidence: &Value,
) -> Fact {
    Fact {
        at: tx.now,
        code,
        event: about.event,
        seq: about.seq,
        seq_to: about.seq_to,
        event_type: about.event_type,
        subscription: about.subscription,
        process: Some(tx.process),
        act,
        generation: None,
        evidence: evidence.to_string(),
    }
}
