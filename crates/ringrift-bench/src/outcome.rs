//! What a worker measured, and the one line that says it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};

/// What came of the work.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    count: usize,
    took: Duration,
    latencies: Vec<Duration>,
    others: Map<String, Value>,
}

impl Outcome {
    /// So many events in this time.
    pub(crate) fn new(count: usize, took: Duration) -> Outcome {
        Outcome {
            count,
            took,
            ..Outcome::default()
        }
    }

    /// Adds how long each took.
    pub(crate) fn latencies(mut self, latencies: Vec<Duration>) -> Outcome {
        self.latencies = latencies;
        self
    }

    /// Adds a value of its own name.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Outcome {
        self.others.insert(name.to_owned(), value.into());
        self
    }

    /// The line: `count`, `seconds`, latencies in microseconds where there are any.
    pub(crate) fn line(mut self) -> String {
        self.latencies.sort_unstable();
        let mut said = self.others;
        said.insert("count".to_owned(), json!(self.count));
        said.insert("seconds".to_owned(), json!(self.took.as_secs_f64()));
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("worst", 1.0)] {
            if let Some(at) = place(self.latencies.len(), share) {
                said.insert(name.to_owned(), json!(micros(self.latencies[at])));
            }
        }
        Value::Object(said).to_string()
    }
}

/// Where, in so many sorted values, the one stands that this share of them does not exceed.
fn place(count: usize, share: f64) -> Option<usize> {
    let place = (count as f64 * share).ceil() as usize;
    (count > 0).then(|| place.clamp(1, count) - 1)
}

/// Microseconds, with their fraction.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// A time that all processes of the machine share.
pub(crate) fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

/// Time since then.
pub(crate) fn since(then: Duration) -> Duration {
    now().saturating_sub(then)
}

/// The processor time that this process has used.
pub(crate) fn processor() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// The share of one core that this process used between two readings, in percent.
pub(crate) fn percent_of_a_core(used: Duration, of: Duration) -> f64 {
    100.0 * used.as_secs_f64() / of.as_secs_f64().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        assert_eq!(place(0, 0.5), None);
        assert_eq!(place(1, 0.99), Some(0));
        assert_eq!(place(100, 0.5), Some(49));
        assert_eq!(place(100, 0.99), Some(98));
        assert_eq!(place(100, 1.0), Some(99));
    }

    #[test]
    fn the_line_has_latencies_only_where_there_are_any() {
        let plain: Value =
            serde_json::from_str(&Outcome::new(3, Duration::from_secs(2)).line()).unwrap();
        assert_eq!(
            (&plain["count"], &plain["seconds"]),
            (&json!(3), &json!(2.0))
        );
        assert_eq!(plain.get("p50"), None);
        let times = [3, 1, 2].map(Duration::from_micros).to_vec();
        let line = Outcome::new(3, Duration::ZERO)
            .latencies(times)
            .with("lost", 0)
            .line();
        let timed: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&timed["p50"], &timed["worst"], &timed["lost"]),
            (&json!(2.0), &json!(3.0), &json!(0))
        );
    }
}
