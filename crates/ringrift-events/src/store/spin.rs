//! A short wait without sleep: waking a thread through the kernel costs about as much as a commit.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::clock::{Clock as _, SystemClock};

/// Looks in a row before the processor is offered to whoever else wants it.
const LOOKS_IN_A_ROW: u32 = 32;

/// After so many waits in a row that were too short, it is believed that they are.
const MISSES_MAX: u32 = 3;

/// From then on every so manieth wait tries again: the load may have changed.
const TRIES_AGAIN: u32 = 32;

/// Where one kind of wait takes place; it learns whether spinning pays there.
#[derive(Debug, Default)]
pub(crate) struct Spin {
    /// Waits in a row that spinning did not see the end of.
    misses: AtomicU32,
}

impl Spin {
    /// Looks again and again whether it is so, at most so long, and lets others run in between.
    /// Whoever is answered `false` sleeps.
    pub(crate) fn wait(&self, at_most: Duration, mut is: impl FnMut() -> bool) -> bool {
        if is() {
            return true;
        }
        let misses = self.misses.load(Ordering::Relaxed);
        if misses >= MISSES_MAX && !misses.is_multiple_of(TRIES_AGAIN) {
            self.misses.store(misses.wrapping_add(1), Ordering::Relaxed);
            return false;
        }
        let until = SystemClock.monotonic() + at_most;
        loop {
            for _ in 0..LOOKS_IN_A_ROW {
                if is() {
                    self.misses.store(0, Ordering::Relaxed);
                    return true;
                }
                std::hint::spin_loop();
            }
            if SystemClock.monotonic() >= until {
                break;
            }
            std::thread::yield_now();
        }
        self.misses.store(misses.wrapping_add(1), Ordering::Relaxed);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stops_trying_where_it_never_pays_and_tries_again_now_and_then() {
        let spin = Spin::default();
        let tried = |at_most| {
            let mut looks = 0;
            spin.wait(at_most, || {
                looks += 1;
                false
            });
            looks > 1
        };
        let short = Duration::from_micros(50);
        let pattern: Vec<bool> = (0..40).map(|_| tried(short)).collect();
        assert_eq!(pattern[..4], [true, true, true, false]);
        assert_eq!(pattern.iter().filter(|tried| **tried).count(), 4);
        // What is so at once says nothing about waiting; what a wait sees does.
        assert!(spin.wait(short, || true));
        assert!(!tried(short));
        let sees = || {
            let mut first = true;
            spin.wait(short, || !std::mem::replace(&mut first, false))
        };
        while !sees() {}
        assert!(tried(short));
    }
}
