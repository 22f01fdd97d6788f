//! How many events stand after each of several positions, each place looked at once.

use std::collections::BTreeMap;

use super::ask::Deadline;
use crate::event::{EventType, Seq};
use crate::store::counting::PLACES_MAX;
use crate::store::log::TypeSet;
use crate::store::{Error, Store};

/// How many events of each type, and the first of them.
type ByType = BTreeMap<EventType, (u64, Seq)>;

/// The log's newest part, counted by type in stretches that end at the positions asked for.
pub(super) struct Places {
    /// Stretches, newest first: the place after which one begins, and its counts.
    stretches: Vec<(Seq, ByType)>,
    /// Everything after this place was counted.
    pub(super) counted_after: Seq,
}

/// What stands after one position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct After {
    /// How many events; at least so many unless `exact`.
    pub(super) events: u64,
    /// Whether everything after the position was counted.
    pub(super) exact: bool,
    /// The first of those that were counted.
    pub(super) first: Option<Seq>,
}

impl Places {
    /// Counts from `head` down to the lowest of `positions`, or until the time limit ends.
    pub(super) fn count(
        store: &dyn Store,
        deadline: &Deadline<'_>,
        head: Seq,
        positions: impl IntoIterator<Item = Seq>,
    ) -> Result<Places, Error> {
        let mut borders: Vec<Seq> = positions.into_iter().filter(|one| *one < head).collect();
        borders.sort_unstable();
        borders.dedup();
        let mut places = Places {
            stretches: Vec::new(),
            counted_after: head,
        };
        while let Some(border) = borders.pop() {
            while places.counted_after > border {
                if deadline.is_over() && !places.stretches.is_empty() {
                    return Ok(places);
                }
                let to = places.counted_after;
                let after = Seq(border.0.max(to.0.saturating_sub(PLACES_MAX)));
                let counted = store.count_places(after, to).wait()?;
                let counts = counted.counts.into_iter();
                let by_type = counts.map(|one| (one.event_type, (one.events, one.first)));
                places.stretches.push((after, by_type.collect()));
                places.counted_after = after;
            }
        }
        Ok(places)
    }

    /// What stands after a position of these types.
    pub(super) fn after(&self, position: Seq, types: &TypeSet) -> After {
        let mut found = After {
            exact: position >= self.counted_after,
            ..After::default()
        };
        for (_, counts) in self.stretches.iter().filter(|(from, _)| *from >= position) {
            for (_, (events, first)) in counts.iter().filter(|(one, _)| types.takes(one)) {
                found.events += events;
                found.first = Some(found.first.map_or(*first, |known| known.min(*first)));
            }
        }
        found
    }

    /// Every type that was met.
    pub(super) fn types(&self) -> Vec<EventType> {
        let met = self.stretches.iter().flat_map(|(_, counts)| counts.keys());
        let mut types: Vec<EventType> = met.cloned().collect();
        types.sort();
        types.dedup();
        types
    }
}
