//! Counting, from everything that is kept: the plain definition that ranges are compared with.

use std::collections::BTreeMap;

use super::hub::MemoryStore;
use super::state::World;
use crate::clock::Time;
use crate::event::{EventType, Seq};
use crate::store::Pending;
use crate::store::counting::{
    ArrivalCounts, Arrivals, Counting, FactCount, FactCounts, PLACES_MAX, PlaceCount, PlaceCounts,
    Window,
};
use crate::verdict::Code;

impl Counting for MemoryStore {
    fn count_places(&self, after: Seq, to: Seq) -> Pending<PlaceCounts> {
        self.verb(|world, _| Ok(world.count_places(after, to)))
    }

    fn count_arrivals(
        &self,
        window: Window,
        by_process: bool,
        rest: Option<(Time, Seq)>,
    ) -> Pending<ArrivalCounts> {
        self.verb(|world, _| Ok(world.count_arrivals(window, by_process, rest)))
    }

    fn count_facts(
        &self,
        window: Window,
        codes: Vec<Code>,
        rest: Option<i64>,
    ) -> Pending<FactCounts> {
        // One answer has them all: nothing is left to go on with.
        let all = rest.is_none();
        self.verb(|world, _| Ok(world.count_facts(window, &codes, all)))
    }
}

impl World {
    fn count_places(&self, after: Seq, to: Seq) -> PlaceCounts {
        let read_to = Seq(to.0.min(after.0.saturating_add(PLACES_MAX))).max(after);
        let mut counts: BTreeMap<&EventType, (u64, Seq)> = BTreeMap::new();
        for (seq, logged) in self.log.range(after.next()..=read_to.max(after.next())) {
            if *seq <= read_to && logged.deleted_at.is_none() {
                let count = counts.entry(&logged.event.event_type).or_insert((0, *seq));
                count.0 += 1;
            }
        }
        let counts = counts
            .into_iter()
            .map(|(event_type, (events, first))| PlaceCount {
                event_type: event_type.clone(),
                events,
                first,
            });
        PlaceCounts {
            counts: counts.collect(),
            read_to,
        }
    }

    fn count_arrivals(
        &self,
        window: Window,
        by_process: bool,
        rest: Option<(Time, Seq)>,
    ) -> ArrivalCounts {
        let mut counts = BTreeMap::new();
        for (seq, logged) in &self.log {
            let at = logged.committed_at;
            let counted = rest.is_some_and(|rest| (at, *seq) >= rest);
            if let (false, Some(slot)) = (counted, window.slot_of(at)) {
                let origin = by_process.then_some(logged.event.origin);
                let kind = (slot, logged.event.event_type.clone(), origin);
                *counts.entry(kind).or_insert(0) += 1;
            }
        }
        let counts = counts
            .into_iter()
            .map(|((slot, event_type, origin), events)| Arrivals {
                event_type,
                origin,
                slot,
                events,
            });
        ArrivalCounts {
            counts: counts.collect(),
            rest: None,
        }
    }

    fn count_facts(&self, window: Window, codes: &[Code], all: bool) -> FactCounts {
        let mut counts = BTreeMap::new();
        for fact in self.facts.iter().filter(|_| all) {
            let code = fact.code.filter(|code| codes.contains(code));
            if let (Some(code), Some(slot)) = (code, window.slot_of(fact.at)) {
                let about = (fact.event_type.clone(), fact.subscription, fact.process);
                *counts.entry((slot, code, about)).or_insert(0) += 1;
            }
        }
        let counts = counts.into_iter().map(
            |((slot, code, (event_type, subscription, process)), facts)| FactCount {
                code,
                event_type,
                subscription,
                process,
                slot,
                facts,
            },
        );
        FactCounts {
            counts: counts.collect(),
            rest: None,
        }
    }
}
