//! Handling a backlog: durable subscriptions with an immediate handler that does nothing, until all
//! of it is settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use ringrift_events::handler::Function;
use ringrift_events::router::Subscribe;
use ringrift_events::store::subscriptions::Start;
use ringrift_events::system::System;

use super::{TYPE, open, until};
use crate::orders::{Orders, ready};
use crate::outcome::{Outcome, now, since};

/// Handles what [`super::publish::fill`] left, with so many subscriptions.
pub(crate) fn run(orders: &Orders) -> Result<Outcome> {
    let system = open(orders)?;
    ready()?;
    let wanted = orders.count * orders.subscriptions;
    let (counted, began) = (Arc::new(AtomicUsize::new(0)), now());
    for number in 0..orders.subscriptions {
        let counted = Arc::clone(&counted);
        let function = Function::immediate(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let subscribe = Subscribe::durable(format!("bench-{number}"))
            .to([TYPE])
            .start(Start::Beginning);
        system.router().subscribe(subscribe, function)?;
    }
    until("handling the backlog", || {
        Ok(counted.load(Ordering::Relaxed) >= wanted)
    })?;
    settled(&system)?;
    let took = since(began);
    let count = counted.load(Ordering::Relaxed);
    system.close();
    ensure!(
        count == wanted,
        "{count} deliveries of {wanted} events owed"
    );
    Ok(Outcome::new(count, took))
}

/// Waits until every durable subscription is settled up to the end of the log.
pub(super) fn settled(system: &System) -> Result<Duration> {
    let head = system.store().head().wait()?.seq;
    until("settling", || {
        let standing = system.store().subscriptions().wait()?;
        Ok(standing.iter().all(|one| one.settled >= head))
    })?;
    Ok(now())
}
