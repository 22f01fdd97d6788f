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

/// Parcels that a caller carries at a time, its own among them.
const PARCELS_OF_OTHERS: usize = 32;

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
                carry_all(&line);
            }
        })
        .map_err(|error| {
            Error::new(
                ErrorCode::Io,
                format!("the courier thread could not be started: {error}"),
            )
        })
}

fn carry_all(line: &Line) {
    let said = line.carrying.lock().unwrap_or_else(PoisonError::into_inner);
    let _mark = Mark::set();
    for parcel in line.parcels.take_now(PARCELS_AT_ONCE).0 {
        deliver(line, &said, parcel);
    }
}

impl Carrier for Line {
    fn waits(&self) -> &Spin {
        &self.callers
    }

    /// In the place of the courier, on the thread of a caller that has waited.
    fn carry(&self) {
        loop {
            // Whoever is at it looks again after it has let go.
            let said = match self.carrying.try_lock() {
                Ok(said) => said,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let (parcels, are_all) = self.parcels.take_now(PARCELS_OF_OTHERS);
            {
                let _mark = Mark::set();
                for parcel in parcels {
                    deliver(self, &said, parcel);
                }
            }
            drop(said);
            if !are_all {
                // Enough done for others.
                self.parcels.nudge();
                return;
            }
            if self.parcels.is_empty() {
                return;
            }
        }
    }
}

thread_local! {
    static CARRIES: Cell<bool> = const { Cell::new(false) };
}

/// This thread carries, as long as it lives: it must not wait for the courier.
struct Mark;

impl Mark {
    fn set() -> Mark {
        CARRIES.set(true);
        Mark
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        CARRIES.set(false);
    }
}

/// Whether this thread carries parcels just now.
pub(super) fn carries() -> bool {
    CARRIES.get()
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
