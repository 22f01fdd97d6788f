//! How late a task begins on the runtime: what every handler of the process waits.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::SharedClock;

/// Measurements kept: about a minute of them.
const KEPT: usize = 256;

/// How late tasks begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// 99 of 100 begin at most so late.
    pub p99: Duration,
    /// The latest.
    pub max: Duration,
}

/// Measures, one task at a time.
pub(super) struct Lags {
    clock: SharedClock,
    /// When the task that has not begun was asked for, in monotonic microseconds; 0: none is.
    asked_us: AtomicU64,
    seen: Mutex<VecDeque<Duration>>,
}

impl Lags {
    pub(super) fn new(clock: SharedClock) -> Arc<Lags> {
        Arc::new(Lags {
            clock,
            asked_us: AtomicU64::new(0),
            seen: Mutex::default(),
        })
    }

    /// Asks the runtime to run a task, unless the last one has not begun yet.
    pub(super) fn ask(lags: &Arc<Lags>, runtime: &tokio::runtime::Handle) {
        if lags.asked_us.load(Ordering::Acquire) != 0 {
            return;
        }
        let asked = lags.clock.monotonic();
        let asked_us = u64::try_from(asked.as_micros()).unwrap_or(u64::MAX);
        lags.asked_us.store(asked_us.max(1), Ordering::Release);
        let lags = Arc::clone(lags);
        drop(runtime.spawn(async move {
            let late = lags.clock.monotonic().saturating_sub(asked);
            let mut seen = lags.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.truncate(KEPT - 1);
            seen.push_front(late);
            drop(seen);
            lags.asked_us.store(0, Ordering::Release);
        }));
    }

    /// What was measured; a task that has not begun counts with its wait so far.
    pub(super) fn read(&self) -> Lag {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Duration> = seen.iter().copied().collect();
        drop(seen);
        let asked_us = self.asked_us.load(Ordering::Acquire);
        if asked_us != 0 {
            let now = self.clock.monotonic();
            all.push(now.saturating_sub(Duration::from_micros(asked_us)));
        }
        all.sort_unstable();
        let at = |share: usize| all.get((all.len() * share).div_ceil(100).saturating_sub(1));
        Lag {
            p99: at(99).copied().unwrap_or_default(),
            max: all.last().copied().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Time};

    #[test]
    fn a_task_that_cannot_begin_counts_with_its_wait_so_far() {
        let clock = Arc::new(ManualClock::new(Time(0), 1));
        let lags = Lags::new(Arc::clone(&clock) as SharedClock);
        assert_eq!(lags.read(), Lag::default());
        // Nobody drives this runtime until it is asked to.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        clock.advance(Duration::from_secs(1));
        Lags::ask(&lags, runtime.handle());
        clock.advance(Duration::from_millis(70));
        Lags::ask(&lags, runtime.handle());
        assert_eq!(lags.read().max, Duration::from_millis(70));
        runtime.block_on(async { tokio::task::yield_now().await });
        clock.advance(Duration::from_secs(9));
        let read = lags.read();
        assert_eq!((read.p99, read.max), (Duration::from_millis(70), read.p99));
        for _ in 0..200 {
            Lags::ask(&lags, runtime.handle());
            runtime.block_on(async { tokio::task::yield_now().await });
        }
        let read = lags.read();
        assert_eq!(read.p99, Duration::ZERO, "one of two hundred");
        assert_eq!(read.max, Duration::from_millis(70));
    }
}
