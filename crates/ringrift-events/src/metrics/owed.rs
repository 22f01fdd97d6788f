//! What durable subscriptions owe, and what of it no living process would take.

use std::sync::Arc;

use crate::catalog::filter::Filter;
use crate::event::{Event, Seq};
use crate::store::registry::{Liveness, ProcessState};
use crate::store::subscriptions::{Kind, SubscriptionState};
use crate::store::{Error, Store};

/// Most events looked at for what a subscription owes.
const OWED_MAX: usize = 1_000;

/// What a durable subscription has not handled yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Owed {
    /// How many deliveries: the events of the log, at most 1,000 looked at, and what comes again.
    pub events: usize,
    /// The oldest event of the log among them; none if only replays wait, which lie anywhere.
    pub oldest: Option<Arc<Event>>,
}

impl Owed {
    /// What a durable subscription owes; none if it owes nothing or has ended. Blocks for a read
    /// or two.
    ///
    /// # Errors
    /// The store's.
    pub fn of(
        store: &dyn Store,
        state: &SubscriptionState,
        head: Seq,
    ) -> Result<Option<Owed>, Error> {
        Owed::of_at_most(store, state, head, OWED_MAX)
    }

    fn of_at_most(
        store: &dyn Store,
        state: &SubscriptionState,
        head: Seq,
        most: usize,
    ) -> Result<Option<Owed>, Error> {
        let comes_again = usize::try_from(state.again + state.retrying).unwrap_or(usize::MAX);
        if is_over(state) || (state.settled >= head && comes_again == 0) {
            return Ok(None);
        }
        let unsettled = taken(store, state, state.settled, most)?;
        let oldest = match comes_again {
            0 => unsettled.first().cloned(),
            _ => taken(store, state, state.owed_after, most)?
                .into_iter()
                .next(),
        };
        let events = unsettled.len().saturating_add(comes_again);
        Ok((events > 0).then_some(Owed { events, oldest }))
    }

    /// What of it no living process takes: all, if none hosts it; if all that do subscribe by an
    /// older definition, what came since that was replaced.
    ///
    /// # Errors
    /// The store's.
    pub fn unattended(
        store: &dyn Store,
        state: &SubscriptionState,
        processes: &[ProcessState],
        head: Seq,
    ) -> Result<Option<Owed>, Error> {
        Owed::unattended_at_most(store, state, processes, head, OWED_MAX)
    }

    /// Whether there is any such event: the first one tells, where no filter has to be asked.
    ///
    /// # Errors
    /// The store's.
    pub fn is_unattended(
        store: &dyn Store,
        state: &SubscriptionState,
        processes: &[ProcessState],
        head: Seq,
    ) -> Result<bool, Error> {
        let most = match state.current().filter {
            None => 1,
            Some(_) => OWED_MAX,
        };
        let owed = Owed::unattended_at_most(store, state, processes, head, most)?;
        Ok(owed.is_some())
    }

    fn unattended_at_most(
        store: &dyn Store,
        state: &SubscriptionState,
        processes: &[ProcessState],
        head: Seq,
        most: usize,
    ) -> Result<Option<Owed>, Error> {
        let Some(hosted) = hosted_version(state, processes) else {
            return Owed::of_at_most(store, state, head, most);
        };
        let later = state.versions.iter().find(|one| one.number > hosted);
        let Some(later) = later.filter(|_| !is_over(state)) else {
            return Ok(None);
        };
        let after = state.settled.max(Seq(later.valid_from.0 - 1));
        if after >= head {
            return Ok(None);
        }
        let events = taken(store, state, after, most)?;
        Ok((!events.is_empty()).then(|| Owed {
            events: events.len(),
            oldest: events.first().cloned(),
        }))
    }
}

/// The latest version by which a living process, hung or not, hosts a subscription.
#[must_use]
pub fn hosted_version(state: &SubscriptionState, processes: &[ProcessState]) -> Option<i64> {
    let lives = |process: &ProcessState| match process.liveness {
        Liveness::Alive | Liveness::Hung => true,
        Liveness::Left | Liveness::Dead => false,
    };
    let hosts = state.hosts.iter().filter(|(id, _)| {
        let mut known = processes.iter();
        known.any(|process| process.process.id == **id && lives(process))
    });
    hosts.map(|(_, version)| *version).max()
}

fn is_over(state: &SubscriptionState) -> bool {
    state.ended_at.is_some() || state.current().kind == Kind::Live
}

/// Of so many events after a place, those that its filter takes, as the bus would ask it; a filter
/// that cannot be read takes nothing.
fn taken(
    store: &dyn Store,
    state: &SubscriptionState,
    after: Seq,
    most: usize,
) -> Result<Vec<Arc<Event>>, Error> {
    let definition = state.current();
    let read = store.read(after, definition.types.clone(), most);
    let (mut events, _) = read.wait()?;
    let filter = definition.filter.as_deref().map(Filter::parse);
    events.retain(|event| match &filter {
        None => true,
        Some(filter) => filter
            .as_ref()
            .is_ok_and(|filter| filter.evaluate(&event.payload)),
    });
    Ok(events)
}
