//! From one process to another: a live subscription waits, another process publishes with pauses.

use std::time::Duration;

use anyhow::{Result, ensure};
use ringrift_events::router::Subscribe;

use super::{Arrivals, TYPE, event, open, until};
use crate::orders::{Orders, ready};
use crate::outcome::{Outcome, now, percent_of_a_core, processor, since};

/// Time for a process to come to rest after it opened, before it is watched.
const COMES_TO_REST: Duration = Duration::from_millis(1_500);

/// The shortest pause between two events.
const PAUSE_MIN: Duration = Duration::from_millis(3);

/// Pauses are this many different ones, a millisecond apart.
const PAUSES: usize = 9;

/// Steps through the pauses so that neighbours differ; it shares no divisor with their number.
const PAUSE_STEP: usize = 7;

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

/// What the process uses of a core while nothing happens.
pub(crate) fn idle(watched: Duration) -> Option<f64> {
    if watched.is_zero() {
        return None;
    }
    std::thread::park_timeout(COMES_TO_REST);
    let (began, used) = (now(), processor());
    std::thread::park_timeout(watched);
    let used = processor().saturating_sub(used);
    Some(percent_of_a_core(used, since(began)))
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

/// The pause before this event.
pub(crate) fn pause(number: usize) -> Duration {
    PAUSE_MIN + Duration::from_millis((number * PAUSE_STEP % PAUSES) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_three_to_eleven_milliseconds_and_each_comes() {
        let mut pauses: Vec<u128> = (0..PAUSES).map(|n| pause(n).as_millis()).collect();
        pauses.sort_unstable();
        assert_eq!(pauses, (3..=11).collect::<Vec<u128>>());
    }
}
