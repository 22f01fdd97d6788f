//! A coroutine that is measured: how often it was resumed, and what it used of its thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::call::PyCallArgs;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{PyTraverseError, PyVisit};
use ringrift_events::clock::{Clock as _, SystemClock, thread_cpu};

use crate::run::{Run, Running};

/// Every so many steps the processor's time is asked for, from the second on: asking is a system
/// call, and most handlers wait a few times.
const MEASURED_EVERY: u64 = 16;

/// A long run tells so often what it has used.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// Most of a turn of the loop that is put to a coroutine which yields to nothing (`sleep(0)`): it makes
/// the loop turn, and may have had to wait for a processor; what others do in that turn is theirs.
const TURN_MAX: Duration = Duration::from_millis(50);

/// Awaits a handler's coroutine for a run, step by step, in a context of its own.
#[pyclass(frozen, module = "ringrift_events._native")]
pub(crate) struct Steps {
    running: Arc<Running>,
    coroutine: Py<PyAny>,
    context: Py<PyAny>,
    /// Called once it waits for something for the first time.
    waits: Py<PyAny>,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    steps: u64,
    busy: Duration,
    /// Processor time of what was measured, and how long that held the thread.
    measured: (Duration, Duration),
    told_at: Duration,
    /// When the last step ended that yielded to nothing, and what the thread had used by then, if that
    /// was measured.
    spins_since: Option<(Duration, Option<Duration>)>,
}

impl Used {
    fn add(&mut self, busy: Duration, cpu: Option<Duration>) {
        self.busy += busy;
        if let Some(cpu) = cpu {
            self.measured.0 += cpu.min(busy);
            self.measured.1 += busy;
        }
    }

    /// The processor time of all: what was measured stands for the rest.
    fn cpu(&self) -> Duration {
        let (cpu, of) = self.measured;
        match of.is_zero() {
            true => Duration::ZERO,
            false => self.busy.mul_f64(cpu.as_secs_f64() / of.as_secs_f64()),
        }
    }
}

impl Steps {
    fn step(
        &self,
        py: Python<'_>,
        resume: impl FnOnce() -> PyResult<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let began = SystemClock.monotonic();
        let is_measured = {
            let mut used = self.lock();
            if let Some((since, cpu)) = used.spins_since.take() {
                let turn = began.saturating_sub(since).min(TURN_MAX);
                used.add(turn, cpu.map(|cpu| thread_cpu().saturating_sub(cpu)));
            }
            used.steps % MEASURED_EVERY == 1
        };
        let before = is_measured.then(thread_cpu);
        let came = resume();
        let now = SystemClock.monotonic();
        let after = before.map(|before| (before, thread_cpu()));
        let mut used = self.lock();
        used.steps += 1;
        let is_first = used.steps == 1;
        let cpu = after.map(|(before, after)| after.saturating_sub(before));
        used.add(now.saturating_sub(began), cpu);
        if came.as_ref().is_ok_and(|yielded| yielded.is_none(py)) {
            used.spins_since = Some((now, after.map(|(_, after)| after)));
        }
        self.tell(used, now, came.is_err());
        if is_first && came.is_ok() {
            self.waits.call0(py)?;
        }
        came
    }

    /// Calls a function of the coroutine's in its context.
    fn within<'py>(&self, py: Python<'py>, words: impl PyCallArgs<'py>) -> PyResult<Py<PyAny>> {
        self.context.call_method1(py, intern!(py, "run"), words)
    }

    /// Tells the run what it has used, now and then and at the end.
    fn tell(&self, mut used: MutexGuard<'_, Used>, now: Duration, is_last: bool) {
        let due = is_last || now.saturating_sub(used.told_at) >= TOLD_EVERY;
        // One of a single step has waited for nothing: there was no moment to measure it at.
        if used.steps < 2 || !due {
            return;
        }
        used.told_at = now;
        let (steps, busy, cpu) = (used.steps, used.busy, used.cpu());
        drop(used);
        self.running.context().used(steps, busy, cpu);
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Steps {
    #[new]
    fn new(
        run: PyRef<'_, Run>,
        coroutine: Py<PyAny>,
        context: Py<PyAny>,
        waits: Py<PyAny>,
    ) -> Steps {
        Steps {
            running: Arc::clone(&run.0),
            coroutine,
            context,
            waits,
            used: Mutex::default(),
        }
    }

    /// What is awaited: a stack goes on there.
    #[getter]
    fn coroutine(&self, py: Python<'_>) -> Py<PyAny> {
        self.coroutine.clone_ref(py)
    }

    /// A coroutine may be part of a cycle, which its frame breaks.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.coroutine)?;
        visit.call(&self.context)?;
        visit.call(&self.waits)
    }

    fn __await__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.send(py, py.None())
    }

    fn send(&self, py: Python<'_>, value: Py<PyAny>) -> PyResult<Py<PyAny>> {
        self.step(py, || {
            let send = self.coroutine.getattr(py, intern!(py, "send"))?;
            self.within(py, (send, value))
        })
    }

    #[pyo3(signature = (*error))]
    fn throw(&self, py: Python<'_>, error: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
        self.step(py, || {
            let throw = self.coroutine.getattr(py, intern!(py, "throw"))?;
            let mut words = vec![throw.into_bound(py)];
            words.extend(error.iter());
            self.within(py, PyTuple::new(py, words)?)
        })
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.coroutine
            .call_method0(py, intern!(py, "close"))
            .map(|_| ())
    }
}
