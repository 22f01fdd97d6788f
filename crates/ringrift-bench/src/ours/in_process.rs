//! In one process, in memory: a type that does not leave it, and live subscriptions to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, bail, ensure};
use ringrift_events::handler::Function;
use ringrift_events::router::{Publish, Subscribe};

use super::{open, until};
use crate::event::payload;
use crate::orders::{Orders, ready};
use crate::outcome::{Outcome, now, since};

/// A type that is not bridged: its events are in memory alone.
const VOLATILE: &str = "QUEUED_EVENTS_SYNCED";

/// Events that a publisher is ahead of all its subscribers together, a subscriber; half of what a
/// mailbox holds, so that none is refused.
pub(crate) const AHEAD_MAX: usize = 512;

/// Publishes for its time to so many subscriptions, and counts what their handlers got.
pub(crate) fn run(orders: &Orders) -> Result<Outcome> {
    let system = open(orders)?;
    let handled = Counters::new(orders.subscriptions);
    for number in 0..orders.subscriptions {
        let subscribe = Subscribe::live(format!("bench-{number}")).to([VOLATILE]);
        let function = function(&orders.handler, handled.of(number))?;
        system.router().subscribe(subscribe, function)?;
    }
    ready()?;
    let (began, mut published) = (now(), 0);
    while since(began) < orders.lasts {
        let publish = Publish::new(VOLATILE, payload());
        let receipt = system.router().publish(publish)?.wait()?;
        ensure!(
            receipt.skipped.is_empty(),
            "an event was refused: {:?}",
            receipt.skipped
        );
        published += 1;
        handled.keep_pace(published);
    }
    let owed = published * orders.subscriptions;
    until("handling what was published", || Ok(handled.sum() >= owed))?;
    let took = since(began);
    system.close();
    let count = handled.sum();
    ensure!(count == owed, "{count} deliveries of {owed} owed");
    Ok(Outcome::new(count, took))
}

fn function(kind: &str, handled: Arc<AtomicUsize>) -> Result<Function> {
    Ok(match kind {
        "immediate" => Function::immediate(move |_| {
            handled.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }),
        "async" => Function::asynchronous(move |_| {
            handled.fetch_add(1, Ordering::Relaxed);
            async { Ok(()) }
        }),
        other => bail!("no such kind of handler: {other}"),
    })
}

/// What each subscriber has handled; each has a counter of its own, as handlers share nothing.
pub(crate) struct Counters(Vec<Arc<AtomicUsize>>);

impl Counters {
    /// So many subscribers.
    pub(crate) fn new(subscribers: usize) -> Counters {
        Counters((0..subscribers).map(|_| Arc::default()).collect())
    }

    /// The counter of one.
    pub(crate) fn of(&self, number: usize) -> Arc<AtomicUsize> {
        Arc::clone(&self.0[number])
    }

    /// What all have handled.
    pub(crate) fn sum(&self) -> usize {
        self.0.iter().map(|one| one.load(Ordering::Relaxed)).sum()
    }

    /// Waits while any subscriber is too far behind. It looks only now and then: the look touches
    /// every subscriber's counter.
    pub(crate) fn keep_pace(&self, published: usize) {
        const LOOK_EVERY: usize = 64;
        if !published.is_multiple_of(LOOK_EVERY) {
            return;
        }
        let behind = |one: &Arc<AtomicUsize>| {
            published.saturating_sub(one.load(Ordering::Relaxed)) > AHEAD_MAX - LOOK_EVERY
        };
        while self.0.iter().any(behind) {
            std::thread::yield_now();
        }
    }
}
