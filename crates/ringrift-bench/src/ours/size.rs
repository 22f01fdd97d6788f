//! What a process with many subscriptions holds in memory, and what an event takes on the disk.

use std::path::Path;

use anyhow::{Context as _, Result};
use ringrift_events::handler::Function;
use ringrift_events::router::Subscribe;
use ringrift_events::store::sqlite::database_of;

use super::consume::settled;
use super::publish::fill_with;
use super::{TYPE, open};
use crate::event::payload;
use crate::orders::{Orders, ready};
use crate::outcome::{Outcome, now, since};

/// Publishes so many events to so many durable subscriptions, and weighs when all is settled: the
/// process while it is open, the file once it is closed and so checkpointed.
pub(crate) fn run(orders: &Orders) -> Result<Outcome> {
    let system = open(orders)?;
    for number in 0..orders.subscriptions {
        let subscribe = Subscribe::durable(format!("bench-{number}")).to([TYPE]);
        let function = Function::asynchronous(|_| async { Ok(()) });
        system.router().subscribe(subscribe, function)?;
    }
    ready()?;
    let began = now();
    fill_with(system.router(), orders.count)?;
    settled(&system)?;
    let took = since(began);
    let resident = resident_bytes()?;
    system.close();
    let file = std::fs::metadata(database_of(&orders.home))?.len() as f64;
    let around = file / orders.count as f64 - payload().len() as f64;
    Ok(Outcome::new(orders.count, took)
        .with("resident_mb", resident / 1e6)
        .with("bytes_around", around))
}

/// The memory of this process that is in use now.
fn resident_bytes() -> Result<f64> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: f64 = kib.context("no VmRSS")?.trim().parse()?;
    Ok(kib * 1_024.0)
}
