//! How often a handler may start.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::policy::Rate;

/// Counts starts: each asks when it may happen and is given a moment of its own.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    burst: Duration,
    /// When the next start would be due if all came evenly.
    due: Mutex<Duration>,
}

impl Pace {
    pub(super) fn new(rate: Rate) -> Pace {
        let interval = rate.per / rate.events.max(1);
        Pace {
            interval,
            burst: rate.per.saturating_sub(interval),
            due: Mutex::new(Duration::ZERO),
        }
    }

    /// How long after `now` the next start may happen; it is then spoken for.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let from = (*due).max(now);
        *due = from + self.interval;
        from.saturating_sub(self.burst).saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_the_rest_comes_evenly() {
        let pace = Pace::new(Rate {
            events: 4,
            per: Duration::from_secs(1),
        });
        let now = Duration::from_secs(100);
        let waits: Vec<u128> = (0..7).map(|_| pace.wait(now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 250, 500, 750]);
    }

    #[test]
    fn what_was_not_used_is_not_saved_beyond_one_burst() {
        let pace = Pace::new(Rate {
            events: 2,
            per: Duration::from_secs(1),
        });
        pace.wait(Duration::from_secs(1));
        let later = Duration::from_secs(1_000);
        let waits: Vec<u128> = (0..3).map(|_| pace.wait(later).as_millis()).collect();
        assert_eq!(waits, [0, 0, 500]);
    }
}
