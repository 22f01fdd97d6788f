//! Depth and lag over time, as far as the log tells: of what is owed now, when it came.
//!
//! No position of the past is kept, so what was owed and has been handled since is in no line.

use super::ask::{Ask, By, Deadline};
use super::chart::{Chart, Sheet};
use super::depth::durable;
use super::places::Places;
use crate::clock::{Clock, Time};
use crate::event::Seq;
use crate::store::log::{Page, TypeSet};
use crate::store::subscriptions::SubscriptionState;
use crate::store::{Error, Store};

/// The places at which the slots of a window begin, and what of the log is after them.
struct Slots {
    /// The place before each slot's first event; the last one is the log's end.
    borders: Vec<Seq>,
    places: Places,
    /// From here on everything was counted.
    counted_since: Time,
}

impl Slots {
    fn count(
        store: &dyn Store,
        deadline: &Deadline<'_>,
        ask: &Ask,
        owing: &[SubscriptionState],
    ) -> Result<Slots, Error> {
        let (window, head) = (ask.window, store.head().wait()?.seq);
        let mut borders = Vec::new();
        for slot in 0..window.slots() {
            let page = Page {
                since: Some(window.slot_begins(slot)),
                limit: 1,
                ..Page::default()
            };
            let first = store.list(page).wait()?.into_iter().next();
            let before = first.and_then(|logged| logged.event.seq);
            let before = before.map_or(head, |seq| Seq(seq.0 - 1));
            // A clock that was set back: a later slot begins no earlier in the log.
            borders.push(before.max(borders.last().copied().unwrap_or_default()));
        }
        borders.push(head);
        let lowest = owing.iter().map(|one| one.settled).min().unwrap_or(head);
        let settled = owing.iter().map(|one| one.settled.max(borders[0]));
        let wanted = borders.iter().copied().filter(|border| *border >= lowest);
        let places = Places::count(store, deadline, head, settled.chain(wanted))?;
        let counted = borders
            .iter()
            .position(|border| *border >= places.counted_after);
        let slot = counted.and_then(|slot| u32::try_from(slot).ok());
        let counted_since = match places.counted_after <= lowest.max(borders[0]) {
            true => window.since,
            false => window.slot_begins(slot.unwrap_or_else(|| window.slots())),
        };
        Ok(Slots {
            borders,
            places,
            counted_since,
        })
    }

    /// How many events of these types that are not settled up to `settled` came in each slot.
    fn owed(&self, settled: Seq, types: &TypeSet) -> Vec<u64> {
        let after = |border: &Seq| self.places.after(settled.max(*border), types).events;
        let counts: Vec<u64> = self.borders.iter().map(after).collect();
        let slots = counts.windows(2);
        slots.map(|two| two[0].saturating_sub(two[1])).collect()
    }
}

/// Counts what durable subscriptions owe by when it was committed: the runbook's "queue depth over
/// time". In all, an event counts once; by subscription, once for each that owes it. Filters are not
/// evaluated.
///
/// # Errors
/// The store's.
pub fn depth_over(store: &dyn Store, clock: &dyn Clock, ask: &Ask) -> Result<Chart, Error> {
    let deadline = Deadline::of(clock, ask.time_limit);
    let owing = durable(store)?;
    let slots = Slots::count(store, &deadline, ask, &owing)?;
    let mut sheet = Sheet::of(ask.window);
    for event_type in slots.places.types() {
        let takers = owing
            .iter()
            .filter(|one| one.current().types.takes(&event_type));
        let Some(lowest) = takers.map(|one| one.settled).min() else {
            continue;
        };
        let only = TypeSet::only([event_type.clone()]);
        for (slot, events) in (0..).zip(slots.owed(lowest, &only)) {
            sheet.add_total(slot, events);
            if ask.by == By::Type && events > 0 {
                sheet.add((event_type.to_string(), None), slot, events);
            }
        }
    }
    if ask.by != By::Type {
        for one in &owing {
            let definition = one.current();
            for (slot, events) in (0..).zip(slots.owed(one.settled, &definition.types)) {
                sheet.add((definition.name.clone(), None), slot, events);
            }
        }
    }
    Ok(sheet.finish("depth", ask, slots.counted_since))
}

/// Says for each slot's end how many whole seconds the oldest event had waited then that is not
/// settled now either: from when on, and how far, each durable subscription is behind.
///
/// # Errors
/// The store's.
pub fn lag_over(store: &dyn Store, ask: &Ask) -> Result<Chart, Error> {
    let mut sheet = Sheet::of(ask.window);
    let mut worst: Vec<u64> = vec![0; ask.window.slots() as usize];
    for one in durable(store)? {
        let definition = one.current();
        let types = match &definition.types {
            TypeSet::All => Vec::new(),
            TypeSet::Only(types) => types.clone(),
        };
        let page = Page {
            types,
            from: Some(one.settled),
            limit: 1,
            ..Page::default()
        };
        let oldest = store.list(page).wait()?.into_iter().next();
        let oldest = oldest.map(|logged| logged.committed_at);
        for (slot, most) in (0..).zip(&mut worst) {
            let end = ask.window.slot_begins(slot + 1);
            let waited = oldest.map_or(0, |at| end.since(at).as_secs());
            sheet.add((definition.name.clone(), None), slot, waited);
            *most = waited.max(*most);
        }
    }
    for (slot, waited) in (0..).zip(worst) {
        sheet.add_total(slot, waited);
    }
    Ok(sheet.finish("lag", ask, ask.window.since))
}
