//! How well the system is: by progress, not by occupancy.
//!
//! `healthy` is false only when the store cannot be used or has no room for another event, when a
//! daemon that this process needs is down, or when nothing progresses although handlers run. A
//! backlog, dead letters, a handler without free slots make it degraded, with a message; one failing
//! handler changes nothing else.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::clock::SharedClock;
use crate::daemons::{CROSS_PROCESS_POLLER, DLQ_RETRY, DaemonStatus, RunState, Supervisor};
use crate::event::Seq;
use crate::router::{LocalStats, Router};
use crate::store::registry::{Liveness, ProcessState};
use crate::store::subscriptions::{Kind, SubscriptionState};
use crate::store::{Error, Store};

/// Pending events above which the system is degraded (the runbook's figure).
pub const BACKLOG_DEGRADED: u64 = 1_000;

/// Dead letters above which the system is degraded (the runbook's figure).
pub const DEAD_LETTERS_DEGRADED: u64 = 100;

/// Handlers that run for this long without one ending are no progress, unless a time limit allows
/// more.
pub const NO_PROGRESS: Duration = Duration::from_secs(120);

/// The system in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Daemons are on their way up.
    Starting,
    /// All is well.
    Running,
    /// It works, and something needs attention.
    Degraded,
    /// It finishes what it holds.
    Draining,
    /// It was shut down.
    Stopped,
    /// It does not work.
    Failed,
}

impl Status {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Starting => "starting",
            Status::Running => "running",
            Status::Degraded => "degraded",
            Status::Draining => "draining",
            Status::Stopped => "stopped",
            Status::Failed => "failed",
        }
    }
}

/// How well the system is, over every live process of the home.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Health {
    /// Whether it works.
    pub healthy: bool,
    /// In one word.
    pub status: Status,
    /// What needs attention, in words; empty when nothing does.
    pub message: String,
    /// The figures behind it.
    pub details: Map<String, Value>,
}

/// The thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthRules {
    /// Pending events.
    pub backlog: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Time without a completion while handlers run.
    pub no_progress: Duration,
}

impl Default for HealthRules {
    fn default() -> HealthRules {
        HealthRules {
            backlog: BACKLOG_DEGRADED,
            dead_letters: DEAD_LETTERS_DEGRADED,
            no_progress: NO_PROGRESS,
        }
    }
}

/// Looks at the system, and remembers when it last saw progress.
pub struct HealthMonitor {
    clock: SharedClock,
    rules: HealthRules,
    progress: Mutex<(u64, Duration)>,
}

/// What stood out, worst first.
#[derive(Default)]
struct Findings {
    broken: Vec<String>,
    noted: Vec<String>,
}

impl HealthMonitor {
    /// A monitor that has seen nothing yet.
    #[must_use]
    pub fn new(clock: SharedClock, rules: HealthRules) -> HealthMonitor {
        let now = clock.monotonic();
        HealthMonitor {
            clock,
            rules,
            progress: Mutex::new((0, now)),
        }
    }

    /// Looks now. Blocks for a few reads, each bounded.
    #[must_use]
    pub fn look(&self, store: &dyn Store, router: &Router, supervisor: &Supervisor) -> Health {
        let local = router.local_stats();
        let daemons = supervisor.list();
        let mut findings = Findings::default();
        let mut details = Map::new();
        if let Err(error) = self.look_at_store(store, &mut findings, &mut details) {
            let said = format!("store cannot be used: {error}");
            details.insert("store_error".to_owned(), json!(said));
            findings.broken.push(said);
        }
        self.look_at_process(&local, &daemons, &mut findings, &mut details);
        let starting = daemons
            .iter()
            .all(|daemon| daemon.state == RunState::Stopped && daemon.stopped_by.is_none())
            && local.subscriptions > 0;
        let status = match (findings.broken.is_empty(), findings.noted.is_empty()) {
            _ if router.is_stopped() => Status::Stopped,
            (false, _) => Status::Failed,
            (true, _) if starting => Status::Starting,
            (true, false) => Status::Degraded,
            (true, true) => Status::Running,
        };
        let healthy = findings.broken.is_empty() && status != Status::Stopped;
        findings.broken.append(&mut findings.noted);
        Health {
            healthy,
            status,
            message: findings.broken.join("; "),
            details,
        }
    }

    fn look_at_store(
        &self,
        store: &dyn Store,
        findings: &mut Findings,
        details: &mut Map<String, Value>,
    ) -> Result<(), Error> {
        let figures = store.figures().wait()?;
        let subscriptions = store.subscriptions().wait()?;
        let processes = store.processes().wait()?;
        let backlog = backlog(store, &subscriptions, figures.head, self.rules.backlog)?;
        if backlog > self.rules.backlog {
            findings.noted.push(format!(
                "Cross-process queue backlog: {backlog} (over {})",
                self.rules.backlog
            ));
        }
        if figures.letters > self.rules.dead_letters {
            findings.noted.push(format!(
                "DLQ has {} events (over {})",
                figures.letters, self.rules.dead_letters
            ));
        }
        for hung in processes
            .iter()
            .filter(|process| process.liveness == Liveness::Hung)
        {
            findings.noted.push(format!(
                "process {} (pid {}) is hung",
                hung.process.id, hung.process.pid
            ));
        }
        findings.broken.extend(
            figures
                .held_back
                .iter()
                .map(|why| format!("nothing can be published: {why}")),
        );
        findings.noted.extend(figures.notes.iter().cloned());
        let live = live_subscriptions(&subscriptions, &processes);
        details.insert("backlog".to_owned(), json!(backlog));
        details.insert("dead_letters".to_owned(), json!(figures.letters));
        details.insert("head".to_owned(), json!(figures.head));
        details.insert("wal_bytes".to_owned(), json!(figures.wal_bytes));
        details.insert("file_bytes".to_owned(), json!(figures.file_bytes));
        details.insert("subscription_count".to_owned(), json!(live));
        details.insert(
            "processes_alive".to_owned(),
            json!(
                processes
                    .iter()
                    .filter(|process| process.liveness == Liveness::Alive)
                    .count()
            ),
        );
        Ok(())
    }

    fn look_at_process(
        &self,
        local: &LocalStats,
        daemons: &[DaemonStatus],
        findings: &mut Findings,
        details: &mut Map<String, Value>,
    ) {
        for daemon in daemons {
            let needed =
                local.subscriptions > 0 && [CROSS_PROCESS_POLLER, DLQ_RETRY].contains(&daemon.name);
            match daemon.state {
                RunState::Failed => findings.broken.push(format!(
                    "daemon {} failed: {}",
                    daemon.name,
                    daemon.error.as_deref().unwrap_or("no error recorded")
                )),
                RunState::Stopped if needed && daemon.stopped_by.is_some() => {
                    findings.broken.push(format!(
                        "daemon {} was stopped by {}",
                        daemon.name,
                        daemon.stopped_by.as_deref().unwrap_or("nobody")
                    ));
                }
                RunState::Backoff => findings
                    .noted
                    .push(format!("daemon {} is being restarted", daemon.name)),
                RunState::Running | RunState::Standby | RunState::Stopped => {}
            }
        }
        for name in &local.stuck {
            findings.noted.push(format!(
                "handler {name} takes no more events: runs that were given up hold all its slots"
            ));
        }
        let still = self.without_progress(local);
        if local.running > 0 && still > self.rules.no_progress {
            findings.broken.push(format!(
                "nothing progresses: {} handlers run and none has ended for {} s",
                local.running,
                still.as_secs()
            ));
        }
        details.insert("handlers_running".to_owned(), json!(local.running));
        details.insert("publishes_in_flight".to_owned(), json!(local.in_flight));
        details.insert("this_process".to_owned(), json!(local.counters));
        let states: Map<String, Value> = daemons
            .iter()
            .map(|daemon| (daemon.name.to_owned(), json!(daemon.state.as_str())))
            .collect();
        details.insert("daemons".to_owned(), Value::Object(states));
    }

    /// How long no run has ended, as far as the looks can tell.
    fn without_progress(&self, local: &LocalStats) -> Duration {
        let ended = local.counters.done + local.counters.skipped + local.counters.failed;
        let now = self.clock.monotonic();
        let mut seen = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.0 != ended || local.running == 0 {
            *seen = (ended, now);
        }
        now.saturating_sub(seen.1)
    }
}

/// How many of the events up to `head` wait: the distance in the log while it is small, the exact
/// count when it matters.
///
/// `subscriptions` may be older than `head`, and what is published meanwhile is no backlog: before
/// anything is called one, it is looked again how far they have come.
///
/// # Errors
/// The store's.
pub fn backlog(
    store: &dyn Store,
    subscriptions: &[SubscriptionState],
    head: Seq,
    limit: u64,
) -> Result<u64, Error> {
    if distance(subscriptions, head) <= limit {
        return Ok(distance(subscriptions, head));
    }
    let distance = distance(&store.subscriptions().wait()?, head);
    if distance <= limit {
        return Ok(distance);
    }
    Ok(store.count_pending().wait()?.min(distance))
}

/// How far the last of the durable ones is behind.
fn distance(subscriptions: &[SubscriptionState], head: Seq) -> u64 {
    let behind = |subscription: &SubscriptionState| {
        u64::try_from(head.0 - subscription.settled.0).unwrap_or(0)
    };
    let durable = subscriptions.iter().filter(|subscription| {
        subscription.current().kind == Kind::Durable && subscription.ended_at.is_none()
    });
    durable.map(behind).max().unwrap_or(0)
}

fn live_subscriptions(subscriptions: &[SubscriptionState], processes: &[ProcessState]) -> usize {
    let alive = |id: &crate::event::ProcessId| {
        processes
            .iter()
            .any(|process| process.process.id == *id && process.liveness == Liveness::Alive)
    };
    subscriptions
        .iter()
        .filter(|subscription| subscription.ended_at.is_none())
        .filter(|subscription| match &subscription.process {
            Some(process) => alive(process),
            None => subscription.hosts.keys().any(alive),
        })
        .count()
}
