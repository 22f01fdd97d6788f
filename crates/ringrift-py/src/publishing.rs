//! A publish on its way, as Python waits for it: on a thread, or on any number of loops.

use std::future::{Future, IntoFuture as _};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use pyo3::prelude::*;
use ringrift_events::clock::{Clock as _, SystemClock};
use ringrift_events::router::{self, Receipt};

use crate::fault::Fault;
use crate::inbox::{Bell, Inbox, Word};

/// A publish on its way. Dropping it loses nothing.
#[pyclass(frozen, module = "ringrift_events._native")]
pub(crate) struct Publishing {
    id: String,
    runtime: tokio::runtime::Handle,
    state: Mutex<State>,
    waiters: Arc<Waiters>,
    pid: u32,
}

/// How far it is.
enum State {
    /// Nobody has begun to wait.
    Fresh(router::Publishing),
    /// A thread waits for it, and will end it.
    Taken,
    /// Whoever waits polls it.
    Polled(Pin<Box<dyn Future<Output = Result<Receipt, router::Error>> + Send>>),
    Ended(Result<Receipt, Fault>),
}

/// Who is told that it is worth another look: by whichever thread of the library has news, without a
/// task in between.
#[derive(Default)]
struct Waiters {
    told: Mutex<Told>,
    looks: Condvar,
}

#[derive(Default)]
struct Told {
    /// How often there was news.
    times: u64,
    loops: Vec<(Arc<Inbox>, u64)>,
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        let mut told = self.lock();
        told.times += 1;
        let loops = std::mem::take(&mut told.loops);
        drop(told);
        self.looks.notify_all();
        for (inbox, number) in loops {
            inbox.push(Word::Ready(number));
        }
    }
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.tell();
    }
}

impl Publishing {
    pub(crate) fn new(
        publishing: router::Publishing,
        runtime: tokio::runtime::Handle,
        pid: u32,
    ) -> Publishing {
        Publishing {
            id: publishing.id().to_string(),
            runtime,
            state: Mutex::new(State::Fresh(publishing)),
            waiters: Arc::default(),
            pid,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has ended. Whoever is told `false` is told by the waiters when to look again.
    fn look(&self) -> bool {
        let mut state = self.lock();
        if let State::Fresh(_) = &*state
            && let State::Fresh(publishing) = std::mem::replace(&mut *state, State::Taken)
        {
            *state = State::Polled(publishing.into_future());
        }
        let ended = match &mut *state {
            State::Ended(_) => return true,
            State::Fresh(_) | State::Taken => return false,
            State::Polled(future) => {
                let waker = Waker::from(Arc::clone(&self.waiters));
                // It waits for handlers with the runtime's timers.
                let _within = self.runtime.enter();
                future.as_mut().poll(&mut Context::from_waker(&waker))
            }
        };
        let Poll::Ready(result) = ended else {
            return false;
        };
        *state = State::Ended(result.map_err(Fault::from));
        drop(state);
        self.waiters.tell();
        true
    }

    /// Waits on this thread until it has ended or the time is over; whether it has ended.
    fn wait_until(&self, seconds: Option<f64>) -> bool {
        let clock = SystemClock;
        let most =
            seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO));
        let until = most.map(|most| clock.monotonic().saturating_add(most));
        loop {
            let times = self.waiters.lock().times;
            if self.look() {
                return true;
            }
            let left = match until {
                None => Duration::MAX,
                Some(until) => until.saturating_sub(clock.monotonic()),
            };
            if left.is_zero() {
                return false;
            }
            let told = self.waiters.lock();
            drop(
                self.waiters
                    .looks
                    .wait_timeout_while(told, left, |told| told.times == times),
            );
        }
    }

    fn refuse_fork(&self, py: Python<'_>) -> PyResult<()> {
        if self.pid == std::process::id() {
            return Ok(());
        }
        Err(Fault::forked("waiting for a publish").raise(py))
    }
}

#[pymethods]
impl Publishing {
    #[getter]
    fn id(&self) -> &str {
        &self.id
    }

    /// Whether it has ended; else `number` is said to be ready in this loop's inbox once it is worth
    /// another look.
    fn ended_or_tell(&self, py: Python<'_>, bell: &Bell, number: u64) -> PyResult<bool> {
        self.refuse_fork(py)?;
        loop {
            let times = self.waiters.lock().times;
            if self.look() {
                return Ok(true);
            }
            let mut told = self.waiters.lock();
            if told.times == times {
                told.loops.push((Arc::clone(&bell.0), number));
                return Ok(false);
            }
        }
    }

    /// Waits on this thread, at most this many seconds. Whether it has ended.
    fn wait(&self, py: Python<'_>, seconds: Option<f64>) -> PyResult<bool> {
        self.refuse_fork(py)?;
        Ok(py.detach(|| {
            let mut state = self.lock();
            if seconds.is_none()
                && let State::Fresh(_) = &*state
                && let State::Fresh(publishing) = std::mem::replace(&mut *state, State::Taken)
            {
                drop(state);
                let result = publishing.wait().map_err(Fault::from);
                *self.lock() = State::Ended(result);
                self.waiters.tell();
                return true;
            }
            drop(state);
            self.wait_until(seconds)
        }))
    }

    /// The receipt, or what went wrong; nothing while it is on its way.
    fn result(&self, py: Python<'_>) -> PyResult<Option<ReceiptParts>> {
        match &*self.lock() {
            State::Ended(Ok(receipt)) => Ok(Some(parts(receipt))),
            State::Ended(Err(fault)) => Err(fault.raise(py)),
            State::Fresh(_) | State::Taken | State::Polled(_) => Ok(None),
        }
    }
}

/// A receipt as the Python side makes its own of: id, seq, bridged, duplicate of, matched, skipped,
/// missing, running.
pub(crate) type ReceiptParts = (
    String,
    Option<i64>,
    bool,
    Option<String>,
    Vec<String>,
    Vec<(String, &'static str)>,
    Vec<String>,
    Vec<String>,
);

pub(crate) fn parts(receipt: &Receipt) -> ReceiptParts {
    let names = |names: &[Arc<str>]| names.iter().map(ToString::to_string).collect();
    (
        receipt.id.to_string(),
        receipt.seq.map(|seq| seq.0),
        receipt.bridged,
        receipt.duplicate_of.map(|id| id.to_string()),
        names(&receipt.matched),
        receipt
            .skipped
            .iter()
            .map(|(name, code)| (name.to_string(), code.as_str()))
            .collect(),
        receipt.missing.clone(),
        names(&receipt.running),
    )
}
