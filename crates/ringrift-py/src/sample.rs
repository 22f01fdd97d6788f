//! Questions to Python from threads that must not wait for the interpreter's lock.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use pyo3::prelude::*;
use ringrift_events::clock::{Clock as _, SystemClock};
use ringrift_events::handler::Looking;
use tokio::sync::oneshot;

/// How long a question may wait for the interpreter's lock before it is called not to be had. Python
/// code gives it up every 5 ms.
const LOCK_PATIENCE: Duration = Duration::from_millis(200);

/// Most questions that wait for the lock at once: each has a thread.
const ASKING_MAX: usize = 8;

static ASKING: AtomicUsize = AtomicUsize::new(0);

/// An answer, and how long it waited for the interpreter's lock.
pub(crate) struct Answer<T> {
    pub(crate) given: Option<T>,
    pub(crate) waited: Duration,
}

/// Runs something of Python's on a thread of its own, and waits a short while for its answer;
/// `None` if the lock cannot be had in that time.
pub(crate) fn ask<T: Send + 'static>(
    question: impl FnOnce(Python<'_>) -> Option<T> + Send + 'static,
) -> Option<Answer<T>> {
    let (tell, told) = sync_channel(1);
    // Whoever waited may have gone on.
    start(question, move |answer| drop(tell.send(answer)))?;
    told.recv_timeout(LOCK_PATIENCE).ok()
}

/// The same for whoever awaits it, as long as that likes.
fn asked<T: Send + 'static>(
    question: impl FnOnce(Python<'_>) -> Option<T> + Send + 'static,
) -> impl Future<Output = Option<T>> + Send {
    let (tell, told) = oneshot::channel();
    let started = start(question, move |answer: Answer<T>| {
        // Whoever waited may have gone on.
        drop(tell.send(answer.given));
    });
    async move {
        started?;
        told.await.ok().flatten()
    }
}

fn start<T: Send + 'static>(
    question: impl FnOnce(Python<'_>) -> Option<T> + Send + 'static,
    tell: impl FnOnce(Answer<T>) + Send + 'static,
) -> Option<()> {
    let asking = Asking::begin()?;
    let thread = std::thread::Builder::new()
        .name("ringrift:sample".to_owned())
        .spawn(move || {
            let began = SystemClock.monotonic();
            let answer = Python::try_attach(|py| Answer {
                waited: SystemClock.monotonic().saturating_sub(began),
                given: question(py),
            });
            drop(asking);
            // Without an interpreter there is nothing to tell: whoever waits learns that.
            if let Some(answer) = answer {
                tell(answer);
            }
        });
    thread.ok().map(|_| ())
}

/// One question on its way.
struct Asking;

impl Asking {
    fn begin() -> Option<Asking> {
        if ASKING.fetch_add(1, Ordering::AcqRel) < ASKING_MAX {
            return Some(Asking);
        }
        ASKING.fetch_sub(1, Ordering::AcqRel);
        None
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        ASKING.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Where a run stands: on the loop of this bell, or on a thread of its own.
pub(crate) fn stuck(bell: Option<u64>, run: u64) -> Looking {
    Box::pin(asked(move |py| {
        let module = py.import("ringrift_events._watch").ok()?;
        let told = module.call_method1("stuck", (bell, run)).ok()?;
        told.extract::<Option<String>>().ok().flatten()
    }))
}
