//! A clock that stands until it is moved, and whose moves end the waits that are over then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use super::{Clock, ManualClock, Time};

/// Waits up to this length only space things out: coming to rest includes them.
const SHORT: Duration = Duration::from_millis(100);

/// Time that tests own wholly: a [`ManualClock`] for which tasks and threads wait, too.
#[derive(Debug)]
pub struct VirtualClock {
    clock: ManualClock,
    timers: Arc<Timers>,
}

/// The waits for a clock that stands.
#[derive(Debug, Default)]
pub struct Timers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: u64,
    alarms: BTreeMap<(Duration, u64), Set>,
}

#[derive(Debug)]
struct Set {
    waker: Waker,
    sleeper: Sleeper,
    short: bool,
}

/// Who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleeper {
    /// A task: something that belongs to one event.
    Task,
    /// A thread: a daemon between two looks.
    Thread,
}

impl VirtualClock {
    /// A clock standing at `start`, whose random numbers follow from `seed`.
    #[must_use]
    pub fn new(start: Time, seed: u64) -> VirtualClock {
        VirtualClock {
            clock: ManualClock::new(start, seed),
            timers: Arc::default(),
        }
    }

    /// Moves forward; whose time is over is told by [`VirtualClock::wake`].
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Wakes whoever's time is over.
    pub fn wake(&self) {
        // The wakers take locks of their own: not while this one is held.
        for waker in self.timers.take_over(self.clock.monotonic()) {
            waker.wake();
        }
    }

    /// When the next wait of such a sleeper is over, by the monotonic clock; only of waits that
    /// space things out, if `short`.
    #[must_use]
    pub fn next(&self, sleeper: Sleeper, short: bool) -> Option<Duration> {
        let state = self.timers.lock();
        let mut alarms = state.alarms.iter();
        let found = alarms.find(|(_, set)| set.sleeper == sleeper && (set.short || !short));
        found.map(|((at, _), _)| *at)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Time {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    fn random(&self) -> u64 {
        self.clock.random()
    }

    fn timers(&self) -> Option<&Arc<Timers>> {
        Some(&self.timers)
    }
}

impl Timers {
    fn take_over(&self, now: Duration) -> Vec<Waker> {
        let mut state = self.lock();
        let later = state.alarms.split_off(&(now, u64::MAX));
        let over = std::mem::replace(&mut state.alarms, later);
        over.into_values().map(|set| set.waker).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One wait. Dropped, it wakes nobody.
pub(super) struct Alarm<'a> {
    timers: &'a Timers,
    at: (Duration, u64),
    sleeper: Sleeper,
    short: bool,
}

impl Alarm<'_> {
    pub(super) fn new(
        timers: &Timers,
        now: Duration,
        at_most: Duration,
        sleeper: Sleeper,
    ) -> Alarm<'_> {
        let mut state = timers.lock();
        state.last += 1;
        Alarm {
            timers,
            at: (now.saturating_add(at_most), state.last),
            sleeper,
            short: at_most <= SHORT,
        }
    }

    /// Says whom to wake.
    pub(super) fn set(&self, waker: &Waker) {
        let set = Set {
            waker: waker.clone(),
            sleeper: self.sleeper,
            short: self.short,
        };
        let before = self.timers.lock().alarms.insert(self.at, set);
        // Not under the lock: a waker's end may end what it would have woken.
        drop(before);
    }

    pub(super) fn is_over(&self, now: Duration) -> bool {
        now >= self.at.0
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        let set = self.timers.lock().alarms.remove(&self.at);
        drop(set);
    }
}
