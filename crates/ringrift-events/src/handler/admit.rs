//! The policies that may make a delivery wait: dedup, rate, concurrency, in this order.

use std::any::Any;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::dedup::{self, MissingField, RanBefore, Reservation, Reserved};
use super::named::Handler;
use crate::clock;
use crate::event::Event;
use crate::verdict::{Code, Outcome};

/// What the policies decided about a delivery.
#[derive(Debug)]
pub enum Admission {
    /// It may run.
    Run(Ticket),
    /// Its key is known: [`Outcome::Duplicate`], already counted.
    Duplicate(Outcome),
}

/// The right to one run: a slot of the handler and one of the process, and the dedup key, if any.
///
/// Dropped unused it gives all of them back.
#[derive(Debug)]
pub struct Ticket {
    /// The key is released before the slots: who gets a slot next finds the key's outcome.
    pub(super) reservation: Option<Reservation>,
    pub(super) ran_before: Option<RanBefore>,
    pub(super) missing_field: Option<MissingField>,
    waited: Option<(Code, Duration)>,
    until_called: Option<Box<dyn Any + Send>>,
    _slot: OwnedSemaphorePermit,
    _in_flight: OwnedSemaphorePermit,
}

impl Ticket {
    /// Keeps `guard` until the function is about to be called, or never will be: whoever stops
    /// calls can then wait for those that are on their way.
    #[must_use]
    pub fn with_guard(mut self, guard: impl Any + Send) -> Ticket {
        self.until_called = Some(Box::new(guard));
        self
    }

    /// What its delivery waited for longest, and how long; `None` if it did not wait.
    #[must_use]
    pub fn waited(&self) -> Option<(Code, Duration)> {
        self.waited
    }

    /// The call begins now: the guard goes.
    pub(super) fn called(&mut self) {
        self.until_called = None;
    }

    pub(super) fn take_guard(&mut self) -> Option<Box<dyn Any + Send>> {
        self.until_called.take()
    }
}

struct Keyed {
    reservation: Option<Reservation>,
    ran_before: Option<RanBefore>,
    missing_field: Option<MissingField>,
}

impl Handler {
    /// Takes a delivery through dedup (keys in memory), rate and concurrency, waiting as they say.
    ///
    /// For live subscriptions, and for durable ones without dedup; a durable one with dedup
    /// reserves its key in the store and then takes its [`Handler::turn`]. Safe to drop: what was
    /// reserved is given back, but a place under the rate limit is spent.
    pub async fn admit(&self, event: &Event) -> Admission {
        let keyed = match self.reserve(event).await {
            Ok(keyed) => keyed,
            Err(duplicate) => {
                self.counts.deduplicated.fetch_add(1, Ordering::Relaxed);
                return Admission::Duplicate(duplicate);
            }
        };
        let mut ticket = self.turn().await;
        ticket.reservation = keyed.reservation;
        ticket.ran_before = keyed.ran_before;
        ticket.missing_field = keyed.missing_field;
        Admission::Run(ticket)
    }

    /// Waits for the rate limit and for a slot. Safe to drop, as [`Handler::admit`].
    pub async fn turn(&self) -> Ticket {
        let mut waited = None;
        if let Some(pace) = &self.pace {
            let clock = &self.host.clock;
            let pause = pace.wait(clock.monotonic());
            if !pause.is_zero() {
                let _waits = self.waiting.begin(Code::WtRate, clock.now());
                clock::pause(&**clock, pause).await;
                waited = Some((Code::WtRate, pause));
            }
        }
        // The handler's own slot first: a handler at its limit must not hold the process's.
        let slot = self
            .slot_of(&self.slots, Code::WtConcurrency, &mut waited)
            .await;
        let in_flight = self
            .slot_of(&self.host.in_flight, Code::WtProcessLimit, &mut waited)
            .await;
        Ticket {
            reservation: None,
            ran_before: None,
            missing_field: None,
            waited,
            until_called: None,
            _slot: slot,
            _in_flight: in_flight,
        }
    }

    /// The right to one run, if rate and slots allow it at this moment.
    #[must_use]
    pub fn turn_now(&self) -> Option<Ticket> {
        if self.pace.is_some() {
            return None;
        }
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        let in_flight = Arc::clone(&self.host.in_flight).try_acquire_owned().ok()?;
        Some(Ticket {
            reservation: None,
            ran_before: None,
            missing_field: None,
            waited: None,
            until_called: None,
            _slot: slot,
            _in_flight: in_flight,
        })
    }

    /// A permit, noting which limit it waited for, if that was the longest wait of its delivery.
    async fn slot_of(
        &self,
        semaphore: &Arc<Semaphore>,
        code: Code,
        waited: &mut Option<(Code, Duration)>,
    ) -> OwnedSemaphorePermit {
        if let Ok(permit) = Arc::clone(semaphore).try_acquire_owned() {
            return permit;
        }
        let clock = &self.host.clock;
        let since = clock.monotonic();
        let _waits = self.waiting.begin(code, clock.now());
        let permit = slot_of(semaphore).await;
        let wait = clock.monotonic().saturating_sub(since);
        if waited.is_none_or(|(_, before)| wait > before) {
            *waited = Some((code, wait));
        }
        permit
    }

    async fn reserve(&self, event: &Event) -> Result<Keyed, Outcome> {
        let mut keyed = Keyed {
            reservation: None,
            ran_before: None,
            missing_field: None,
        };
        let (Some(policy), Some(keys)) = (&self.policy.dedup, &self.keys) else {
            return Ok(keyed);
        };
        let key = match dedup::key(event, &policy.fields) {
            Ok(key) => key,
            Err(missing) => {
                keyed.missing_field = Some(missing);
                return Ok(keyed);
            }
        };
        loop {
            match keys.reserve(key.clone(), event.id) {
                Reserved::Yes(reservation, ran_before) => {
                    keyed.reservation = Some(reservation);
                    keyed.ran_before = ran_before;
                    return Ok(keyed);
                }
                Reserved::Duplicate {
                    original,
                    window_ends_at,
                } => {
                    return Err(Outcome::Duplicate {
                        original,
                        key,
                        window_ends_at,
                    });
                }
                Reserved::Wait(waiting) => waiting.ended().await,
            }
        }
    }
}

async fn slot_of(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    match Arc::clone(semaphore).acquire_owned().await {
        Ok(permit) => permit,
        // Nobody closes these semaphores; if somebody did, nothing may start any more.
        Err(AcquireError { .. }) => pending().await,
    }
}
