//! A system in memory whose time moves only when it is told to: for tests of handlers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::rest::{awake, is_at_rest};
use super::{Error, System, this_process};
use crate::clock::{Clock, SharedClock, Sleeper, SystemClock, Time, VirtualClock};
use crate::config::Config;
use crate::store::memory::MemoryHub;
use crate::store::registry::Counters;
use crate::store::subscriptions::{Kind, SubscriptionState};

/// How a rehearsal begins, and how long it waits in real time.
#[derive(Clone, Copy, Debug)]
pub struct RehearsalRules {
    /// The time it begins at.
    pub start: Time,
    /// What its random numbers follow from.
    pub seed: u64,
    /// Longest that the process may take to come to rest.
    pub patience: Duration,
    /// A handler that sleeps for so long, with the whole process, waits for something that only time
    /// or the world outside brings: time goes on.
    pub blocked_after: Duration,
}

impl Default for RehearsalRules {
    fn default() -> RehearsalRules {
        RehearsalRules {
            // 2026-01-01: as good as any, and the same in each run.
            start: Time(1_767_225_600_000_000),
            seed: 1,
            patience: Duration::from_secs(10),
            blocked_after: Duration::from_millis(100),
        }
    }
}

/// What is known during one move.
#[derive(Debug, Default)]
struct Move {
    /// The counts at which the handlers that run were seen to wait: they are not waited for again.
    blocked: Option<Counters>,
}

/// A handler that sleeps and wakes, and does not end within this time, waits too.
const POLLS_FOR: Duration = Duration::from_secs(1);

/// Most virtual time that coming to rest takes: daemons pause for less before they look again.
const STRAY_MAX: Duration = Duration::from_secs(1);

/// Longest step: leases and beats are longer, so nobody seems dead in between.
const STEP_MAX: Duration = Duration::from_secs(5);

/// Shortest step for the sake of daemons alone.
const STEP_MIN: Duration = Duration::from_secs(1);

/// A move is cut into so many steps if it can be: daemons look at each.
const STEPS: u32 = 30;

/// The process did not come to rest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the process did not come to rest within {} s: {}; time stands at {now}",
    patience.as_secs_f64(),
    thread.as_ref().map_or("its threads wake each other again and again".to_owned(), |thread| format!("thread {thread} is busy"))
)]
pub struct Unsettled {
    /// How long it was waited for.
    pub patience: Duration,
    /// A thread that was busy then.
    pub thread: Option<String>,
    /// Where the wall clock stands.
    pub now: String,
}

/// A system in memory with time of its own. It looks at all threads of the process, so there is to be
/// one at a time that moves.
pub struct Rehearsal {
    system: System,
    clock: Arc<VirtualClock>,
    rules: RehearsalRules,
    /// One caller at a time moves it, to the end of its move.
    moving: Mutex<Move>,
}

impl Rehearsal {
    /// Opens one with these settings. Nothing is written to the configuration's home.
    ///
    /// # Errors
    /// As [`System::over`].
    pub fn open(config: Config, rules: RehearsalRules) -> Result<Rehearsal, Error> {
        let clock = Arc::new(VirtualClock::new(rules.start, rules.seed));
        let shared: SharedClock = Arc::clone(&clock) as SharedClock;
        let store = MemoryHub::new(Arc::clone(&shared)).open(this_process(&*shared));
        Ok(Rehearsal {
            system: System::over(config, store, shared)?,
            clock,
            rules,
            moving: Mutex::default(),
        })
    }

    /// The system.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.system
    }

    /// Waits on this thread until nothing happens any more without time going on. A handler that
    /// waits for something outside is left waiting. What is due this very moment is done, for which
    /// time moves by as much as daemons pause, a second at most.
    ///
    /// Never from a handler, and never on a thread whose loop runs handlers.
    ///
    /// # Errors
    /// [`Unsettled`].
    pub fn settle(&self) -> Result<(), Unsettled> {
        self.settle_in(&mut self.moving())
    }

    fn settle_in(&self, of: &mut Move) -> Result<(), Unsettled> {
        self.rest(of)?;
        let until = self.clock.monotonic() + STRAY_MAX;
        while let Some(at) = self.stray().filter(|at| *at <= until) {
            self.step(of, at)?;
        }
        Ok(())
    }

    /// Moves time forward from one moment at which something is due to the next, settling at each.
    ///
    /// # Errors
    /// [`Unsettled`]; time has moved by less then.
    pub fn advance(&self, by: Duration) -> Result<(), Unsettled> {
        let mut one = self.moving();
        let until = self.clock.monotonic() + by;
        let step = (by / STEPS).clamp(STEP_MIN, STEP_MAX);
        self.settle_in(&mut one)?;
        while self.clock.monotonic() < until {
            self.step(&mut one, self.next(step).min(until))?;
        }
        self.settle_in(&mut one)
    }

    fn moving(&self) -> MutexGuard<'_, Move> {
        let mut one = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        *one = Move::default();
        one
    }

    /// The next moment to stop at.
    fn next(&self, step: Duration) -> Duration {
        let now = self.clock.monotonic();
        let looks = self.clock.next(Sleeper::Thread, false);
        let task = self.clock.next(Sleeper::Task, false);
        let due = match self.until_due() {
            // It is taken by the daemon that looks next.
            Some(Duration::ZERO) => looks,
            Some(left) => Some(now + left),
            None => None,
        };
        let stops = [task, due].into_iter().flatten();
        stops.fold(now + step, Duration::min).max(now + MOMENT)
    }

    /// Time until the next redelivery is due.
    fn until_due(&self) -> Option<Duration> {
        let due = self.system.router().next_due().ok().flatten()?;
        Some(due.since(self.clock.now()))
    }

    /// When somebody looks next for what could be done at once, if there is such a thing.
    fn stray(&self) -> Option<Duration> {
        let due = self.until_due() == Some(Duration::ZERO) || self.is_claim_open();
        let looks = self.clock.next(Sleeper::Thread, false).filter(|_| due);
        let task = self.clock.next(Sleeper::Task, true);
        [looks, task].into_iter().flatten().min()
    }

    /// Whether a durable subscription could claim what it has not: its poller was not told, as after
    /// a pause.
    fn is_claim_open(&self) -> bool {
        let store = self.system.store();
        let me = store.process();
        let Ok(all) = store.subscriptions().wait() else {
            return false;
        };
        let could = |state: &SubscriptionState| {
            let durable = state.current().kind == Kind::Durable;
            durable && state.paused.is_none() && state.claimed == 0 && state.hosts.contains_key(&me)
        };
        all.iter().filter(|state| could(state)).any(|state| {
            let types = state.current().types.clone();
            let read = store.read(state.cursor, types, 1).wait();
            read.is_ok_and(|(events, _)| !events.is_empty())
        })
    }

    fn step(&self, of: &mut Move, to: Duration) -> Result<(), Unsettled> {
        self.clock
            .advance(to.saturating_sub(self.clock.monotonic()));
        // First of all, so that whoever looks at this process sees it alive.
        let router = self.system.router();
        let counters = router.local_stats().counters;
        self.system.store().beat(counters, router.polled_to());
        self.clock.wake();
        self.rest(of)
    }

    /// Waits until the process is at rest, in real time.
    fn rest(&self, of: &mut Move) -> Result<(), Unsettled> {
        let real = SystemClock;
        let began = real.monotonic();
        let mut asleep_since = None;
        let mut unchanged_since = began;
        let mut rested = false;
        let mut counted = self.system.router().local_stats().counters;
        loop {
            let rests = is_at_rest();
            let now = real.monotonic();
            let local = self.system.router().local_stats();
            if local.counters != counted {
                (counted, unchanged_since, rested) = (local.counters, now, false);
            }
            rested |= rests;
            asleep_since = rests.then(|| asleep_since.unwrap_or(now));
            let asleep = asleep_since.map(|since| now.saturating_sub(since));
            let blocked = asleep.is_some_and(|asleep| asleep >= self.rules.blocked_after)
                || (rested && now.saturating_sub(unchanged_since) >= POLLS_FOR);
            let known = of.blocked.as_ref() == Some(&local.counters);
            if rests && (local.running == 0 || known) {
                return Ok(());
            }
            if blocked {
                of.blocked = Some(local.counters);
                return Ok(());
            }
            if now.saturating_sub(began) >= self.rules.patience {
                return Err(Unsettled {
                    patience: self.rules.patience,
                    thread: awake(),
                    now: self.clock.now().to_rfc3339(),
                });
            }
            if !rests || local.running > 0 {
                std::thread::park_timeout(LOOK_EVERY);
            }
        }
    }
}

/// Time moves by at least this much, which is its grain.
const MOMENT: Duration = Duration::from_micros(1);

/// Between two looks whether the process has come to rest.
const LOOK_EVERY: Duration = Duration::from_millis(1);
