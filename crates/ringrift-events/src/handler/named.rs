//! A handler: a function, its name, its policy, and what it counts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Semaphore;

use super::dedup::{KEYS_MAX, Keys};
use super::function::{Function, Kind};
use super::observer::{Observer, Unobserved};
use super::own_dedup::OwnDedup;
use super::policy::{Dedup, IN_FLIGHT_MAX, Policy};
use super::rate::Pace;
use super::stats::{Counts, RecentError, Stats};
use super::vitals::Vitals;
use super::waiting::Waiting;
use super::watch::{HELD_MAX, Watch};
use crate::clock::{SharedClock, Time};
use crate::store::records::Ends;
use crate::verdict::Code;

/// What all handlers of one process share.
#[derive(Clone)]
pub struct Host {
    /// Time and randomness.
    pub clock: SharedClock,
    /// Where async handlers run and blocking ones get their threads. It has timers, and room for
    /// as many blocking threads as `in_flight` allows.
    pub runtime: tokio::runtime::Handle,
    /// One permit for each run of the process ([`IN_FLIGHT_MAX`]).
    pub in_flight: Arc<Semaphore>,
    /// Who is told what runs.
    pub observer: Arc<dyn Observer>,
    /// Who notices a handler that blocks a runtime thread.
    pub watch: Arc<Watch>,
    /// Looks up what the process has and uses when a run failed.
    pub vitals: Arc<Vitals>,
    /// Dedup keys that one live handler keeps in memory ([`KEYS_MAX`]); expired ones go first.
    pub dedup_keys_max: usize,
}

impl Host {
    /// A host with the default bounds, whose runs nobody observes and whose watch is not started.
    #[must_use]
    pub fn new(clock: SharedClock, runtime: tokio::runtime::Handle) -> Host {
        Host {
            watch: Watch::new(Arc::clone(&clock), HELD_MAX, Box::new(|_| {})),
            vitals: Arc::new(Vitals::new(Arc::clone(&clock), None)),
            clock,
            runtime,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            observer: Arc::new(Unobserved),
            dedup_keys_max: KEYS_MAX,
        }
    }
}

/// A function under its policies. Shared as `Arc<Handler>`.
pub struct Handler {
    pub(super) name: Arc<str>,
    pub(super) function: Function,
    pub(super) policy: Policy,
    pub(super) host: Arc<Host>,
    pub(super) slots: Arc<Semaphore>,
    pub(super) pace: Option<Pace>,
    pub(super) keys: Option<Arc<Keys>>,
    pub(super) own_dedup: OwnDedup,
    pub(super) counts: Counts,
    pub(super) waiting: Waiting,
    started_at: Time,
}

impl Handler {
    /// A handler named `name`, which is its subscription's name too.
    #[must_use]
    pub fn new(name: &str, function: Function, policy: Policy, host: Arc<Host>) -> Arc<Handler> {
        let keys = policy
            .dedup
            .as_ref()
            .map(|dedup| Keys::new(dedup.ttl, host.dedup_keys_max, Arc::clone(&host.clock)));
        let slots = usize::try_from(policy.concurrency.max(1)).unwrap_or(usize::MAX);
        Arc::new(Handler {
            name: Arc::from(name),
            function,
            slots: Arc::new(Semaphore::new(slots.min(Semaphore::MAX_PERMITS))),
            pace: policy.rate.map(Pace::new),
            keys,
            own_dedup: OwnDedup::default(),
            counts: Counts::default(),
            waiting: Waiting::default(),
            started_at: host.clock.now(),
            policy,
            host,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its function.
    #[must_use]
    pub fn function(&self) -> &Function {
        &self.function
    }

    /// How its function is run. An immediate one is run in place, others as tasks.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.function.kind()
    }

    pub(super) fn is_async(&self) -> bool {
        self.kind() == Kind::Asynchronous
    }

    /// Its policies.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// By what it dedups: its policy, else what its function told of itself.
    #[must_use]
    pub fn dedup(&self) -> Option<Dedup> {
        self.policy.dedup.clone().or_else(|| self.own_dedup.read())
    }

    /// Whether what [`Handler::dedup`] answers has changed since this was asked last.
    #[must_use]
    pub fn has_new_dedup(&self) -> bool {
        self.policy.dedup.is_none() && self.own_dedup.take_news()
    }

    /// How many more runs it may start now. Zero for a while is use; zero because given-up runs
    /// hold every slot ([`Handler::is_stuck`]) is a finding.
    #[must_use]
    pub fn free_slots(&self) -> usize {
        self.slots.available_permits()
    }

    /// Whether every slot is held by a run that was given up: it takes no more events.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        let held = self.counts.abandoned.load(Ordering::Relaxed);
        held >= u64::from(self.policy.concurrency.max(1))
    }

    /// Why the next event would have to wait, if it would: the handler's own bound or the
    /// process's.
    #[must_use]
    pub fn waits_for(&self) -> Option<Code> {
        if self.slots.available_permits() == 0 {
            Some(Code::WtConcurrency)
        } else if self.host.in_flight.available_permits() == 0 {
            Some(Code::WtProcessLimit)
        } else {
            None
        }
    }

    /// How many deliveries wait for a limit, and how many of them for the process's.
    #[must_use]
    pub fn waiting(&self) -> (u64, u64) {
        self.waiting.count()
    }

    /// Which limit the first delivery waits for, and since when one has.
    #[must_use]
    pub fn waits_at(&self) -> Option<(Code, Time)> {
        self.waiting.at()
    }

    /// How its runs ended so far.
    #[must_use]
    pub fn ends(&self) -> Ends {
        self.counts.ends()
    }

    /// When it was made.
    #[must_use]
    pub fn started_at(&self) -> Time {
        self.started_at
    }

    /// Counts a delivery that was not run since its key is known to the store.
    pub fn count_duplicate(&self) {
        self.counts.deduplicated.fetch_add(1, Ordering::Relaxed);
    }

    /// What it has counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.counts.snapshot(self.started_at)
    }

    /// Its last errors, newest first; it remembers 100.
    #[must_use]
    pub fn recent_errors(&self, limit: usize) -> Vec<RecentError> {
        self.counts.recent(limit)
    }

    /// The dedup keys of a live handler that has a dedup policy.
    #[must_use]
    pub fn keys(&self) -> Option<&Arc<Keys>> {
        self.keys.as_ref()
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler")
            .field("name", &self.name)
            .field("function", &self.function)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
