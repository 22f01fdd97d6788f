//! A production day in small: several processes publish at a steady rate, and durable subscriptions
//! spread over all of them take every event.

use std::time::Duration;

use anyhow::Result;
use ringrift_events::router::Subscribe;

use super::{Arrivals, TYPE, event, open, until};
use crate::orders::{Orders, ready};
use crate::outcome::{Outcome, now, percent_of_a_core, processor, since};

/// Without an event for so long, the last one has come.
const QUIET: Duration = Duration::from_millis(1_500);

/// One process of them: publishes its share of the rate, and hosts its share of the subscriptions.
pub(crate) fn run(orders: &Orders) -> Result<Outcome> {
    let system = open(orders)?;
    let arrivals = Arrivals::default();
    let (part, parts) = orders.part;
    for number in (part..orders.subscriptions).step_by(parts) {
        let subscribe = Subscribe::durable(format!("bench-{number}")).to([TYPE]);
        system.router().subscribe(subscribe, arrivals.noting())?;
    }
    ready()?;
    let between = Duration::from_secs_f64(parts as f64 / orders.rate);
    let (began, used) = (now(), processor());
    // Processes that publish at the same instant would measure each other.
    let first = between * u32::try_from(part)? / u32::try_from(parts)?;
    let mut published = 0_u32;
    loop {
        let due = first + between * published;
        if due >= orders.lasts {
            break;
        }
        std::thread::park_timeout(due.saturating_sub(since(began)));
        system.router().publish_blocking(event())?;
        published += 1;
    }
    let percent = percent_of_a_core(processor().saturating_sub(used), since(began));
    let took = since(began);
    quiet(&arrivals)?;
    system.close();
    let handled = arrivals.take();
    Ok(Outcome::new(usize::try_from(published)?, took)
        .with("handled", handled.len())
        .with("percent", percent)
        .latencies(handled))
}

/// Waits until nothing came for a while.
fn quiet(arrivals: &Arrivals) -> Result<()> {
    let (mut seen, mut since_when) = (arrivals.count(), now());
    until("the last event", || {
        let count = arrivals.count();
        if count != seen {
            (seen, since_when) = (count, now());
        }
        Ok(since(since_when) > QUIET)
    })
}
