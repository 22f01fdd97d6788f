//! The courier: the thread in the process's own descriptor table that wakes async callers, runs
//! follow-ups and writes the log for the database threads. A caller that waits on its thread does
//! that itself once it has its answer, and the courier sleeps on.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::line::{Line, Notice, Parcel};
use crate::store::pending::Carrier;
use crate::store::spin::Spin;
use crate::store::{Error, ErrorCode};

/// Parcels taken at a time.
const PARCELS_AT_ONCE: usize = 256;

/// Parcels that a caller carries at a time, its own among them, and how often.
const PARCELS_OF_OTHERS: usize = 32;
const ROUNDS_FOR_OTHERS: usize = 4;

/// How long it sleeps when nothing comes. Only a guard: each parcel wakes it.
const NAP: Duration = Duration::from_secs(60);

/// Told what the store's threads have to say, and whether someone must act.
pub type OnNotice = Box<dyn Fn(bool, &str) + Send>;

/// Where notices go when nobody else wants them.
pub(super) fn trace(act: bool, text: &str) {
    if act {
        tracing::error!(detail = %text, "store");
    } else {
        tracing::warn!(detail = %text, "store");
    }
}

/// Starts the courier of one store. It ends when the line's parcels are closed and delivered.
pub(super) fn start(line: Arc<Line>) -> Result<JoinHandle<()>, Error> {
    std::thread::Builder::new()
        .name("rr-courier".to_owned())
        .spawn(move || {
            while !line.parcels.wait(NAP) {
                let said = line.carrying.lock();
                carry_some(
                    &line,
                    &said.unwrap_or_else(PoisonError::into_inner),
                    PARCELS_AT_ONCE,
                );
            }
        })
        .map_err(|error| {
            Error::new(
                ErrorCode::Io,
                format!("the courier thread could not be started: {error}"),
            )
        })
}

impl Carrier for Line {
    fn waits(&self) -> &Spin {
        &self.callers
    }

    /// In the place of the courier, on the thread of a caller that has waited.
    fn carry(&self) {
        for _ in 0..ROUNDS_FOR_OTHERS {
            // Whoever is at it looks again after it has let go.
            let said = match self.carrying.try_lock() {
                Ok(said) => said,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            carry_some(self, &said, PARCELS_OF_OTHERS);
            drop(said);
            if self.parcels.is_empty() {
                return;
            }
        }
        // Enough done for others.
        self.parcels.nudge();
    }
}

fn carry_some(line: &Line, said: &OnNotice, at_most: usize) {
    CARRIES.set(CARRIES.get() + 1);
    for parcel in line.parcels.take_now(at_most, |_| true) {
        deliver(line, said, parcel);
    }
    CARRIES.set(CARRIES.get() - 1);
}

thread_local! {
    /// In how many lines this thread carries just now: a follow-up may wait for another store.
    static CARRIES: Cell<u32> = const { Cell::new(0) };
}

/// Whether this thread carries parcels just now: it must not wait for the courier.
pub(super) fn carries() -> bool {
    CARRIES.get() > 0
}

fn deliver(line: &Line, said: &OnNotice, parcel: Parcel) {
    match parcel {
        Parcel::Answered(mut request) => {
            let bytes = request.bytes();
            // A follow-up is a caller's code: its panic must not stop the others' answers.
            if catch_unwind(AssertUnwindSafe(|| request.wake())).is_err() {
                tracing::error!("a follow-up of a store verb panicked");
                // The follow-up is gone; the async caller still waits.
                drop(catch_unwind(AssertUnwindSafe(|| request.wake())));
            }
            drop(catch_unwind(AssertUnwindSafe(|| drop(request))));
            line.release(bytes);
        }
        Parcel::Say(Notice::Warn(text)) => said(false, &text),
        Parcel::Say(Notice::Error(text)) => said(true, &text),
    }
}
