//! What a window of the log does not show: what was deleted, and what retention took.

use super::Error;
use super::known::FACTS_MAX;
use super::name;
use super::why_not::Asked;
use crate::clock::Time;
use crate::event::Seq;
use crate::store::Store;
use crate::store::log::{EventRef, Logged, TypeSet};
use crate::store::registry::{Fact, FactFilter};

/// The events of the window that were deleted from the queue since, among the newest `most` places
/// of the log; none is looked for unless somebody deleted some.
pub(super) fn deleted(
    store: &dyn Store,
    types: &TypeSet,
    asked: &Asked,
    most: usize,
) -> Result<Vec<Logged>, Error> {
    let acts = FactFilter {
        acts_only: true,
        since: Some(asked.since),
        limit: FACTS_MAX,
        ..FactFilter::default()
    };
    let deletes = |fact: &Fact| {
        let act = fact.act.as_ref();
        act.is_some_and(|(_, name)| matches!(name.as_str(), "queue.clear" | "db.sql"))
    };
    let mut found = Vec::new();
    if !store.facts(acts).wait()?.iter().any(deletes) {
        return Ok(found);
    }
    let head = store.head().wait()?.seq.0;
    for seq in (1..=head).rev().take(most) {
        let logged = store.find(EventRef::Seq(Seq(seq))).wait()?;
        found.extend(logged.into_iter().filter(|logged| {
            let event = &logged.event;
            logged.deleted_at.is_some()
                && logged.committed_at >= asked.since
                && types.takes(&event.event_type)
                && (asked.key.is_none() || asked.key == event.key)
        }));
    }
    Ok(found)
}

/// Since when the log is kept, if the window begins before that: retention has taken what lies
/// between.
pub(super) fn kept_since(store: &dyn Store, since: Time, now: Time) -> Result<Option<Time>, Error> {
    let kept = name::Kept::read(store)?;
    let is_whole = kept.head == Seq::START || !store.find(EventRef::Seq(Seq(1))).wait()?.is_empty();
    let begins = kept.since.unwrap_or(now);
    Ok((!is_whole && since < begins).then_some(begins))
}
