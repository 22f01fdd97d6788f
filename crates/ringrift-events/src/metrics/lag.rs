//! How far behind who is, in events and in time.

use serde::{Deserialize, Serialize};

use super::ask::{Ask, By, Deadline};
use super::depth::{cut, durable};
use super::places::{After, Places};
use super::throughput::names;
use crate::clock::{Clock, Time};
use crate::daemons::CROSS_PROCESS_POLLER;
use crate::event::Seq;
use crate::store::log::{EventRef, Page, TypeSet};
use crate::store::registry::{Liveness, ProcessState};
use crate::store::subscriptions::SubscriptionState;
use crate::store::{Error, Store};

/// One line of `lag`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LagRow {
    /// What it stands for.
    pub name: String,
    /// Its id, where the name alone may mean several.
    pub id: Option<String>,
    /// Events of its types that are not settled, filters not evaluated.
    pub events: u64,
    /// Whether `events` is the whole number; else it is at least that.
    pub exact: bool,
    /// How long ago the oldest of them was committed, in seconds; 0 when there is none.
    pub seconds: f64,
    /// When that was.
    pub oldest: Option<Time>,
    /// Up to where it is settled (a process: read).
    pub position: Option<Seq>,
    /// It is paused.
    pub paused: bool,
    /// Live processes that work on it.
    pub hosts: Option<usize>,
}

/// Who is how far behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lag {
    /// `lag`.
    pub measure: String,
    /// What the lines stand for.
    pub by: By,
    /// When it was looked at.
    pub at: Time,
    /// The log's end.
    pub head: Seq,
    /// Why it was cut, in words; none when everything was counted.
    pub cut: Option<String>,
    /// The lines, the latest first.
    pub lines: Vec<LagRow>,
    /// How many lines were left out.
    pub folded: usize,
}

/// Looks at how far behind the log's end everything is: durable subscriptions by what they have
/// settled, types by the slowest of those, processes by what their poller has read. Only `by`, the
/// time limit and the bound of lines of `ask` matter; lag is a matter of now.
///
/// # Errors
/// The store's.
pub fn lag(store: &dyn Store, clock: &dyn Clock, ask: &Ask) -> Result<Lag, Error> {
    let deadline = Deadline::of(clock, ask.time_limit);
    let head = store.head().wait()?.seq;
    let now = clock.now();
    let (mut lines, cut) = match ask.by {
        By::Process => {
            let pollers = pollers(store)?;
            let positions = pollers.iter().map(|one| one.polled_to);
            let places = Places::count(store, &deadline, head, positions.clone())?;
            let cut = cut(ask, &places, positions);
            (by_process(store, &pollers, &places, now)?, cut)
        }
        By::All | By::Code | By::Type | By::Subscription => {
            let owing = durable(store)?;
            let positions = owing.iter().map(|one| one.settled);
            let places = Places::count(store, &deadline, head, positions.clone())?;
            let cut = cut(ask, &places, positions);
            let lines = match ask.by {
                By::Type => by_type(store, &owing, &places, now)?,
                By::All | By::Code | By::Subscription | By::Process => {
                    by_subscription(store, &owing, &places, now)?
                }
            };
            (lines, cut)
        }
    };
    lines.sort_by(|one, other| {
        let by_time = other.seconds.total_cmp(&one.seconds);
        let by_name = || one.name.cmp(&other.name);
        by_time
            .then_with(|| other.events.cmp(&one.events))
            .then_with(by_name)
    });
    let folded = lines.len().saturating_sub(ask.lines_max);
    lines.truncate(ask.lines_max);
    Ok(Lag {
        measure: "lag".to_owned(),
        by: ask.by,
        at: now,
        head,
        cut,
        lines,
        folded,
    })
}

fn by_subscription(
    store: &dyn Store,
    owing: &[SubscriptionState],
    places: &Places,
    now: Time,
) -> Result<Vec<LagRow>, Error> {
    let line = |one: &SubscriptionState| -> Result<LagRow, Error> {
        let types = &one.current().types;
        let after = places.after(one.settled, types);
        let oldest = oldest(store, after, one.settled, types)?;
        Ok(LagRow {
            name: one.current().name.clone(),
            id: None,
            position: Some(one.settled),
            paused: one.paused.is_some(),
            hosts: Some(one.hosts.len()),
            ..row(after, oldest, now)
        })
    };
    owing.iter().map(line).collect()
}

fn by_type(
    store: &dyn Store,
    owing: &[SubscriptionState],
    places: &Places,
    now: Time,
) -> Result<Vec<LagRow>, Error> {
    let mut lines = Vec::new();
    for event_type in places.types() {
        let only = TypeSet::only([event_type.clone()]);
        let takers = owing
            .iter()
            .filter(|one| one.current().types.takes(&event_type));
        let Some(lowest) = takers.map(|one| one.settled).min() else {
            continue;
        };
        let after = places.after(lowest, &only);
        if after.events > 0 {
            let oldest = oldest(store, after, lowest, &only)?;
            lines.push(LagRow {
                name: event_type.to_string(),
                position: Some(lowest),
                ..row(after, oldest, now)
            });
        }
    }
    Ok(lines)
}

/// The live processes whose poller is to read on.
fn pollers(store: &dyn Store) -> Result<Vec<ProcessState>, Error> {
    let daemons = store.daemons().wait()?;
    let polls = |state: &ProcessState| {
        daemons
            .iter()
            .any(|one| one.process == state.process.id && one.name == CROSS_PROCESS_POLLER)
    };
    let mut states = store.processes().wait()?;
    states.retain(|state| matches!(state.liveness, Liveness::Alive | Liveness::Hung));
    // A process that has never polled has nothing to be behind with.
    states.retain(|state| state.polled_to > Seq::START && polls(state));
    Ok(states)
}

fn by_process(
    store: &dyn Store,
    pollers: &[ProcessState],
    places: &Places,
    now: Time,
) -> Result<Vec<LagRow>, Error> {
    let names = names(pollers);
    let line = |state: &ProcessState| -> Result<LagRow, Error> {
        let after = places.after(state.polled_to, &TypeSet::All);
        let oldest = oldest(store, after, state.polled_to, &TypeSet::All)?;
        Ok(LagRow {
            name: names.get(&state.process.id).cloned().unwrap_or_default(),
            id: Some(state.process.id.to_string()),
            position: Some(state.polled_to),
            ..row(after, oldest, now)
        })
    };
    pollers.iter().map(line).collect()
}

fn row(after: After, oldest: Option<Time>, now: Time) -> LagRow {
    LagRow {
        events: after.events,
        exact: after.exact,
        seconds: oldest.map_or(0.0, |at| now.since(at).as_secs_f64()),
        oldest,
        ..LagRow::default()
    }
}

/// When the first event after a position was committed. Where the count was cut, the log is asked
/// from the position on: it ends at the first event that matches.
fn oldest(
    store: &dyn Store,
    after: After,
    position: Seq,
    types: &TypeSet,
) -> Result<Option<Time>, Error> {
    let found = match (after.exact, after.first) {
        (true, None) => return Ok(None),
        (true, Some(first)) => store.find(EventRef::Seq(first)).wait()?,
        (false, _) => {
            let types = match types {
                TypeSet::All => Vec::new(),
                TypeSet::Only(types) => types.clone(),
            };
            let page = Page {
                types,
                from: Some(position),
                limit: 1,
                ..Page::default()
            };
            store.list(page).wait()?
        }
    };
    Ok(found.first().map(|logged| logged.committed_at))
}
