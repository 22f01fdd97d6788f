//! What was really published and subscribed.

use super::wiring::{Subscriber, Wiring};
use crate::clock::Time;
use crate::store::counting::Window;
use crate::store::log::TypeSet;
use crate::store::records::Refusal;
use crate::store::subscriptions::{Kind, SubscriptionState};
use crate::store::{Error, Store};

/// Most events that one look counts: a few seconds of reading.
pub const EVENTS_MAX: u64 = 2_000_000;

impl Wiring {
    /// Adds what this store saw published, refused and subscribed between `since` and `until`, the
    /// newest first and at most [`EVENTS_MAX`] events. Answers how many it left out: none, or the
    /// older ones. Blocks for a few reads, each bounded.
    ///
    /// # Errors
    /// The store's.
    pub fn observe(
        &mut self,
        store: &dyn Store,
        (since, until): (Time, Time),
    ) -> Result<bool, Error> {
        let cut = self.arrived(store, (since, until))?;
        for stayed in store.unbridged().wait()? {
            if stayed.last.is_some_and(|(_, at)| at < since) || stayed.count == 0 {
                continue;
            }
            let of = self.of(stayed.event_type.as_str());
            of.events += stayed.count;
            of.unbridged += stayed.count;
            if !of.publishers.contains(&stayed.process) {
                of.publishers.push(stayed.process);
            }
        }
        for refused in store.refusals().wait()? {
            if refused.last_at >= since && refused.code == "TYPE_UNKNOWN" {
                self.refused(&refused);
            }
        }
        for state in store.subscriptions().wait()? {
            if state.ended_at.is_none_or(|ended| ended >= since) {
                self.subscribes(&state);
            }
        }
        Ok(cut)
    }

    /// Adds what went to the log; whether older events were left out.
    fn arrived(&mut self, store: &dyn Store, (since, until): (Time, Time)) -> Result<bool, Error> {
        let window = Window {
            since,
            until,
            slots: 1,
        };
        let (mut rest, mut looked_at) = (None, 0);
        loop {
            let arrived = store.count_arrivals(window, true, rest).wait()?;
            for arrivals in arrived.counts {
                looked_at += arrivals.events;
                let of = self.of(arrivals.event_type.as_str());
                of.events += arrivals.events;
                if let Some(process) = arrivals.origin.filter(|one| !of.publishers.contains(one)) {
                    of.publishers.push(process);
                }
            }
            rest = arrived.rest;
            if rest.is_none() || looked_at >= EVENTS_MAX {
                return Ok(rest.is_some());
            }
        }
    }

    /// A name that the door refused: who used it meant something.
    fn refused(&mut self, refused: &Refusal) {
        let of = self.of(&refused.name.to_ascii_lowercase());
        of.refused += refused.count;
        if refused.verb == "publish" {
            of.events += refused.count;
        } else {
            of.subscribers.push(Subscriber {
                name: refused.subscription.clone(),
                process: Some(refused.process),
            });
        }
    }

    fn subscribes(&mut self, state: &SubscriptionState) {
        let definition = state.current();
        let types = match &definition.types {
            TypeSet::Only(types) => types,
            TypeSet::All => {
                if !self.takes_all.contains(&definition.name) {
                    self.takes_all.push(definition.name.clone());
                }
                return;
            }
        };
        let subscriber = Subscriber {
            name: definition.name.clone(),
            process: match definition.kind {
                Kind::Live => state.process,
                Kind::Durable => None,
            },
        };
        for event_type in types {
            let of = self.of(event_type.as_str());
            if !of.subscribers.contains(&subscriber) {
                of.subscribers.push(subscriber.clone());
            }
        }
    }
}
