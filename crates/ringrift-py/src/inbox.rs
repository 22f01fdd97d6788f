//! What the library's threads have for one Python loop, and the bell that wakes it.
//!
//! The loop watches the bell's descriptor like any socket. Ringing it needs no lock of the
//! interpreter, so a runtime thread never waits for Python. The inbox has no bound of its own: each
//! word belongs to a run (at most `handler.in_flight_max`), or to something the loop asked for
//! and waits for.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use crate::event::RawEvent;
use crate::loops::Loops;
use crate::run::{Run, Running};

/// One word for the loop.
pub(crate) enum Word {
    /// Run this handler for this event.
    Call(Arc<Running>),
    /// Stop the run of this number: its time is over, or its process ends.
    Cancel(u64),
    /// What this number waits for is there.
    Ready(u64),
    /// The event that this number waits for.
    Arrived(u64, RawEvent),
}

/// What is to be read, and how to wake the reader.
pub(crate) struct Inbox {
    words: Mutex<VecDeque<Word>>,
    /// The bell was rung and nobody came yet.
    rung: AtomicBool,
    /// Nobody will read any more.
    closed: AtomicBool,
    number: u64,
    /// The runs that are on the loop, or on their way.
    runs: Mutex<BTreeMap<u64, Arc<Running>>>,
    /// Who is told of its end.
    told: Mutex<Vec<Weak<Loops>>>,
    /// Since when somebody knocks and nobody has come, by the monotonic clock in microseconds; 0:
    /// nobody knocks.
    knocked_us: AtomicU64,
    /// The thread that read last, as the system numbers it.
    tid: AtomicU32,
    ring: UnixStream,
    hear: UnixStream,
}

impl Inbox {
    fn new() -> std::io::Result<Inbox> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let (ring, hear) = UnixStream::pair()?;
        ring.set_nonblocking(true)?;
        hear.set_nonblocking(true)?;
        Ok(Inbox {
            words: Mutex::default(),
            rung: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            runs: Mutex::default(),
            told: Mutex::default(),
            knocked_us: AtomicU64::new(0),
            tid: AtomicU32::new(here()),
            ring,
            hear,
        })
    }

    /// Leaves a word and wakes the loop. Never waits. Of a loop that has ended the word is dropped,
    /// and with it a run, whose waiter then learns that nobody answers.
    pub(crate) fn push(&self, word: Word) {
        let mut words = self.lock();
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        words.push_back(word);
        drop(words);
        self.ring();
    }

    /// Which inbox this is.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// A run is on its way to the loop; `false` if that has ended.
    #[must_use]
    pub(crate) fn begin(&self, run: &Arc<Running>) -> bool {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: an end that follows finds the run here.
        if self.is_closed() {
            return false;
        }
        runs.insert(run.number(), Arc::clone(run));
        true
    }

    /// Takes back a call that the loop has not taken yet; `false` if it has.
    pub(crate) fn withdraw(&self, run: u64) -> bool {
        let mut words = self.lock();
        let before = words.len();
        words.retain(|word| !matches!(word, Word::Call(call) if call.number() == run));
        words.len() < before
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Has this system told when the loop ends.
    pub(crate) fn tell_end_to(&self, loops: &Arc<Loops>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|known| known.strong_count() > 0);
        if !told
            .iter()
            .any(|known| known.as_ptr() == Arc::as_ptr(loops))
        {
            told.push(Arc::downgrade(loops));
        }
    }

    /// A run has ended.
    pub(crate) fn end(&self, run: u64) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.remove(&run);
    }

    /// The runs of one system, oldest first.
    pub(crate) fn runs(&self, owner: u64) -> Vec<Arc<Running>> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let own = runs.values().filter(|run| run.owner() == owner);
        own.cloned().collect()
    }

    /// Whether one system has runs here.
    pub(crate) fn has_runs(&self, owner: u64) -> bool {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.values().any(|run| run.owner() == owner)
    }

    /// Rings to see whether the loop turns.
    pub(crate) fn knock(&self, now: Duration) {
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX).max(1);
        let nobody = self
            .knocked_us
            .compare_exchange(0, now, Ordering::AcqRel, Ordering::Relaxed);
        if nobody.is_ok() {
            self.ring();
        }
    }

    /// Since when somebody knocks in vain, and the thread that should come.
    pub(crate) fn unanswered(&self) -> Option<(Duration, u32)> {
        let knocked = self.knocked_us.load(Ordering::Acquire);
        let tid = self.tid.load(Ordering::Relaxed);
        (knocked != 0).then(|| (Duration::from_micros(knocked), tid))
    }

    /// Nobody reads any more: what lies here is dropped, and what comes. The subscriptions of this
    /// loop end. May be repeated.
    pub(crate) fn close(&self) {
        let mut words = self.lock();
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let left = std::mem::take(&mut *words);
        drop(words);
        let told: Vec<Arc<Loops>> = {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.iter().filter_map(Weak::upgrade).collect()
        };
        // Before the runs are answered: each answer would bring the next call.
        for loops in &told {
            loops.stop(self);
        }
        let runs = std::mem::take(&mut *self.runs.lock().unwrap_or_else(PoisonError::into_inner));
        for run in runs.values() {
            run.abandon();
        }
        for loops in &told {
            loops.end(self);
        }
        // A run's end may leave a word here: not while the lock is held.
        drop((left, runs));
    }

    fn ring(&self) {
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        // A full socket has rung already, and a closed one has nobody to wake.
        (&self.ring).write_all(&[1]).ok();
    }

    /// Takes every word. Order matters: whoever rings after `rung` was taken back writes a byte of
    /// its own, and whoever rang before has left its word already.
    fn take(&self) -> VecDeque<Word> {
        let mut bytes = [0; 64];
        loop {
            match (&self.hear).read(&mut bytes) {
                Ok(count) if count == bytes.len() => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => break,
            }
        }
        self.rung.store(false, Ordering::Release);
        self.knocked_us.store(0, Ordering::Release);
        self.tid.store(here(), Ordering::Relaxed);
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Word>> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// This thread, as the system numbers it.
fn here() -> u32 {
    let tid = rustix::thread::gettid().as_raw_nonzero().get();
    tid.cast_unsigned()
}

/// A word as Python reads it: its kind, a number, a thing.
type Told = (u8, u64, Option<Py<PyAny>>);

/// One loop's inbox, as Python holds it.
#[pyclass(frozen, module = "ringrift_events._native")]
pub(crate) struct Bell(pub(crate) Arc<Inbox>, u32);

impl Drop for Bell {
    /// Its loop is gone, closed or not. A forked child has the copy of a bell that is its parent's.
    fn drop(&mut self) {
        if self.1 == std::process::id() {
            self.0.close();
        }
    }
}

#[pymethods]
impl Bell {
    #[new]
    fn new() -> PyResult<Bell> {
        let inbox = Inbox::new().map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(Bell(Arc::new(inbox), std::process::id()))
    }

    /// Which bell this is.
    #[getter]
    fn number(&self) -> u64 {
        self.0.number
    }

    /// The descriptor that becomes readable when there is a word.
    fn fileno(&self) -> i32 {
        self.0.hear.as_raw_fd()
    }

    /// Its loop has ended: nothing is read here any more.
    fn close(&self) {
        self.0.close();
    }

    /// Takes every word, oldest first, as `(kind, number, thing)`: `0` a run to begin, `1` one to
    /// stop, `2` a number that is ready, `3` one whose event arrived.
    fn take(&self, py: Python<'_>) -> PyResult<Vec<Told>> {
        self.0
            .take()
            .into_iter()
            .map(|word| {
                Ok(match word {
                    Word::Call(running) => {
                        running.begin();
                        let callee = running.callee;
                        let run = Py::new(py, Run(running))?;
                        (0, callee, Some(run.into_any()))
                    }
                    Word::Cancel(number) => (1, number, None),
                    Word::Ready(number) => (2, number, None),
                    Word::Arrived(number, event) => {
                        (3, number, Some(Py::new(py, event)?.into_any()))
                    }
                })
            })
            .collect()
    }
}
