//! A claim in two steps, a look and a taking, or in one where it is most likely not asked in vain;
//! and what this process remembers of its looks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::SqliteStore;
use super::line::closed;
use super::verbs::deliveries::{ClaimNow, Found, Passed, SCAN_ROWS_MAX, Scan, TakeClaim, Taken};
use crate::store::deliveries::{Claim, Want};
use crate::store::pending::Answer;
use crate::store::subscriptions::SubscriptionId;
use crate::store::{Error, Pending};

/// Looks and lost races within one claim: it then answers that there is nothing now, and whoever
/// asks again goes on where it stopped.
const STEPS_MAX: u32 = 64;

/// Most rows that a claim in one step reads: it has the write lock meanwhile, for a few hundred
/// microseconds at most.
const AT_ONCE_ROWS_MAX: usize = 256;

/// A passed place is saved at least this often while it moves.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// Where this process knows that its durable subscriptions match nothing. Lost with the process:
/// the next one looks again.
#[derive(Debug, Default)]
pub(super) struct PassedPlaces(Mutex<HashMap<SubscriptionId, Place>>);

#[derive(Clone, Copy, Debug)]
struct Place {
    passed: Passed,
    saved_at: Duration,
}

impl PassedPlaces {
    fn lock(&self) -> MutexGuard<'_, HashMap<SubscriptionId, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, id: SubscriptionId) -> Option<Passed> {
        self.lock().get(&id).map(|place| place.passed)
    }

    /// Remembers what a look passed; says whether it is time to save it.
    fn note(&self, found: &Found, now: Duration) -> bool {
        let passed = Passed {
            generation: found.generation,
            restores: found.restores,
            to: found.read_to,
        };
        let unsaved = found.read_to.0.saturating_sub(found.cursor.0);
        let mut places = self.lock();
        let saved_at = places.get(&found.subscription).map(|place| place.saved_at);
        let due = unsaved > 0
            && (unsaved >= i64::try_from(SCAN_ROWS_MAX).unwrap_or(i64::MAX)
                || saved_at.is_none_or(|at| now.saturating_sub(at) >= SAVE_EVERY));
        let saved_at = match saved_at {
            Some(at) if !due => at,
            Some(_) | None => now,
        };
        places.insert(found.subscription, Place { passed, saved_at });
        due
    }
}

impl SqliteStore {
    /// See [`crate::store::Deliveries::claim`].
    pub(super) fn claim_next(&self, want: Want) -> Pending<Option<Claim>> {
        let (answer, pending) = Pending::channel();
        match want.likely {
            true => self.claim_now(want, answer),
            false => self.look(want, STEPS_MAX, answer),
        }
        pending
    }

    fn scan(&self, want: Want, rows_max: usize) -> Scan {
        Scan {
            want,
            from: self.passed.get(want.subscription),
            rows_max,
            presence: Some(Arc::clone(&self.presence)),
            recent: Arc::clone(&self.line.recent),
        }
    }

    fn claim_now(&self, want: Want, answer: Answer<Option<Claim>>) {
        let own = Weak::clone(&self.own);
        let now = ClaimNow {
            scan: self.scan(want, AT_ONCE_ROWS_MAX),
        };
        self.write_then(now, move |taken| took(want, STEPS_MAX, taken, &own, answer))
            .forget();
    }

    fn look(&self, want: Want, steps: u32, answer: Answer<Option<Claim>>) {
        let own = Weak::clone(&self.own);
        let scan = self.scan(want, SCAN_ROWS_MAX);
        self.read_then(scan, move |found| match (found, own.upgrade()) {
            (Err(error), _) => give(&answer, Err(error.clone())),
            (Ok(None), _) => give(&answer, Ok(None)),
            (Ok(Some(_)), None) => give(&answer, Err(closed())),
            (Ok(Some(found)), Some(store)) => store.found(want, steps, found.clone(), answer),
        })
        .forget();
    }

    fn found(&self, want: Want, steps: u32, found: Found, answer: Answer<Option<Claim>>) {
        let more = found.more;
        if found.events.is_empty() && !found.ownerless {
            let due = self.passed.note(&found, self.options.clock.monotonic());
            if !due {
                match more && steps > 0 {
                    true => self.look(want, steps - 1, answer),
                    false => give(&answer, Ok(None)),
                }
                return;
            }
        }
        let own = Weak::clone(&self.own);
        let take = TakeClaim { found, want };
        self.write_then(take, move |taken| took(want, steps, taken, &own, answer))
            .forget();
    }
}

/// What follows from a taking: the answer, or another look.
fn took(
    want: Want,
    steps: u32,
    taken: &Result<Taken, Error>,
    own: &Weak<SqliteStore>,
    answer: Answer<Option<Claim>>,
) {
    match (taken, own.upgrade()) {
        (Err(error), _) => give(&answer, Err(error.clone())),
        (Ok(Taken::Claim(claim)), _) => give(&answer, Ok(Some(claim.clone()))),
        (Ok(Taken::Again), Some(store)) if steps > 0 => store.look(want, steps - 1, answer),
        (Ok(Taken::Passed(found)), Some(store)) => store.found(want, steps, found.clone(), answer),
        (Ok(Taken::Again | Taken::Nothing | Taken::Passed(_)), _) => give(&answer, Ok(None)),
    }
}

/// Answers on the courier, which may wake.
pub(super) fn give<T: Clone>(answer: &Answer<T>, result: Result<T, Error>) {
    answer.fill(result);
    answer.wake();
}
