//! What came of the rounds, and the arithmetic of medians and ratios.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::contestants::{Contestant, Side};
use super::rows::{Row, Scene};

/// A row with what every contestant did.
pub(super) struct Measured {
    pub(super) row: Row,
    pub(super) lines: Vec<Line>,
}

/// One contestant's runs, one a round.
pub(super) struct Line {
    pub(super) contestant: Contestant,
    pub(super) runs: Vec<Run>,
}

/// What several processes together did in one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Run(BTreeMap<String, f64>);

/// Which number of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Figure {
    /// Its name among what a worker says, or `rate`.
    pub(super) key: &'static str,
    pub(super) unit: &'static str,
    /// Whether less is better.
    pub(super) less_is_better: bool,
}

const fn less(key: &'static str, unit: &'static str) -> Figure {
    let less_is_better = true;
    Figure {
        key,
        unit,
        less_is_better,
    }
}

pub(super) const RATE: Figure = Figure {
    key: "rate",
    unit: "/s",
    less_is_better: false,
};
pub(super) const P50: Figure = less("p50", "µs");
pub(super) const P99: Figure = less("p99", "µs");
pub(super) const WORST: Figure = less("worst", "µs");
pub(super) const IDLE: Figure = less("idle_percent", "% of a core, waiting");
pub(super) const BUSY: Figure = less("percent", "% of a core a process");
pub(super) const LOST: Figure = less("lost", "lost");
pub(super) const KEPT: Figure = less("kept_seconds", "s of events kept");
pub(super) const RESIDENT: Figure = less("resident_mb", "MB resident");
pub(super) const AROUND: Figure = less("bytes_around", "bytes an event around its payload");
pub(super) const PUBLISH: Figure = less("publish_us", "µs a publish");
pub(super) const CLAIM: Figure = less("claim_us", "µs a claim");
pub(super) const EXPLAIN: Figure = less("explain_us", "µs an explain");

/// Numbers that processes of one run add up; of the others the largest counts.
const ADDED: &[&str] = &["rate", "count", "handled", "refused"];

impl Run {
    /// Joins what the processes of one run said.
    pub(super) fn of(said: &[Value]) -> Result<Run> {
        let mut joined = BTreeMap::new();
        for one in said {
            let mut numbers: BTreeMap<String, f64> = one
                .as_object()
                .context("a worker said no object")?
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)))
                .collect();
            let (count, seconds) = (numbers.get("count"), numbers.get("seconds"));
            let (count, seconds) = count.zip(seconds).context("no count, or no seconds")?;
            let rate = count / seconds.max(f64::MIN_POSITIVE);
            numbers.insert("rate".to_owned(), rate);
            for (name, number) in numbers {
                let added = ADDED.contains(&name.as_str());
                let so_far = joined.entry(name).or_insert(number_before(added));
                *so_far = if added {
                    *so_far + number
                } else {
                    so_far.max(number)
                };
            }
        }
        Ok(Run(joined))
    }

    /// Adds a number of its own.
    pub(super) fn with(mut self, name: &str, number: f64) -> Run {
        self.0.insert(name.to_owned(), number);
        self
    }

    /// Every name.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// A number by its name.
    pub(super) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }
}

/// What is there before the first process is joined: a sum begins with nothing.
fn number_before(added: bool) -> f64 {
    if added { 0.0 } else { f64::NEG_INFINITY }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self
            .0
            .iter()
            .filter(|(name, _)| *name != "count" && *name != "seconds");
        let words = shown.map(|(name, number)| format!("{name} {}", short(*number)));
        f.write_str(&words.collect::<Vec<_>>().join(", "))
    }
}

impl Line {
    pub(super) fn of(scene: &Scene) -> Line {
        Line {
            contestant: scene.contestant,
            runs: Vec::new(),
        }
    }

    /// The median of the rounds; of the worst the worst.
    pub(super) fn get(&self, figure: Figure) -> Option<f64> {
        self.median_of(figure.key)
    }

    /// The same by the number's name.
    pub(super) fn median_of(&self, name: &str) -> Option<f64> {
        let found: Vec<f64> = self.runs.iter().filter_map(|run| run.get(name)).collect();
        match name == WORST.key {
            true => found.into_iter().reduce(f64::max),
            false => median(found),
        }
    }
}

impl Measured {
    /// The best of the lines whose names begin so: where we do the same in two ways, the better one
    /// is ours.
    pub(super) fn best(&self, name: &str, figure: Figure) -> Option<f64> {
        let lines = self.lines.iter();
        let found = lines
            .filter(|line| line.contestant.name.starts_with(name))
            .filter_map(|line| line.get(figure));
        found.reduce(if figure.less_is_better {
            f64::min
        } else {
            f64::max
        })
    }

    /// The limit, if the row has one.
    pub(super) fn limit(&self) -> Option<f64> {
        let mut lines = self.lines.iter();
        let limit = lines.find(|line| line.contestant.side() == Side::Limit);
        limit.and_then(|line| line.get(self.row.figure))
    }
}

/// The middle of them; of an even number the mean of the two in the middle.
pub(super) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let half = numbers.len() / 2;
    match numbers.len() % 2 {
        1 => Some(numbers[half]),
        _ => half
            .checked_sub(1)
            .map(|below| numbers[below].midpoint(numbers[half])),
    }
}

/// A number as people read it: three digits that count.
pub(super) fn short(number: f64) -> String {
    let size = number.abs();
    if size >= 1e6 {
        format!("{:.2} M", number / 1e6)
    } else if size >= 1e4 {
        format!("{:.1} k", number / 1e3)
    } else if size >= 100.0 {
        format!("{number:.0}")
    } else if size >= 10.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.2}")
    }
}

/// The same with its unit; many microseconds are milliseconds.
pub(super) fn with_unit(number: f64, unit: &str) -> String {
    match unit {
        "µs" if number >= 1_000.0 => format!("{} ms", short(number / 1_000.0)),
        _ => format!("{} {unit}", short(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_median_is_the_middle_of_any_order() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![5.0]), Some(5.0));
        assert_eq!(median(vec![9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(vec![9.0, 1.0, 5.0, 3.0]), Some(4.0));
    }

    #[test]
    fn rates_of_processes_add_up_and_the_slowest_latency_counts() {
        let said = [
            json!({"count": 100, "seconds": 1.0, "p99": 7.0}),
            json!({"count": 100, "seconds": 2.0, "p99": 9.0, "idle_percent": null}),
        ];
        let run = Run::of(&said).unwrap();
        assert_eq!(run.get("rate"), Some(150.0));
        assert_eq!(run.get("count"), Some(200.0));
        assert_eq!((run.get("p99"), run.get("idle_percent")), (Some(9.0), None));
        Run::of(&[json!({"count": 1})]).unwrap_err();
    }

    #[test]
    fn of_the_worst_of_every_round_the_worst_counts() {
        let runs =
            [1.0, 9.0, 2.0].map(|worst| Run::default().with("worst", worst).with("p99", worst));
        let line = Line {
            contestant: crate::bench::contestants::OURS,
            runs: runs.to_vec(),
        };
        assert_eq!((line.get(WORST), line.get(P99)), (Some(9.0), Some(2.0)));
        assert_eq!(line.get(RATE), None);
    }

    #[test]
    fn numbers_keep_three_digits() {
        let shown = [0.034, 12.34, 9_999.0, 12_345.0, 1_234_567.0].map(short);
        assert_eq!(shown, ["0.03", "12.3", "9999", "12.3 k", "1.23 M"]);
        assert_eq!(with_unit(25_000.0, "µs"), "25.0 ms");
        assert_eq!(with_unit(999.0, "µs"), "999 µs");
        assert_eq!(with_unit(30_000.0, "/s"), "30.0 k /s");
    }
}
