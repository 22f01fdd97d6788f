//! How many runs and deliveries failed, over time.

use std::collections::HashMap;

use super::ask::{Ask, By, Deadline};
use super::chart::{Chart, Sheet, Who};
use super::throughput::{names, process_line};
use crate::clock::Clock;
use crate::event::ProcessId;
use crate::store::counting::FactCount;
use crate::store::subscriptions::SubscriptionId;
use crate::store::{Error, Store};
use crate::verdict::Code;

/// The verdicts of a failed attempt: each stands for one run that did not succeed.
pub const FAILED_ATTEMPTS: &[Code] = &[
    Code::HnTimeout,
    Code::HnPanic,
    Code::HnError,
    Code::HnLeaseLost,
];

/// Everything that `failures` counts by code: attempts, and what became of deliveries.
pub const FAILURES: &[Code] = &[
    Code::RtRefused,
    Code::HnTimeout,
    Code::HnAbandoned,
    Code::HnPanic,
    Code::HnError,
    Code::HnLeaseLost,
    Code::StDead,
    Code::StExpired,
];

/// Counts recorded failures in the window, newest first, until the window or the time limit ends.
/// By code it counts all of [`FAILURES`]; otherwise, and in the total, failed attempts only, so
/// that a delivery that failed and then died is not counted twice.
///
/// # Errors
/// The store's.
pub fn failures(store: &dyn Store, clock: &dyn Clock, ask: &Ask) -> Result<Chart, Error> {
    let deadline = Deadline::of(clock, ask.time_limit);
    let subscriptions: HashMap<SubscriptionId, String> = match ask.by {
        By::Subscription => {
            let states = store.subscriptions().wait()?;
            let named = states
                .iter()
                .map(|one| (one.id, one.current().name.clone()));
            named.collect()
        }
        By::All | By::Code | By::Type | By::Process => HashMap::new(),
    };
    let processes = match ask.by {
        By::Process => names(&store.processes().wait()?),
        By::All | By::Code | By::Type | By::Subscription => HashMap::new(),
    };
    let mut sheet = Sheet::of(ask.window);
    let mut counted_since = ask.window.since;
    let mut rest = None;
    loop {
        let codes = FAILURES.to_vec();
        let answer = store.count_facts(ask.window, codes, rest).wait()?;
        for count in &answer.counts {
            let attempt = FAILED_ATTEMPTS.contains(&count.code);
            if attempt {
                sheet.add_total(count.slot, count.facts);
            }
            if attempt || ask.by == By::Code {
                let who = line_of(count, ask.by, &subscriptions, &processes);
                if let Some(who) = who {
                    sheet.add(who, count.slot, count.facts);
                }
            }
        }
        match answer.rest {
            None => break,
            Some((_, at)) if deadline.is_over() => {
                counted_since = at;
                break;
            }
            Some((id, _)) => rest = Some(id),
        }
    }
    Ok(sheet.finish("failures", ask, counted_since))
}

fn line_of(
    count: &FactCount,
    by: By,
    subscriptions: &HashMap<SubscriptionId, String>,
    processes: &HashMap<ProcessId, String>,
) -> Option<Who> {
    match by {
        By::All => None,
        By::Code => Some((count.code.to_string(), None)),
        By::Type => {
            let name = count.event_type.as_ref().map(ToString::to_string);
            Some((name.unwrap_or_else(|| "unknown".to_owned()), None))
        }
        By::Subscription => {
            let name = count.subscription.map(|id| match subscriptions.get(&id) {
                Some(name) => name.clone(),
                None => format!("subscription {} (removed)", id.0),
            });
            Some((name.unwrap_or_else(|| "unknown".to_owned()), None))
        }
        By::Process => Some(process_line(count.process, processes)),
    }
}
