//! When a failed delivery comes again.

use std::time::Duration;

use crate::verdict::RetryWish;

/// Exponential backoff with full jitter, and an end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Runs in all, the first one counted; afterwards the letter is dead.
    pub attempts: u32,
    /// Longest wait before the second run.
    pub first: Duration,
    /// By what each further one grows.
    pub factor: u32,
    /// Longest wait of all.
    pub most: Duration,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            attempts: 5,
            first: Duration::from_secs(1),
            factor: 2,
            most: Duration::from_secs(300),
        }
    }
}

/// How long to wait before the next run, after `attempts` of this budget have failed; `None` when
/// they are used up or the handler asked for no more.
///
/// With full jitter: any time between zero and the backoff, so that what failed together does not
/// come back together. A handler's own `After` is kept as it is, within the same number of
/// attempts.
#[must_use]
pub fn next(policy: &RetryPolicy, attempts: u32, wish: RetryWish, random: u64) -> Option<Duration> {
    if attempts >= policy.attempts {
        return None;
    }
    match wish {
        RetryWish::Never => None,
        RetryWish::After(wait) => Some(wait),
        RetryWish::Policy => Some(jittered(backoff(policy, attempts), random)),
    }
}

/// The longest wait after `attempts` failed runs.
#[must_use]
pub fn backoff(policy: &RetryPolicy, attempts: u32) -> Duration {
    let growth = policy.factor.saturating_pow(attempts.saturating_sub(1));
    policy.first.saturating_mul(growth).min(policy.most)
}

fn jittered(most: Duration, random: u64) -> Duration {
    let us = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(random % us.saturating_add(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        attempts: 5,
        first: Duration::from_secs(1),
        factor: 2,
        most: Duration::from_secs(5),
    };

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        let waits: Vec<u64> = (1..=5).map(|n| backoff(&POLICY, n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5]);
        assert_eq!(backoff(&POLICY, u32::MAX), POLICY.most);
    }

    #[test]
    fn the_first_run_counts_and_the_last_failure_is_the_end() {
        let wait = |attempts| next(&POLICY, attempts, RetryWish::Policy, 7);
        assert!((1..=4).all(|attempts| wait(attempts).is_some()));
        assert_eq!(wait(5), None);
        assert_eq!(wait(u32::MAX), None);
    }

    #[test]
    fn jitter_spreads_over_the_whole_backoff_and_never_past_it() {
        let waits: Vec<Duration> = (0..1_000_u64)
            .map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .filter_map(|random| next(&POLICY, 1, RetryWish::Policy, random))
            .collect();
        assert!(waits.iter().all(|wait| *wait <= POLICY.first));
        assert!(waits.iter().any(|wait| *wait < POLICY.first / 4));
        assert!(waits.iter().any(|wait| *wait > POLICY.first * 3 / 4));
    }

    #[test]
    fn a_handlers_wish_is_kept_within_its_attempts() {
        let after = RetryWish::After(Duration::from_secs(90));
        assert_eq!(next(&POLICY, 1, after, 0), Some(Duration::from_secs(90)));
        assert_eq!(next(&POLICY, 5, after, 0), None);
        assert_eq!(next(&POLICY, 1, RetryWish::Never, 0), None);
    }
}
