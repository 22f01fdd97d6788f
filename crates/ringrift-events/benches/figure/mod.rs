//! How a benchmark tells its figures.

use std::time::Duration;

use ringrift_events::clock::{Clock as _, SystemClock};

/// Tells one figure: what, its value with its unit, and the limit it has to keep, if any.
pub(crate) fn figure(what: &str, value: impl std::fmt::Display, limit: &str) {
    println!("figure\t{what}\t{value}\t{limit}");
}

/// Measures durations.
pub(crate) struct Stopwatch(Duration);

impl Stopwatch {
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(SystemClock.monotonic())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        SystemClock.monotonic().saturating_sub(self.0)
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}
