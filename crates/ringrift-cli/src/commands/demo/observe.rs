//! What the parent sees: every event of the pipeline, by a live subscription like anybody's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringrift_events::event::Event;
use ringrift_events::handler::Function;
use ringrift_events::router::Subscribe;
use ringrift_events::store::letters::{LetterFilter, LetterState};
use ringrift_events::store::upkeep::Tally;
use ringrift_events::system::System;

use super::children::Children;
use super::plan::{PREFIX, Plan, STAGES};
use super::report::{Report, StageRow};
use crate::failure::Stop;

/// Counts of one run so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// Events published, by stage.
    pub(super) published: [u64; STAGES.len()],
    /// Microseconds from publish to the publish of what its handler made of it, by the stage that
    /// handled.
    pub(super) latencies_us: [Vec<u64>; STAGES.len()],
    /// Rounds begin by the clock, so that the first stage's publish is no answer to the last's.
    paced: bool,
    /// When the event of a stage, pipeline and round was published, until the next stage answers.
    open: HashMap<(usize, u64, u64), i64>,
}

/// The parent's subscription.
pub(super) struct Observer {
    counts: Arc<Mutex<Counts>>,
    /// What was published when it last moved, and when that was.
    moved: ([u64; STAGES.len()], Duration),
}

/// A run in which nothing was published for this long has come to its end, if nothing is owed.
const STANDS_STILL: Duration = Duration::from_secs(3);

impl Observer {
    pub(super) fn start(system: &System, plan: &Plan) -> Result<Observer, Stop> {
        let counts = Arc::new(Mutex::new(Counts {
            paced: plan.paced.is_some(),
            ..Counts::default()
        }));
        let noted = Arc::clone(&counts);
        let function = Function::immediate(move |context| {
            lock(&noted).note(context.event());
            Ok(())
        });
        let wanted = Subscribe::live(format!("{PREFIX}observer"))
            .to(STAGES.iter().map(|stage| stage.publishes));
        system.router().subscribe(wanted, function)?;
        Ok(Observer {
            counts,
            moved: ([0; STAGES.len()], system.clock().monotonic()),
        })
    }

    pub(super) fn counts(&self) -> Counts {
        let counts = lock(&self.counts);
        Counts {
            published: counts.published,
            ..Counts::default()
        }
    }

    /// Whether half of all rounds are through the pipeline's middle.
    pub(super) fn is_midway(&self, plan: &Plan) -> bool {
        lock(&self.counts).published[STAGES.len() / 2] * 2 >= plan.rounds()
    }

    /// Whether the run is over: all rounds are through, or nothing has moved for a while; and
    /// everything that was published is handled or dead.
    pub(super) fn is_over(&mut self, plan: &Plan, system: &System) -> bool {
        let published = lock(&self.counts).published;
        let now = system.clock().monotonic();
        if published != self.moved.0 {
            self.moved = (published, now);
        }
        let through = published[STAGES.len() - 1] >= plan.rounds();
        let stands = now.saturating_sub(self.moved.1) > STANDS_STILL;
        if !through && !stands {
            return false;
        }
        let Ok(tallies) = system.store().tallies().wait() else {
            return false;
        };
        let open = |tally: &Tally| tally.waiting + tally.claimed + tally.retrying > 0;
        !tallies.iter().any(open) && tallies.len() == STAGES.len()
    }

    /// The closing table: what the log and the ledger say, not what this process believes.
    pub(super) fn report(
        &self,
        plan: &Plan,
        system: &System,
        children: &Children,
        took: Duration,
    ) -> Result<Report, Stop> {
        let mut counts = lock(&self.counts).clone();
        let subscriptions = system.store().subscriptions().wait()?;
        let tallies = system.store().tallies().wait()?;
        let mut rows = Vec::new();
        for (place, stage) in STAGES.iter().enumerate() {
            let name = format!("{PREFIX}{}", stage.name);
            let id = subscriptions
                .iter()
                .find(|subscription| subscription.current().name == name);
            let tally = tallies
                .iter()
                .find(|tally| Some(tally.subscription) == id.map(|id| id.id));
            let recovered = letters(system, &name, vec![LetterState::Recovered])?;
            let dead = tally.map_or(0, |tally| tally.dead);
            let latencies = &mut counts.latencies_us[place];
            latencies.sort_unstable();
            if place == 0 && plan.paced.is_some() {
                // Rounds begin by the clock then, and not by what was handled.
                latencies.clear();
            }
            rows.push(StageRow {
                stage: stage.name,
                published: counts.published[place],
                to_handle: tally.map_or(0, |tally| tally.matching),
                handled: tally.map_or(0, |tally| tally.done),
                retried: recovered + dead,
                dead,
                p50_ms: quantile(latencies, 50),
                p99_ms: quantile(latencies, 99),
            });
        }
        Ok(Report::new(plan, rows, children, took))
    }
}

impl Counts {
    fn note(&mut self, event: &Event) {
        let kind = event.event_type.as_str();
        let Some(place) = STAGES.iter().position(|stage| stage.publishes == kind) else {
            return;
        };
        self.published[place] += 1;
        let fields = event.payload.fields();
        let of = |name: &str| fields.get(name).and_then(serde_json::Value::as_u64);
        let (Some(config), Some(iteration)) = (of("config"), of("iteration")) else {
            return;
        };
        let before = match place {
            // Rounds that begin by the clock answer nothing.
            0 if self.paced => None,
            0 => iteration
                .checked_sub(1)
                .map(|before| (STAGES.len() - 1, config, before)),
            _ => Some((place - 1, config, iteration)),
        };
        if let Some(made) = before.and_then(|before| self.open.remove(&before)) {
            let took = u64::try_from(event.published_at.0 - made).unwrap_or(0);
            self.latencies_us[place].push(took);
        }
        self.open
            .insert((place, config, iteration), event.published_at.0);
    }
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

fn letters(system: &System, handler: &str, states: Vec<LetterState>) -> Result<u64, Stop> {
    let filter = LetterFilter {
        handler: Some(handler.to_owned()),
        states,
        limit: 100_000,
        ..LetterFilter::default()
    };
    Ok(system.dead_letters().list(filter)?.len() as u64)
}

/// The value below which `percent` of the sorted values lie, in milliseconds.
fn quantile(sorted_us: &[u64], percent: usize) -> Option<f64> {
    let last = sorted_us.len().checked_sub(1)?;
    let place = (sorted_us.len() * percent)
        .div_ceil(100)
        .saturating_sub(1)
        .min(last);
    Some(sorted_us[place] as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values: Vec<u64> = (1..=200).map(|value| value * 1_000).collect();
        assert_eq!(quantile(&values, 50), Some(100.0));
        assert_eq!(quantile(&values, 99), Some(198.0));
        assert_eq!(quantile(&values[..1], 99), Some(1.0));
        assert_eq!(quantile(&[], 50), None);
    }
}
