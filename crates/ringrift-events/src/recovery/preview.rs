//! Which events of a stretch of the log a subscription takes, by type.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::catalog::filter::Filter;
use crate::event::{Event, EventType, Seq};
use crate::store::log::TypeSet;
use crate::store::subscriptions::SubscriptionState;
use crate::store::{Error, ErrorCode, Store};

/// Most matching events that are counted by type: beyond it the shares are clear.
pub const COUNTED_MAX: u64 = 200_000;

/// Events of one read.
const READ_EVENTS: usize = 1_000;

/// Events that a subscription takes, narrowed further.
#[derive(Clone, Debug)]
pub struct Selection {
    versions: Vec<(Seq, TypeSet, Option<Filter>)>,
    types: TypeSet,
    filter: Option<Filter>,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Events that match.
    pub events: u64,
    /// By type, the most frequent first.
    pub by_type: Vec<(EventType, u64)>,
    /// There are more: counting ended at [`COUNTED_MAX`].
    pub cut: bool,
}

impl Selection {
    /// What `state` takes by the version of each place, of these types (none: all it takes) and
    /// where `filter` holds.
    ///
    /// # Errors
    /// [`ErrorCode::Corrupt`] if a kept filter cannot be read.
    pub fn new(
        state: &SubscriptionState,
        types: Vec<EventType>,
        filter: Option<Filter>,
    ) -> Result<Selection, Error> {
        let mut versions = Vec::new();
        for version in &state.versions {
            let definition = &version.definition;
            let kept = definition.filter.as_deref().map(Filter::parse).transpose();
            let kept = kept.map_err(|error| {
                let text = format!("the filter of {} cannot be read: {error}", definition.name);
                Error::new(ErrorCode::Corrupt, text)
            })?;
            versions.push((version.valid_from, definition.types.clone(), kept));
        }
        Ok(Selection {
            versions,
            types: match types.is_empty() {
                true => TypeSet::All,
                false => TypeSet::only(types),
            },
            filter,
        })
    }

    /// Whether it holds this event of the log.
    #[must_use]
    pub fn takes(&self, event: &Event) -> bool {
        let seq = event.seq.unwrap_or_default();
        // What lies before its beginning is judged by its first version, as a seek does.
        let version = self.versions.iter().rev().find(|(from, _, _)| *from <= seq);
        let holds = |filter: &Option<Filter>| {
            filter
                .as_ref()
                .is_none_or(|filter| filter.evaluate(&event.payload))
        };
        version
            .or(self.versions.first())
            .is_some_and(|(_, types, kept)| types.takes(&event.event_type) && holds(kept))
            && self.types.takes(&event.event_type)
            && holds(&self.filter)
    }

    /// The next of them after `after` and up to `to`, and up to where was read. Blocks for one
    /// bounded read.
    pub(super) fn read(
        &self,
        store: &dyn Store,
        after: Seq,
        to: Seq,
    ) -> Result<(Vec<Arc<Event>>, Seq), Error> {
        let (mut events, read_to) = store.read(after, self.types.clone(), READ_EVENTS).wait()?;
        events.retain(|event| event.seq.is_some_and(|seq| seq <= to) && self.takes(event));
        // A read that does not move on has met the log's end.
        let read_to = if read_to <= after {
            to
        } else {
            read_to.min(to)
        };
        Ok((events, read_to))
    }
}

/// Counts what lies after the first place and up to the second. Blocks for reads, each bounded.
///
/// # Errors
/// The store's.
pub fn count(
    store: &dyn Store,
    selection: &Selection,
    (after, to): (Seq, Seq),
) -> Result<Counted, Error> {
    let mut counts: BTreeMap<EventType, u64> = BTreeMap::new();
    let mut counted = Counted::default();
    let mut at = after;
    while at < to {
        let (events, read_to) = selection.read(store, at, to)?;
        for event in events {
            counted.events += 1;
            *counts.entry(event.event_type.clone()).or_default() += 1;
        }
        at = read_to;
        if counted.events >= COUNTED_MAX {
            counted.cut = at < to;
            break;
        }
    }
    counted.by_type = counts.into_iter().collect();
    counted
        .by_type
        .sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    Ok(counted)
}
