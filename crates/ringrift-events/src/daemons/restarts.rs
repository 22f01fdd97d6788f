//! When a failed daemon is started again, and when no more.

use std::collections::VecDeque;
use std::time::Duration;

/// The rules of restarting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartRules {
    /// The pause before the first restart; it doubles with each one more.
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
    /// Restarts of one daemon within `window` before it has failed for good.
    pub restarts: usize,
    /// The window of `restarts`.
    pub window: Duration,
    /// Restarts of all daemons within `breaker_window` before no failed daemon is restarted: the
    /// cause is then none of theirs.
    pub breaker: usize,
    /// The window of `breaker`.
    pub breaker_window: Duration,
}

impl Default for RestartRules {
    fn default() -> RestartRules {
        RestartRules {
            first: Duration::from_secs(1),
            most: Duration::from_secs(60),
            restarts: 5,
            window: Duration::from_secs(600),
            breaker: 25,
            breaker_window: Duration::from_secs(300),
        }
    }
}

/// The restarts of one daemon, or of all, as moments of the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    at: VecDeque<Duration>,
}

impl Restarts {
    /// Counts one more; answers how many lie within `window`.
    pub(super) fn count(&mut self, now: Duration, window: Duration) -> usize {
        self.at.push_back(now);
        while self
            .at
            .front()
            .is_some_and(|at| now.saturating_sub(*at) > window)
        {
            self.at.pop_front();
        }
        self.at.len()
    }

    /// Forgets them: somebody started it by hand.
    pub(super) fn clear(&mut self) {
        self.at.clear();
    }
}

impl RestartRules {
    /// The pause before the `number`th restart within the window, from 1.
    #[must_use]
    pub fn pause(&self, number: usize) -> Duration {
        let doublings = u32::try_from(number.saturating_sub(1))
            .unwrap_or(u32::MAX)
            .min(30);
        self.first.saturating_mul(1 << doublings).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let rules = RestartRules::default();
        let pauses: Vec<u64> = (1..=8)
            .map(|number| rules.pause(number).as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(rules.pause(usize::MAX), rules.most);
    }

    #[test]
    fn old_restarts_leave_the_window() {
        let mut restarts = Restarts::default();
        let window = Duration::from_secs(600);
        assert_eq!(restarts.count(Duration::from_secs(1), window), 1);
        assert_eq!(restarts.count(Duration::from_secs(2), window), 2);
        assert_eq!(restarts.count(Duration::from_secs(700), window), 1);
    }
}
