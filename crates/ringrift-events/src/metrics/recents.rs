//! What is new in the rings of last deliveries, look by look.

use std::collections::{BTreeMap, HashMap};

use super::series::{Family, Kind, float};
use crate::clock::Time;
use crate::event::{EventId, ProcessId};
use crate::store::registry::{ProcessState, Recent};
use crate::store::subscriptions::SubscriptionId;

/// Upper bounds of the histogram of durations, in seconds: from handlers that write a row to
/// those that train a model.
pub const DURATION_BOUNDS: [f64; 15] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// What one delivery of a ring is known by.
type Mark = (EventId, SubscriptionId, Time);

/// Remembers the newest delivery of each process's ring.
#[derive(Default)]
pub struct Recents {
    newest: Option<HashMap<ProcessId, Option<Mark>>>,
}

/// What ended since the last look.
#[derive(Debug, Default)]
pub struct Fresh {
    /// The deliveries, with the process they ran in, oldest first.
    pub deliveries: Vec<(ProcessId, Recent)>,
    /// Rings that were written over wholly since the last look: more ended there than was seen.
    pub gaps: u64,
}

impl Recents {
    /// What is new. The first look only begins: what ended before it is not new.
    pub fn look(&mut self, processes: &[ProcessState]) -> Fresh {
        let mark = |recent: &Recent| (recent.event, recent.subscription, recent.at);
        let known = self.newest.take();
        let mut fresh = Fresh::default();
        for state in processes.iter().filter(|_| known.is_some()) {
            let last = known
                .as_ref()
                .and_then(|known| known.get(&state.process.id).copied().flatten());
            let ring = &state.recent;
            let new = match last {
                None => ring.len(),
                Some(last) => match ring.iter().position(|recent| mark(recent) == last) {
                    Some(place) => place,
                    None => {
                        fresh.gaps += u64::from(!ring.is_empty());
                        ring.len()
                    }
                },
            };
            let deliveries = ring[..new].iter().rev();
            fresh
                .deliveries
                .extend(deliveries.map(|recent| (state.process.id, recent.clone())));
        }
        let newest = processes
            .iter()
            .map(|state| (state.process.id, state.recent.first().map(mark)));
        self.newest = Some(newest.collect());
        fresh
    }
}

/// How long deliveries took, by subscription.
pub struct Durations {
    most: usize,
    by_name: BTreeMap<String, Histogram>,
    gaps: u64,
}

#[derive(Default)]
struct Histogram {
    counts: [u64; DURATION_BOUNDS.len() + 1],
    sum: f64,
}

impl Durations {
    /// None yet; at most `most` names have a histogram of their own, the rest is `other`.
    #[must_use]
    pub fn new(most: usize) -> Durations {
        Durations {
            most,
            by_name: BTreeMap::new(),
            gaps: 0,
        }
    }

    /// Counts one delivery of a subscription.
    pub fn add(&mut self, name: &str, took_us: u64) {
        let own = self.by_name.contains_key(name) || self.by_name.len() < self.most;
        let name = if own { name } else { "other" };
        let histogram = self.by_name.entry(name.to_owned()).or_default();
        let seconds = float(took_us) / 1e6;
        let place = DURATION_BOUNDS
            .iter()
            .position(|bound| seconds <= *bound)
            .unwrap_or(DURATION_BOUNDS.len());
        histogram.counts[place] += 1;
        histogram.sum += seconds;
    }

    /// Counts rings that were written over between two looks.
    pub fn add_gaps(&mut self, gaps: u64) {
        self.gaps += gaps;
    }

    /// The series.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let mut took = Family::new(
            "ringrift_handler_duration_seconds",
            Kind::Histogram,
            "seconds",
            "How long deliveries took, by subscription, as far as they were seen in time.",
        );
        for (name, histogram) in &self.by_name {
            took.add_histogram(
                &[("subscription", name)],
                &DURATION_BOUNDS,
                &histogram.counts,
                histogram.sum,
            );
        }
        let mut gaps = Family::new(
            "ringrift_handler_duration_gaps",
            Kind::Counter,
            "",
            "Looks at a process that had more deliveries since the last look than it shows.",
        );
        gaps.add(&[], float(self.gaps));
        vec![took, gaps]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_its_bucket_and_names_are_bounded() {
        let mut durations = Durations::new(1);
        durations.add("a", 1_000);
        durations.add("a", 400_000_000);
        durations.add("b", 2_000);
        let families = durations.families();
        let value = |suffix: &str, name: &str, le: Option<&str>| {
            let found = families[0].samples.iter().find(|sample| {
                let label = |of: &str| {
                    let mut labels = sample.labels.iter();
                    labels
                        .find(|(name, _)| *name == of)
                        .map(|(_, value)| value.as_str())
                };
                sample.suffix == suffix && label("subscription") == Some(name) && label("le") == le
            });
            found.map(|sample| sample.value)
        };
        assert_eq!(value("_bucket", "a", Some("0.001")), Some(1.0));
        assert_eq!(value("_bucket", "a", Some("300.0")), Some(1.0));
        assert_eq!(value("_bucket", "a", Some("+Inf")), Some(2.0));
        assert_eq!(value("_count", "other", None), Some(1.0));
        assert_eq!(value("_sum", "a", None), Some(400.001));
    }
}
