//! From one process to another: a live subscription waits, another process publishes with pauses.

use anyhow::{Result, ensure};
use ringrift_events::router::Subscribe;

use super::{Arrivals, TYPE, event, open, until};
use crate::event::{idle, pause};
use crate::orders::{Orders, ready};
use crate::outcome::{Outcome, now, since};

/// Waits for so many events. Before it is ready it is watched doing nothing.
pub(crate) fn run(orders: &Orders) -> Result<Outcome> {
    let system = open(orders)?;
    let arrivals = Arrivals::default();
    let subscribe = Subscribe::live("bench-receives").to([TYPE]);
    system.router().subscribe(subscribe, arrivals.noting())?;
    let idle_percent = idle(orders.idle);
    ready()?;
    let began = now();
    until("receiving", || Ok(arrivals.count() >= orders.count))?;
    let took = since(began);
    system.close();
    let arrived = arrivals.take();
    ensure!(
        arrived.len() == orders.count,
        "{} events came",
        arrived.len()
    );
    let outcome = Outcome::new(arrived.len(), took).latencies(arrived);
    Ok(match idle_percent {
        Some(percent) => outcome.with("idle_percent", percent),
        None => outcome,
    })
}

/// Publishes so many events, with pauses of 3 to 11 milliseconds between them.
pub(crate) fn pace(orders: &Orders) -> Result<Outcome> {
    let system = open(orders)?;
    ready()?;
    let began = now();
    let mut took = Vec::with_capacity(orders.count);
    for number in 0..orders.count {
        std::thread::park_timeout(pause(number));
        let asked = now();
        system.router().publish_blocking(event())?;
        took.push(since(asked));
    }
    let lasted = since(began);
    system.close();
    Ok(Outcome::new(orders.count, lasted).latencies(took))
}
