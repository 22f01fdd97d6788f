//! What the parent sees: every event of the pipeline, by a live subscription like anybody's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringrift_events::clock::Time;
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
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Events published, by stage.
    pub(super) published: [u64; STAGES.len()],
    /// When the first and the last of them were published.
    span: Option<(Time, Time)>,
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
    pub(super) fn start(system: &System) -> Result<Observer, Stop> {
        let counts = Arc::new(Mutex::new(Counts::default()));
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
        *lock(&self.counts)
    }

    /// Whether half of all rounds are through the pipeline's middle.
    pub(super) fn is_midway(&self, plan: &Plan) -> bool {
        self.counts().published[STAGES.len() / 2] * 2 >= plan.rounds()
    }

    /// Whether the run is over: all rounds are through, or nothing has moved for a while; and
    /// everything that was published is handled or dead.
    pub(super) fn is_over(&mut self, plan: &Plan, system: &System) -> bool {
        let published = self.counts().published;
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
        tallies.iter().map(open).sum::<u64>() == 0 && tallies.len() == STAGES.len()
    }

    /// The closing table: what the log and the ledger say, not what this process believes.
    pub(super) fn report(
        &self,
        plan: &Plan,
        system: &System,
        children: &Children,
        took: Duration,
    ) -> Result<Report, Stop> {
        let counts = self.counts();
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
            rows.push(StageRow {
                stage: stage.name,
                published: counts.published[place],
                to_handle: tally.map_or(0, |tally| tally.matching),
                handled: tally.map_or(0, |tally| tally.done),
                open: tally.map_or(0, open),
                retried: recovered + dead,
                dead,
                p50_ms: children.timings().quantile_ms(place, 50),
                p99_ms: children.timings().quantile_ms(place, 99),
            });
        }
        Ok(Report::new(plan, rows, children, took, counts.lasted()))
    }
}

impl Counts {
    fn note(&mut self, event: &Event) {
        let kind = event.event_type.as_str();
        let Some(place) = STAGES.iter().position(|stage| stage.publishes == kind) else {
            return;
        };
        self.published[place] += 1;
        let at = event.published_at;
        let (first, last) = self.span.unwrap_or((at, at));
        self.span = Some((first.min(at), last.max(at)));
    }

    /// From the first publish to the last.
    fn lasted(&self) -> Duration {
        self.span
            .map_or(Duration::ZERO, |(first, last)| last.since(first))
    }
}

/// Deliveries that have not come to an end.
fn open(tally: &Tally) -> u64 {
    tally.waiting + tally.claimed + tally.retrying
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
