//! The series of `/metrics`: few, bounded, and the same for every process of the home.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::ask::{Ask, By, Deadline};
use super::lag::{LagRow, lag};
use super::series::{Family, Kind, float};
use super::standing::Standing;
use crate::clock::Clock;
use crate::event::{ProcessId, Seq};
use crate::store::registry::{Counters, Liveness, ProcessState};
use crate::store::upkeep::Figures;
use crate::store::{Error, Store};

/// Types that have a series of their own: as many as a dashboard shows; the rest is `other`.
pub const TYPES_MAX: usize = 50;

/// Subscriptions that have series of their own; the rest is `other`.
pub const SUBSCRIPTIONS_MAX: usize = 100;

/// The label of everything beyond a bound.
const OTHER: &str = "other";

/// How many series there may be, and how long reading them may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportRules {
    /// Types with a series of their own.
    pub types_max: usize,
    /// Subscriptions with series of their own.
    pub subscriptions_max: usize,
    /// How long one look may read.
    pub time_limit: Duration,
}

/// Makes the series, and remembers what its counters have counted: they grow from 0 when it is
/// made, whichever processes come and go.
pub struct Exporter {
    rules: ExportRules,
    /// Where counting goes on, and in which incarnation of the log.
    counted: Option<(Seq, u64)>,
    events: BTreeMap<String, u64>,
    seen: HashMap<ProcessId, Counters>,
    sums: Counters,
}

impl Exporter {
    /// An exporter that has seen nothing yet.
    #[must_use]
    pub fn new(rules: ExportRules) -> Exporter {
        Exporter {
            rules,
            counted: None,
            events: BTreeMap::new(),
            seen: HashMap::new(),
            sums: Counters::default(),
        }
    }

    /// Looks at the home and answers every series. The first look begins the counters.
    ///
    /// # Errors
    /// The store's.
    pub fn look(&mut self, store: &dyn Store, clock: &dyn Clock) -> Result<Vec<Family>, Error> {
        let began = clock.monotonic();
        let deadline = Deadline::of(clock, self.rules.time_limit);
        let whole = self.count_events(store, &deadline)?;
        let processes = store.processes().wait()?;
        self.count_processes(&processes);
        let figures = store.figures().wait()?;
        let standing = Standing::look(store)?;
        let now = clock.now();
        let mut ask = Ask::new(now, now, 1, By::Subscription);
        ask.time_limit = self.rules.time_limit;
        ask.lines_max = usize::MAX;
        let behind = lag(store, clock, &ask)?;
        let mut families = self.counters();
        families.extend(self.lags(behind.lines));
        let whole = whole && behind.cut.is_none();
        families.extend(gauges(&figures, &standing, &processes, whole));
        families.push(living(&processes));
        families.push(loop_lag(&processes));
        let took = clock.monotonic().saturating_sub(began);
        families.push(one(
            "ringrift_scrape_duration_seconds",
            "seconds",
            "How long reading these numbers took.",
            took.as_secs_f64(),
        ));
        Ok(families)
    }

    /// Counts what was committed since the last look; says whether it came to the log's end.
    fn count_events(&mut self, store: &dyn Store, deadline: &Deadline<'_>) -> Result<bool, Error> {
        let head = store.head().wait()?;
        let (mut at, incarnation) = match self.counted {
            Some(counted) if counted.1 == head.incarnation => counted,
            // The first look, or another log: what was before it is not counted.
            Some(_) | None => (head.seq, head.incarnation),
        };
        while at < head.seq {
            let counted = store.count_places(at, head.seq).wait()?;
            for one in counted.counts {
                let name = one.event_type.as_str();
                let own =
                    self.events.contains_key(name) || self.events.len() < self.rules.types_max;
                let name = if own { name } else { OTHER };
                *self.events.entry(name.to_owned()).or_insert(0) += one.events;
            }
            at = counted.read_to;
            if deadline.is_over() {
                break;
            }
        }
        self.counted = Some((at, incarnation));
        Ok(at >= head.seq)
    }

    /// Adds what every process has counted since the last look.
    fn count_processes(&mut self, processes: &[ProcessState]) {
        let first = self.seen.is_empty();
        for state in processes {
            let known = self.seen.insert(state.process.id, state.counters);
            // What was counted before the exporter began is not its own.
            let before = match known {
                Some(before) => before,
                None if first => state.counters,
                None => Counters::default(),
            };
            add_growth(&mut self.sums, &state.counters, &before);
        }
        let there: BTreeSet<ProcessId> = processes.iter().map(|state| state.process.id).collect();
        self.seen.retain(|id, _| there.contains(id));
    }

    fn counters(&self) -> Vec<Family> {
        let mut events = Family::new(
            "ringrift_events",
            Kind::Counter,
            "",
            "Events committed to the log, by type.",
        );
        for (name, count) in &self.events {
            events.add(&[("type", name)], float(*count));
        }
        let sums = &self.sums;
        let mut publishes = Family::new(
            "ringrift_publishes",
            Kind::Counter,
            "",
            "Publishes of all processes, by what came of them.",
        );
        let committed = sums.published.saturating_sub(sums.published_volatile);
        publishes.add(&[("outcome", "committed")], float(committed));
        publishes.add(&[("outcome", "volatile")], float(sums.published_volatile));
        publishes.add(&[("outcome", "failed")], float(sums.publish_failed));
        let mut received = Family::new(
            "ringrift_received",
            Kind::Counter,
            "",
            "Events received from other processes, over all processes.",
        );
        received.add(&[], float(sums.received));
        let mut deliveries = Family::new(
            "ringrift_deliveries",
            Kind::Counter,
            "",
            "Deliveries of all processes that ended, by what came of them.",
        );
        for (outcome, count) in [
            ("done", sums.done),
            ("skipped", sums.skipped),
            ("duplicate", sums.deduplicated),
            ("failed", sums.failed),
        ] {
            deliveries.add(&[("outcome", outcome)], float(count));
        }
        vec![events, publishes, received, deliveries]
    }

    /// How far behind each durable subscription is; of those beyond the bound, all events and the
    /// latest.
    fn lags(&self, mut lines: Vec<LagRow>) -> Vec<Family> {
        let mut events = Family::new(
            "ringrift_lag_events",
            Kind::Gauge,
            "",
            "Unsettled events of a durable subscription, filters not evaluated.",
        );
        let mut seconds = Family::new(
            "ringrift_lag_seconds",
            Kind::Gauge,
            "seconds",
            "Age of the oldest of them.",
        );
        lines.sort_by(|one, other| one.name.cmp(&other.name));
        let rest = lines.split_off(lines.len().min(self.rules.subscriptions_max));
        for line in &lines {
            events.add(&[("subscription", &line.name)], float(line.events));
            seconds.add(&[("subscription", &line.name)], line.seconds);
        }
        if !rest.is_empty() {
            let all = rest.iter().map(|line| line.events).sum();
            let latest = rest.iter().map(|line| line.seconds).fold(0.0, f64::max);
            events.add(&[("subscription", OTHER)], float(all));
            seconds.add(&[("subscription", OTHER)], latest);
        }
        vec![events, seconds]
    }
}

/// One number without labels.
fn one(name: &str, unit: &'static str, help: &str, value: f64) -> Family {
    let mut family = Family::new(name, Kind::Gauge, unit, help);
    family.add(&[], value);
    family
}

/// The home's plain numbers.
fn gauges(
    figures: &Figures,
    standing: &Standing,
    processes: &[ProcessState],
    whole: bool,
) -> Vec<Family> {
    vec![
        one(
            "ringrift_dead_letters",
            "",
            "Dead letters, waiting for a retry or for an operator.",
            float(figures.letters),
        ),
        one(
            "ringrift_wal_bytes",
            "bytes",
            "Size of the WAL.",
            float(figures.wal_bytes),
        ),
        one(
            "ringrift_database_bytes",
            "bytes",
            "Size of the database file.",
            float(figures.file_bytes),
        ),
        one(
            "ringrift_daemons_not_running",
            "",
            "Daemons that should run and do not, over all live processes.",
            float(standing.daemons.len() as u64),
        ),
        one(
            "ringrift_subscriptions_unhosted",
            "",
            "Durable subscriptions that owe events which no live process takes.",
            float(standing.unhosted.len() as u64),
        ),
        one(
            "ringrift_handlers_running",
            "",
            "Handlers that run now, over all live processes.",
            float(running(processes)),
        ),
        one(
            "ringrift_scrape_complete",
            "",
            "1 when everything was counted within metrics.time_limit.",
            if whole { 1.0 } else { 0.0 },
        ),
    ]
}

fn running(processes: &[ProcessState]) -> u64 {
    let alive = processes
        .iter()
        .filter(|state| matches!(state.liveness, Liveness::Alive | Liveness::Hung));
    alive.map(|state| state.running.len() as u64).sum()
}

fn living(processes: &[ProcessState]) -> Family {
    let mut family = Family::new(
        "ringrift_processes",
        Kind::Gauge,
        "",
        "Processes of the home that live, by whether they beat.",
    );
    for (state, liveness) in [("alive", Liveness::Alive), ("hung", Liveness::Hung)] {
        let count = processes.iter().filter(|one| one.liveness == liveness);
        family.add(&[("state", state)], float(count.count() as u64));
    }
    family
}

/// How late tasks begin on the runtimes: the worst live process.
fn loop_lag(processes: &[ProcessState]) -> Family {
    let mut family = Family::new(
        "ringrift_loop_lag_seconds",
        Kind::Gauge,
        "seconds",
        "How late a task begins on the runtime, in the live process where it is worst.",
    );
    let living = || {
        let alive = |one: &&ProcessState| matches!(one.liveness, Liveness::Alive | Liveness::Hung);
        processes.iter().filter(alive)
    };
    let p99 = living().map(|one| one.load.lag_p99_us).max().unwrap_or(0);
    let most = living().map(|one| one.load.lag_max_us).max().unwrap_or(0);
    family.add(&[("stat", "p99")], float(p99) / 1e6);
    family.add(&[("stat", "max")], float(most) / 1e6);
    family
}

/// Adds to `sums` what a process counted since `before`. Its counters never fall; one that seems to
/// has been read from its row, which is older than its page was.
fn add_growth(sums: &mut Counters, now: &Counters, before: &Counters) {
    let fields = |of: &mut Counters, add: [u64; 9]| {
        of.published += add[0];
        of.published_volatile += add[1];
        of.publish_failed += add[2];
        of.received += add[3];
        of.delivered += add[4];
        of.done += add[5];
        of.skipped += add[6];
        of.deduplicated += add[7];
        of.failed += add[8];
    };
    let (now, before) = (listed(now), listed(before));
    let mut growth = [0; 9];
    for (at, cell) in growth.iter_mut().enumerate() {
        *cell = now[at].saturating_sub(before[at]);
    }
    fields(sums, growth);
}

fn listed(of: &Counters) -> [u64; 9] {
    [
        of.published,
        of.published_volatile,
        of.publish_failed,
        of.received,
        of.delivered,
        of.done,
        of.skipped,
        of.deduplicated,
        of.failed,
    ]
}
