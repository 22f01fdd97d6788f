//! A publish on its way, as Python waits for it: on a thread, or on any number of loops.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use ringrift_events::router::{self, Receipt};

use crate::fault::Fault;
use crate::inbox::{Bell, Inbox, Word};

/// A publish on its way. Dropping it loses nothing.
#[pyclass(frozen, module = "ringrift_events._native")]
pub(crate) struct Publishing {
    id: String,
    runtime: tokio::runtime::Handle,
    state: Arc<Waited>,
    pid: u32,
}

/// What every waiter looks at.
#[derive(Default)]
struct Waited {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// Nobody has begun to wait.
    pending: Option<router::Publishing>,
    result: Option<Result<Receipt, Fault>>,
    loops: Vec<(Arc<Inbox>, u64)>,
}

impl Waited {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, result: Result<Receipt, router::Error>) {
        let mut state = self.lock();
        state.result = Some(result.map_err(Fault::from));
        let loops = std::mem::take(&mut state.loops);
        drop(state);
        self.ended.notify_all();
        for (inbox, number) in loops {
            inbox.push(Word::Ready(number));
        }
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
            state: Arc::new(Waited {
                state: Mutex::new(State {
                    pending: Some(publishing),
                    ..State::default()
                }),
                ended: Condvar::new(),
            }),
            pid,
        }
    }

    /// Has a task of the runtime wait for it, unless somebody does already.
    fn begin(&self, state: &mut State) {
        if let Some(publishing) = state.pending.take() {
            let waited = Arc::clone(&self.state);
            self.runtime
                .spawn(async move { waited.end(publishing.await) });
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

    /// Whether it has ended; else `number` is said to be ready in this loop's inbox once it has.
    fn ended_or_tell(&self, py: Python<'_>, bell: &Bell, number: u64) -> PyResult<bool> {
        self.refuse_fork(py)?;
        let mut state = self.state.lock();
        if state.result.is_some() {
            return Ok(true);
        }
        state.loops.push((Arc::clone(&bell.0), number));
        self.begin(&mut state);
        Ok(false)
    }

    /// Waits on this thread, at most this many seconds. Whether it has ended.
    fn wait(&self, py: Python<'_>, seconds: Option<f64>) -> PyResult<bool> {
        self.refuse_fork(py)?;
        let waited = &self.state;
        Ok(py.detach(|| {
            let mut state = waited.lock();
            if seconds.is_none()
                && let Some(publishing) = state.pending.take()
            {
                drop(state);
                waited.end(publishing.wait());
                return true;
            }
            self.begin(&mut state);
            let most = seconds.map_or(Duration::MAX, |seconds| {
                Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
            });
            let (state, _) = waited
                .ended
                .wait_timeout_while(state, most, |state| state.result.is_none())
                .unwrap_or_else(PoisonError::into_inner);
            state.result.is_some()
        }))
    }

    /// The receipt, or what went wrong; nothing while it is on its way.
    fn result(&self, py: Python<'_>) -> PyResult<Option<ReceiptParts>> {
        match &self.state.lock().result {
            None => Ok(None),
            Some(Ok(receipt)) => Ok(Some(parts(receipt))),
            Some(Err(fault)) => Err(fault.raise(py)),
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
