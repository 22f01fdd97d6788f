//! A log of many events: what a publish, a claim and a question about one event cost beside it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use ringrift_events::store::deliveries::{Settle, Want};
use ringrift_events::store::log::TypeSet;
use ringrift_events::store::subscriptions::{Definition, Kind, Start};
use ringrift_events::system::System;

use super::publish::fill_with;
use super::{TYPE, event, open};
use crate::orders::{Orders, ready};
use crate::outcome::{Outcome, micros, now, since};

/// Times that each is done; the middle one counts.
const TIMES: usize = 201;

/// Events of one claim: all claims together stay within the smaller log.
const CLAIMED: usize = 256;

/// Fills the log to so many events before it is ready, then measures.
pub(crate) fn run(orders: &Orders) -> Result<Outcome> {
    let system = open(orders)?;
    let there = usize::try_from(system.store().head().wait()?.seq.0)?;
    fill_with(system.router(), orders.count.saturating_sub(there))?;
    ready()?;
    let began = now();
    let publish = middle(|_| {
        system.router().publish_blocking(event())?;
        Ok(())
    })?;
    let claim = claims(&system)?;
    let step = orders.count / TIMES;
    let explain = middle(|time| {
        system.explain(&(1 + time * step).to_string())?;
        Ok(())
    })?;
    let took = since(began);
    system.close();
    Ok(Outcome::new(orders.count, took)
        .with("publish_us", micros(publish))
        .with("claim_us", micros(claim))
        .with("explain_us", micros(explain)))
}

/// The time of one claim of [`CLAIMED`] events, from the beginning of the log on.
fn claims(system: &System) -> Result<Duration> {
    let definition = Definition {
        name: "bench-claims".to_owned(),
        kind: Kind::Durable,
        types: TypeSet::only([system.catalog().resolve(TYPE)?.event_type.clone()]),
        filter: None,
        start: Start::Beginning,
        dedup: Vec::new(),
        ordered_by_key: false,
    };
    let store = system.store();
    let subscription = store.subscribe(definition, false).wait()?.id;
    middle(|_| {
        let max = CLAIMED;
        let want = Want {
            subscription,
            max,
            likely: false,
            grows: None,
        };
        let claim = store.claim(want).wait()?;
        let claim = claim.context("nothing to claim")?;
        let last = claim.events.last().and_then(|event| event.seq);
        let settle = Settle {
            token: claim.token,
            settled_to: last.context("an event without a place")?,
            results: Vec::new(),
            done: claim.events.len() as u64,
        };
        store.settle(settle).wait()?;
        Ok(())
    })
}

/// The middle time of what is done several times.
fn middle(mut what: impl FnMut(usize) -> Result<()>) -> Result<Duration> {
    let mut took = Vec::with_capacity(TIMES);
    for time in 0..TIMES {
        let began = now();
        what(time)?;
        took.push(since(began));
    }
    took.sort_unstable();
    Ok(took[TIMES / 2])
}
