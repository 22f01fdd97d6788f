//! The courier: the thread in the process's own descriptor table that wakes async callers, runs
//! follow-ups and writes the log for the database threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::inbox::Taken;
use super::line::{Line, Notice, Parcel};
use crate::store::{Error, ErrorCode};

/// Parcels taken at a time.
const PARCELS_AT_ONCE: usize = 256;

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
pub(super) fn start(line: Arc<Line>, said: OnNotice) -> Result<JoinHandle<()>, Error> {
    std::thread::Builder::new()
        .name("rr-courier".to_owned())
        .spawn(move || run(&line, &said))
        .map_err(|error| {
            Error::new(
                ErrorCode::Io,
                format!("the courier thread could not be started: {error}"),
            )
        })
}

fn run(line: &Line, said: &OnNotice) {
    loop {
        match line.parcels.take(PARCELS_AT_ONCE, NAP, |_| true) {
            Taken::Some(parcels) => {
                for parcel in parcels {
                    deliver(line, said, parcel);
                }
            }
            Taken::Nothing => {}
            Taken::Closed => return,
        }
    }
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
