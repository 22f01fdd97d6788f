//! How many events came, over time.

use std::collections::HashMap;

use super::ask::{Ask, By, Deadline};
use super::chart::{Chart, Sheet, Who};
use crate::clock::Clock;
use crate::event::ProcessId;
use crate::store::counting::Arrivals;
use crate::store::registry::ProcessState;
use crate::store::subscriptions::SubscriptionState;
use crate::store::{Error, Store};

/// Counts the events committed in the window, newest first, until the window or the time limit
/// ends. By subscription it counts the events of the types that a name takes: its filter is not
/// evaluated. Volatile events are in no log and not counted.
///
/// # Errors
/// The store's.
pub fn throughput(store: &dyn Store, clock: &dyn Clock, ask: &Ask) -> Result<Chart, Error> {
    let deadline = Deadline::of(clock, ask.time_limit);
    let subscriptions = match ask.by {
        By::Subscription => store.subscriptions().wait()?,
        By::All | By::Code | By::Type | By::Process => Vec::new(),
    };
    let processes = match ask.by {
        By::Process => names(&store.processes().wait()?),
        By::All | By::Code | By::Type | By::Subscription => HashMap::new(),
    };
    let mut sheet = Sheet::of(ask.window);
    let mut counted_since = ask.window.since;
    let mut rest = None;
    loop {
        let by_process = ask.by == By::Process;
        let answer = store.count_arrivals(ask.window, by_process, rest).wait()?;
        for arrivals in &answer.counts {
            sheet.add_total(arrivals.slot, arrivals.events);
            for who in lines_of(arrivals, ask.by, &subscriptions, &processes) {
                sheet.add(who, arrivals.slot, arrivals.events);
            }
        }
        rest = answer.rest;
        match rest {
            None => break,
            Some((at, _)) if deadline.is_over() => {
                counted_since = at;
                break;
            }
            Some(_) => {}
        }
    }
    Ok(sheet.finish("throughput", ask, counted_since))
}

fn lines_of(
    arrivals: &Arrivals,
    by: By,
    subscriptions: &[SubscriptionState],
    processes: &HashMap<ProcessId, String>,
) -> Vec<Who> {
    match by {
        By::All | By::Code => Vec::new(),
        By::Type => vec![(arrivals.event_type.to_string(), None)],
        By::Process => vec![process_line(arrivals.origin, processes)],
        By::Subscription => takers(arrivals, subscriptions),
    }
}

/// The names that take the type; several live subscriptions of one name count once.
fn takers(arrivals: &Arrivals, subscriptions: &[SubscriptionState]) -> Vec<Who> {
    let standing = subscriptions.iter().filter(|one| one.ended_at.is_none());
    let mut names: Vec<Who> = standing
        .map(SubscriptionState::current)
        .filter(|definition| definition.types.takes(&arrivals.event_type))
        .map(|definition| (definition.name.clone(), None))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// What processes are called: their pid and host.
pub(super) fn names(processes: &[ProcessState]) -> HashMap<ProcessId, String> {
    let name =
        |state: &ProcessState| format!("pid {} on {}", state.process.pid, state.process.host);
    processes
        .iter()
        .map(|state| (state.process.id, name(state)))
        .collect()
}

/// The line of a process, also of one that nobody remembers.
pub(super) fn process_line(process: Option<ProcessId>, names: &HashMap<ProcessId, String>) -> Who {
    match process {
        None => ("unknown".to_owned(), None),
        Some(id) => {
            let name = names.get(&id).cloned();
            let name = name.unwrap_or_else(|| "ended".to_owned());
            (name, Some(id.to_string()))
        }
    }
}
