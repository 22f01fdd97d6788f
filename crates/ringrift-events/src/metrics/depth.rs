//! How much stands in line, and where.

use serde::{Deserialize, Serialize};

use super::ask::{Ask, By, Deadline};
use super::places::Places;
use super::throughput::names;
use crate::clock::{Clock, Time};
use crate::event::Seq;
use crate::store::log::TypeSet;
use crate::store::registry::Liveness;
use crate::store::subscriptions::{Kind, SubscriptionState};
use crate::store::{Error, Store};

/// One line of `depth`. What a line cannot have is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepthRow {
    /// What it stands for.
    pub name: String,
    /// Its id, where the name alone may mean several.
    pub id: Option<String>,
    /// Events that nobody has taken yet, filters not evaluated.
    pub waiting: Option<u64>,
    /// Whether `waiting` is the whole number; else it is at least that.
    pub exact: bool,
    /// Deliveries that a process holds.
    pub claimed: Option<u64>,
    /// Handlers running now.
    pub running: Option<u64>,
    /// Deliveries that come again without having failed.
    pub again: Option<u64>,
    /// Dead letters that wait for a retry.
    pub retrying: Option<u64>,
    /// Dead letters that wait for an operator.
    pub dead: Option<u64>,
    /// It is paused.
    pub paused: bool,
    /// Live processes that work on it.
    pub hosts: Option<usize>,
}

impl DepthRow {
    /// Everything on the line together.
    #[must_use]
    pub fn total(&self) -> u64 {
        let parts = [
            self.waiting,
            self.claimed,
            self.running,
            self.again,
            self.retrying,
            self.dead,
        ];
        parts.iter().flatten().sum()
    }
}

/// What stands in line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Depth {
    /// `depth`.
    pub measure: String,
    /// What the lines stand for.
    pub by: By,
    /// When it was looked at.
    pub at: Time,
    /// The log's end.
    pub head: Seq,
    /// Why it was cut, in words; none when everything was counted.
    pub cut: Option<String>,
    /// The lines, deepest first.
    pub lines: Vec<DepthRow>,
    /// How many lines were left out.
    pub folded: usize,
}

/// Looks at what waits: by subscription (durable ones), by type, or by process. Only `by`, the time
/// limit and the bound of lines of `ask` matter; depth is a matter of now.
///
/// # Errors
/// The store's.
pub fn depth(store: &dyn Store, clock: &dyn Clock, ask: &Ask) -> Result<Depth, Error> {
    let deadline = Deadline::of(clock, ask.time_limit);
    let head = store.head().wait()?.seq;
    let (mut lines, cut) = match ask.by {
        By::Process => (by_process(store)?, None),
        By::All | By::Code | By::Type | By::Subscription => {
            let owing = durable(store)?;
            let positions = owing.iter().map(|one| one.cursor);
            let places = Places::count(store, &deadline, head, positions)?;
            let lines = match ask.by {
                By::Type => by_type(&owing, &places),
                By::All | By::Code | By::Subscription | By::Process => {
                    by_subscription(&owing, &places)
                }
            };
            (lines, cut(ask, &places, owing.iter().map(|one| one.cursor)))
        }
    };
    lines.sort_by(|one, other| {
        let key = |row: &DepthRow| (std::cmp::Reverse(row.total()), row.name.clone());
        key(one).cmp(&key(other))
    });
    let folded = lines.len().saturating_sub(ask.lines_max);
    lines.truncate(ask.lines_max);
    Ok(Depth {
        measure: "depth".to_owned(),
        by: ask.by,
        at: clock.now(),
        head,
        cut,
        lines,
        folded,
    })
}

/// The durable subscriptions that stand.
pub(super) fn durable(store: &dyn Store) -> Result<Vec<SubscriptionState>, Error> {
    let mut states = store.subscriptions().wait()?;
    states.retain(|one| one.ended_at.is_none() && one.current().kind == Kind::Durable);
    Ok(states)
}

/// Says that something after the lowest of `positions` was not counted.
pub(super) fn cut(
    ask: &Ask,
    places: &Places,
    positions: impl Iterator<Item = Seq>,
) -> Option<String> {
    let lowest = positions.min()?;
    (places.counted_after > lowest).then(|| {
        format!(
            "reading took its time limit of {} s: only events after {} are counted, so larger \
             numbers are at least that",
            ask.time_limit.as_secs_f64(),
            places.counted_after
        )
    })
}

fn by_subscription(owing: &[SubscriptionState], places: &Places) -> Vec<DepthRow> {
    let line = |one: &SubscriptionState| {
        let waiting = places.after(one.cursor, &one.current().types);
        DepthRow {
            name: one.current().name.clone(),
            id: None,
            waiting: Some(waiting.events),
            exact: waiting.exact,
            claimed: Some(one.claimed),
            running: None,
            again: Some(one.again),
            retrying: Some(one.retrying),
            dead: Some(one.dead),
            paused: one.paused.is_some(),
            hosts: Some(one.hosts.len()),
        }
    };
    owing.iter().map(line).collect()
}

/// Waiting deliveries by type: one event counts once for each subscription that waits for it.
fn by_type(owing: &[SubscriptionState], places: &Places) -> Vec<DepthRow> {
    let mut lines = Vec::new();
    for event_type in places.types() {
        let only = TypeSet::only([event_type.clone()]);
        let takers = owing
            .iter()
            .filter(|one| one.current().types.takes(&event_type));
        let (mut waiting, mut exact) = (0, true);
        for taker in takers {
            let after = places.after(taker.cursor, &only);
            waiting += after.events;
            exact &= after.exact;
        }
        if waiting > 0 {
            lines.push(DepthRow {
                name: event_type.to_string(),
                waiting: Some(waiting),
                exact,
                ..DepthRow::default()
            });
        }
    }
    lines
}

fn by_process(store: &dyn Store) -> Result<Vec<DepthRow>, Error> {
    let processes = store.processes().wait()?;
    let names = names(&processes);
    let living = processes
        .iter()
        .filter(|state| matches!(state.liveness, Liveness::Alive | Liveness::Hung));
    let line = |state: &crate::store::registry::ProcessState| DepthRow {
        name: names.get(&state.process.id).cloned().unwrap_or_default(),
        id: Some(state.process.id.to_string()),
        running: Some(state.running.len() as u64),
        exact: true,
        ..DepthRow::default()
    };
    Ok(living.map(line).collect())
}
