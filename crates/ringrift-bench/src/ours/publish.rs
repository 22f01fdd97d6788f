//! Publishing: one after the other, many in flight, or many in one transaction.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Result;
use ringrift_events::router::Router;

use super::{event, open};
use crate::orders::{Orders, ready};
use crate::outcome::{Outcome, now, since};

/// Events of one transaction while a log is filled.
const FILL_BATCH: usize = 1_000;

/// Fills a log with so many events; they are there when the worker has ended.
pub(crate) fn fill(orders: &Orders) -> Result<Outcome> {
    let system = open(orders)?;
    ready()?;
    let began = now();
    fill_with(system.router(), orders.count)?;
    let took = since(began);
    system.close();
    Ok(Outcome::new(orders.count, took))
}

/// Publishes so many events, whose transactions are large.
pub(super) fn fill_with(router: &Router, count: usize) -> Result<()> {
    let mut left = count;
    while left > 0 {
        let batch = left.min(FILL_BATCH);
        router
            .publish_many((0..batch).map(|_| event()).collect())?
            .wait()?;
        left -= batch;
    }
    Ok(())
}

/// Publishes for its time. The latencies are those of whoever waits: for one, or for a batch.
pub(crate) fn run(orders: &Orders) -> Result<Outcome> {
    let system = open(orders)?;
    // The first one opens what opens late.
    system.router().publish_blocking(event())?;
    ready()?;
    let outcome = match (orders.batch, orders.in_flight) {
        (1, 1) => waiting(system.router(), orders.lasts),
        (1, many) => pipelined(system.router(), orders.lasts, many),
        (batch, many) => batches(system.router(), orders.lasts, many, batch),
    };
    system.close();
    outcome
}

fn waiting(router: &Router, lasts: Duration) -> Result<Outcome> {
    let (began, mut took) = (now(), Vec::new());
    let mut last = began;
    while last.saturating_sub(began) < lasts {
        router.publish_blocking(event())?;
        let done = now();
        took.push(done.saturating_sub(last));
        last = done;
    }
    Ok(Outcome::new(took.len(), last.saturating_sub(began)).latencies(took))
}

fn pipelined(router: &Router, lasts: Duration, many: usize) -> Result<Outcome> {
    flying(lasts, many, || {
        let publishing = router.publish(event())?;
        Ok(move || Ok(publishing.wait().map(|_| 1)?))
    })
}

fn batches(router: &Router, lasts: Duration, many: usize, batch: usize) -> Result<Outcome> {
    flying(lasts, many, || {
        let events = (0..batch).map(|_| event()).collect();
        let publishing = router.publish_many(events)?;
        Ok(move || Ok(publishing.wait()?.len()))
    })
}

/// Begins one after the other, and waits for the first of them where so many are on their way.
fn flying<Wait: FnOnce() -> Result<usize>>(
    lasts: Duration,
    many: usize,
    mut begin: impl FnMut() -> Result<Wait>,
) -> Result<Outcome> {
    let (began, mut count) = (now(), 0);
    let mut flying: VecDeque<Wait> = VecDeque::with_capacity(many);
    while since(began) < lasts {
        if flying.len() == many
            && let Some(first) = flying.pop_front()
        {
            count += first()?;
        }
        flying.push_back(begin()?);
    }
    for rest in flying {
        count += rest()?;
    }
    Ok(Outcome::new(count, since(began)))
}
