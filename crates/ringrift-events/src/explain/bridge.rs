//! Whether a process let a type go to the log: by the catalog that it published by at that moment,
//! not by anybody's of today.

use std::time::Duration;

use super::Error;
use crate::catalog::Catalog;
use crate::clock::Time;
use crate::event::{EventType, ProcessId};
use crate::store::Store;
use crate::store::records::CatalogSince;

/// A process keeps a changed catalog within this time: twice the pause between two savings. What
/// was published in between may have gone by either.
const KEPT_WITHIN: Duration = Duration::from_secs(10);

/// What a process's catalog said of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Whether the type went to the log.
    pub(super) bridged: bool,
    /// Since when the process published by that catalog.
    pub(super) since: Time,
}

/// What the process's catalog said of the type at that moment; `None` where it is not kept, or
/// changed its mind about then.
pub(super) fn at(
    store: &dyn Store,
    process: ProcessId,
    event_type: &EventType,
    when: Time,
) -> Result<Option<Rule>, Error> {
    let kept = kept(store, process)?;
    // The first is kept before the process publishes anything, by the same clock.
    let place = kept.iter().position(|one| one.since <= when);
    let Some(place) = place.or(kept.len().checked_sub(1)) else {
        return Ok(None);
    };
    let rule = rule(store, kept[place], event_type)?;
    let next = place.checked_sub(1).map(|later| kept[later]);
    match next.filter(|later| later.since <= when.after(KEPT_WITHIN)) {
        None => Ok(rule),
        Some(later) => {
            let after = self::rule(store, later, event_type)?;
            let same = rule.map(|one| one.bridged) == after.map(|one| one.bridged);
            Ok(rule.filter(|_| same))
        }
    }
}

/// What the process's catalog says of the type now, as far as it was kept.
pub(super) fn now(
    store: &dyn Store,
    process: ProcessId,
    event_type: &EventType,
) -> Result<Option<Rule>, Error> {
    match kept(store, process)?.first() {
        Some(newest) => rule(store, *newest, event_type),
        None => Ok(None),
    }
}

/// The catalogs of the process, the last first.
fn kept(store: &dyn Store, process: ProcessId) -> Result<Vec<CatalogSince>, Error> {
    let mut all = store.process_catalogs().wait()?;
    all.retain(|one| one.process == process);
    Ok(all)
}

fn rule(
    store: &dyn Store,
    one: CatalogSince,
    event_type: &EventType,
) -> Result<Option<Rule>, Error> {
    let text = store.catalog(one.hash).wait()?;
    let bridged = text.and_then(|text| Catalog::bridged_by(&text, event_type));
    Ok(bridged.map(|bridged| Rule {
        bridged,
        since: one.since,
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::explain::scene::identity;
    use crate::store::memory::MemoryHub;
    use crate::store::registry::Registry;

    #[test]
    fn a_type_is_judged_by_the_catalog_of_its_time() {
        let clock = Arc::new(ManualClock::new(Time(1_000_000_000_000), 7));
        let hub = MemoryHub::new(clock.clone());
        let (store, other) = (hub.open(identity(11)), hub.open(identity(12)));
        let catalog = Catalog::ringrift();
        let event_type = EventType::from_canonical("model_promoted");
        let minute = Duration::from_secs(60);
        let begun = clock.now();
        for bridged in [true, false, true] {
            catalog.set_bridged(&event_type, bridged);
            let kept = store.keep_catalog(catalog.hash(), catalog.text());
            kept.wait().unwrap();
            clock.advance(minute);
        }
        let of = |process, when| at(&*store, process, &event_type, when).unwrap();
        let me = store.process();
        let said = |after: Duration| of(me, begun.after(after)).map(|rule| rule.bridged);
        let second = Duration::from_secs(1);
        assert_eq!(said(second), Some(true));
        assert_eq!(said(minute - KEPT_WITHIN - second), Some(true));
        assert_eq!(said(minute - second), None, "it may have changed already");
        assert_eq!(said(minute), Some(false));
        assert_eq!(said(minute * 2 - second), None);
        assert_eq!(said(minute * 2 + second), Some(true));
        assert_eq!(
            of(me, begun.after(minute)).map(|rule| rule.since),
            Some(begun.after(minute))
        );
        let last = now(&*store, me, &event_type).unwrap();
        assert_eq!(last.map(|rule| rule.bridged), Some(true));
        // One that kept none, and a type that it does not know.
        assert_eq!(of(other.process(), begun), None);
        let unknown = EventType::from_canonical("unheard_of");
        assert_eq!(at(&*store, me, &unknown, begun).unwrap(), None);
    }
}
