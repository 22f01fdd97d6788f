//! A handler: a function, its name, its policy, and what it counts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Semaphore;

use super::dedup::{KEYS_MAX, Keys};
use super::function::{Function, Kind};
use super::observer::{Observer, Unobserved};
use super::policy::{IN_FLIGHT_MAX, Policy};
use super::rate::Pace;
use super::stats::{Counts, RecentError, Stats};
use super::watch::{HELD_MAX, Watch};
use crate::clock::{SharedClock, Time};
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
    /// Dedup keys that one live handler keeps in memory ([`KEYS_MAX`]); expired ones go first.
    pub dedup_keys_max: usize,
}

impl Host {
    /// A host with the default bounds, whose runs nobody observes and whose watch is not started.
    #[must_use]
    pub fn new(clock: SharedClock, runtime: tokio::runtime::Handle) -> Host {
        Host {
            watch: Watch::new(Arc::clone(&clock), HELD_MAX, Box::new(|_| {})),
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
    pub(super) counts: Counts,
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
            counts: Counts::default(),
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

    /// Its policies.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
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
