//! One run of a Python function: on a loop by way of its inbox, or on a thread of its own.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use ringrift_events::clock::Time;
use ringrift_events::event::EventId;
use ringrift_events::handler::dedup::RanBefore;
use ringrift_events::handler::{
    Context, Dedup, Foreign, Function, Looking, NotDone, Reply, StepKind,
};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::event::RawEvent;
use crate::inbox::{Inbox, Word};
use crate::sample;

/// A run that Python has to answer.
pub(crate) struct Running {
    /// Its number: what a cancellation names.
    number: u64,
    /// The function's number on the Python side.
    pub(crate) callee: u64,
    /// Which system it belongs to.
    owner: u64,
    context: Context,
    /// The loop it is on.
    inbox: Option<Arc<Inbox>>,
    /// Python has it.
    begun: AtomicBool,
    answer: Mutex<Answer>,
}

/// Why a run has no answer.
const LOOP_ENDED: &str = "its loop ended before it did";

/// Where the answer goes.
enum Answer {
    /// To the runtime's task that waits for it, else to whoever has waited since that gave it up.
    Sent(oneshot::Sender<Reply>, oneshot::Sender<Reply>),
    /// Here, until the thread that made the call takes it.
    Kept(Option<Reply>),
    Given,
}

impl Running {
    fn new(
        (owner, callee): (u64, u64),
        context: Context,
        inbox: Option<Arc<Inbox>>,
        answer: Answer,
    ) -> Arc<Running> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        Arc::new(Running {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            callee,
            owner,
            context,
            inbox,
            begun: AtomicBool::new(false),
            answer: Mutex::new(answer),
        })
    }

    /// Python takes it.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn owner(&self) -> u64 {
        self.owner
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Nobody will answer: its loop has ended. One that Python never saw has not begun.
    pub(crate) fn abandon(&self) {
        self.give(Err(match self.begun.load(Ordering::Acquire) {
            true => NotDone::failed(LOOP_ENDED),
            false => NotDone::NotBegun,
        }));
    }

    /// Gives the answer; a second one is dropped.
    fn give(&self, reply: Reply) {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        *answer = match std::mem::replace(&mut *answer, Answer::Given) {
            Answer::Sent(sender, late) => {
                if let Err(reply) = sender.send(reply) {
                    // It was cancelled: whoever waits now, if anybody does, waits for its end.
                    drop(late.send(reply));
                }
                Answer::Given
            }
            Answer::Kept(None) => Answer::Kept(Some(reply)),
            given @ (Answer::Kept(Some(_)) | Answer::Given) => given,
        };
        drop(answer);
        if let Some(inbox) = &self.inbox {
            inbox.end(self.number);
        }
    }

    fn take(&self) -> Option<Reply> {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *answer, Answer::Given) {
            Answer::Kept(reply) => reply,
            Answer::Sent(..) | Answer::Given => None,
        }
    }
}

/// Cancels the run on its loop if the library stops waiting for it.
struct CancelOnDrop {
    inbox: Arc<Inbox>,
    running: Arc<Running>,
    ended: bool,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if self.inbox.withdraw(self.running.number) {
            // Its loop was too busy to take it.
            self.running.abandon();
        } else {
            self.inbox.push(Word::Cancel(self.running.number));
        }
    }
}

/// What the library may ask of a run on a loop.
struct OnLoop {
    bell: u64,
    run: u64,
    late: Mutex<Option<oneshot::Receiver<Reply>>>,
}

impl Foreign for OnLoop {
    fn look(&self) -> Looking {
        sample::stuck(Some(self.bell), self.run)
    }

    fn end(&self) -> Option<oneshot::Receiver<Reply>> {
        self.late
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// What the library may ask of a run on a thread.
struct OnThread(u64);

impl Foreign for OnThread {
    fn look(&self) -> Looking {
        sample::stuck(None, self.0)
    }

    fn end(&self) -> Option<oneshot::Receiver<Reply>> {
        // The library waits for its thread.
        None
    }
}

/// An async function of Python's: it runs on the loop of this inbox, and is cancelled there when its
/// time is over.
pub(crate) fn on_loop(inbox: Arc<Inbox>, owner: u64, callee: u64) -> Function {
    Function::asynchronous(move |context| {
        let inbox = Arc::clone(&inbox);
        async move {
            let (sender, answer) = oneshot::channel();
            let (sender_late, late) = oneshot::channel();
            let running = Running::new(
                (owner, callee),
                context.clone(),
                Some(Arc::clone(&inbox)),
                Answer::Sent(sender, sender_late),
            );
            if !inbox.begin(&running) {
                return Err(NotDone::NotBegun);
            }
            context.run_by(Arc::new(OnLoop {
                bell: inbox.number(),
                run: running.number,
                late: Mutex::new(Some(late)),
            }));
            let mut cancel = CancelOnDrop {
                inbox: Arc::clone(&inbox),
                running: Arc::clone(&running),
                ended: false,
            };
            inbox.push(Word::Call(running));
            let reply = answer.await;
            cancel.ended = true;
            reply.unwrap_or_else(|_| Err(NotDone::failed(LOOP_ENDED)))
        }
    })
}

/// A plain function of Python's: it runs on a thread that the library keeps for blocking work.
pub(crate) fn on_thread(callee: u64) -> Function {
    Function::blocking(move |context| {
        let running = Running::new((0, callee), context.clone(), None, Answer::Kept(None));
        context.run_by(Arc::new(OnThread(running.number)));
        let called = Python::try_attach(|py| {
            let dispatch = DISPATCH.get(py)?;
            let run = Py::new(py, Run(Arc::clone(&running)));
            let called = run.and_then(|run| dispatch.call1(py, (callee, run)));
            called.err().map(|error| error.to_string())
        });
        match (called, running.take()) {
            (None, _) => Err(NotDone::failed("the interpreter has ended")),
            (Some(Some(error)), _) => Err(NotDone::failed(error)),
            (Some(None), Some(reply)) => reply,
            (Some(None), None) => Err(NotDone::failed("it ended without an answer")),
        }
    })
}

/// What calls a function by its number, on a thread that blocks.
static DISPATCH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Says what calls a plain function: `dispatch(callee, run)`. Once a process.
#[pyfunction]
pub(crate) fn set_dispatch(py: Python<'_>, dispatch: Py<PyAny>) {
    // A second import of the package finds the first one's, which does the same.
    DISPATCH.get_or_init(py, || dispatch);
}

/// One run, as Python holds it. It is answered once; the first answer counts.
#[pyclass(frozen, module = "ringrift_events._native")]
pub(crate) struct Run(pub(crate) Arc<Running>);

#[pymethods]
impl Run {
    #[getter]
    fn number(&self) -> u64 {
        self.0.number
    }

    #[getter]
    fn event(&self) -> RawEvent {
        RawEvent(Arc::clone(self.0.context.event()))
    }

    #[getter]
    fn handler(&self) -> &str {
        self.0.context.handler()
    }

    #[getter]
    fn attempt(&self) -> u32 {
        self.0.context.attempt()
    }

    /// It is done.
    fn done(&self) {
        self.0.give(Ok(()));
    }

    /// It does not concern the handler.
    fn skip(&self, reason: String) {
        self.0.give(Err(NotDone::Skip(reason)));
    }

    /// It is the same again as this event, by the handler's own keys.
    fn duplicate(&self, original: &str, key: String, window_ends_us: i64) -> PyResult<()> {
        self.0.give(Err(NotDone::Duplicate {
            original: event_id(original)?,
            key,
            window_ends_at: Time(window_ends_us),
        }));
        Ok(())
    }

    /// It is to be tried again after this many seconds.
    fn retry(&self, after: f64, reason: String) {
        let after = Duration::try_from_secs_f64(after).unwrap_or(Duration::MAX);
        self.0.give(Err(NotDone::Retry { after, reason }));
    }

    /// It can never succeed.
    fn dead(&self, reason: String) {
        self.0.give(Err(NotDone::Dead(reason)));
    }

    /// It failed: the exception with its traceback, and the system's number if it has one.
    fn fail(&self, text: String, errno: Option<i32>) {
        let errno = errno.map(io::Error::from_raw_os_error);
        self.0.give(Err(NotDone::failed(Raised { text, errno })));
    }

    /// Its function looks for duplicates by itself: by these payload fields, within so many seconds.
    fn dedups_by(&self, fields: Vec<String>, ttl: f64) {
        let ttl = Duration::try_from_secs_f64(ttl).unwrap_or_default();
        self.0.context.dedups_by(Dedup { fields, ttl });
    }

    /// The event lacks a field of the function's own dedup key.
    fn lacks_field(&self, field: &str) {
        self.0.context.lacks_field(field);
    }

    /// The same key ran for another event, and its window had ended.
    fn ran_before(&self, original: &str, window_ended_us: i64) -> PyResult<()> {
        self.0.context.ran_before(RanBefore {
            original: event_id(original)?,
            ended_at: Time(window_ended_us),
        });
        Ok(())
    }

    /// Names the step that begins now.
    fn step(&self, kind: &str, name: &str) -> bool {
        let known = [
            StepKind::Db,
            StepKind::Network,
            StepKind::Disk,
            StepKind::Compute,
            StepKind::Command,
        ];
        let Some(kind) = known.into_iter().find(|known| known.as_str() == kind) else {
            return false;
        };
        self.0.context.step(kind, name);
        true
    }
}

fn event_id(text: &str) -> PyResult<EventId> {
    let id = Uuid::parse_str(text);
    id.map(EventId)
        .map_err(|_| PyValueError::new_err(format!("{text:?} is no event's id")))
}

/// An exception of Python's, as a dead letter keeps it.
#[derive(Debug)]
struct Raised {
    text: String,
    errno: Option<io::Error>,
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Raised {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.errno.as_ref().map(|errno| errno as _)
    }
}
