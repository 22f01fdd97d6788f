//! Sees that a loop does not turn, and says what holds it.
//!
//! While runs are on a loop, this thread rings its bell and looks whether somebody comes. It needs
//! no lock of the interpreter for that. A loop that does not come for too long is sampled by another
//! thread, which has to wait for the lock: blocking calls give it up, Python code does every few
//! milliseconds. Where it cannot be had, C code holds it, and that is what is said.
//!
//! Time in which the loop's thread could have run and had no processor does not count: a machine
//! that is short of processors blocks nobody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use ringrift_events::clock::SharedClock;
use ringrift_events::event::{EventId, EventType};
use ringrift_events::handler::{ForeignStall, ThreadLook, Watch, WatchedThread};
use ringrift_events::store::records::{Stall, StallClass};

use crate::inbox::Inbox;
use crate::loops::Loops;
use crate::run::Running;
use crate::sample::ask;

/// How often a loop is looked at within the time it may be held.
const LOOKS: u32 = 5;

/// How long a loop may not turn before it is asked whether it was closed, where nothing else is asked
/// of it.
const CLOSED_AFTER: Duration = Duration::from_millis(500);

/// From when on the sampling thread's own wait for the interpreter's lock says that others want it
/// too: they pass it on every 5 ms.
const CONTENDED: Duration = Duration::from_millis(20);

/// What the Python side sees of a loop that does not turn.
#[derive(FromPyObject, Debug)]
struct Sample {
    /// `closed`, `stopped`, `idle` or `held`.
    state: String,
    /// The run that holds it, if it is one of ours.
    run: Option<u64>,
    /// The task or callback that holds it.
    task: String,
    /// `file:line in function`.
    at: String,
    /// The whole stack.
    stack: String,
}

/// What samples a loop by its number.
static SAMPLER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Says what samples a loop: `sampler(number)`. Once a process.
#[pyfunction]
pub(crate) fn set_sampler(py: Python<'_>, sampler: Py<PyAny>) {
    SAMPLER.get_or_init(py, || sampler);
}

/// The watchdog of one system.
pub(crate) struct Watchdog {
    /// Dropped, it ends the thread.
    end: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts watching for loops that were closed, and for those that are held longer than `limit`,
    /// if there is one.
    pub(crate) fn start(
        owner: u64,
        (watch, clock): (Arc<Watch>, SharedClock),
        loops: Arc<Loops>,
        limit: Option<Duration>,
    ) -> std::io::Result<Watchdog> {
        let (end, ended) = sync_channel::<()>(1);
        let tells = limit.is_some();
        let limit = limit.unwrap_or(CLOSED_AFTER);
        let mut watching = Watching {
            owner,
            watch,
            clock,
            limit,
            tells,
            held: BTreeMap::new(),
        };
        let thread = std::thread::Builder::new()
            .name("ringrift:loops".to_owned())
            .spawn(move || {
                let pause = (limit / LOOKS).max(Duration::from_millis(1));
                while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                    for inbox in loops.inboxes() {
                        watching.look(&inbox);
                    }
                }
            })?;
        Ok(Watchdog {
            end: Some(end),
            thread: Some(thread),
        })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // It never waits for the interpreter's lock, so whoever waits here may hold it.
            thread.join().ok();
        }
    }
}

/// One time that a loop does not turn.
struct Held {
    thread: WatchedThread,
    asked: Duration,
    told: Option<(ForeignStall, Stall)>,
    /// It was said that the interpreter's lock is what it waits for.
    lock_told: bool,
    /// The lock could not be had once: on a busy machine the sampling thread may have had no processor.
    lock_missed: bool,
}

/// What a look at a loop that does not turn came to.
enum Found {
    Held(Box<Stall>),
    /// It waits for the interpreter's lock.
    Waits,
    /// The lock could not be had: the next look tries again.
    Missed,
    Nothing,
}

struct Watching {
    owner: u64,
    watch: Arc<Watch>,
    clock: SharedClock,
    limit: Duration,
    /// Whether a loop that is held is told of; a closed one is always looked for.
    tells: bool,
    held: BTreeMap<u64, Held>,
}

impl Watching {
    fn look(&mut self, inbox: &Inbox) {
        let number = inbox.number();
        let Some((asked, tid)) = inbox.unanswered() else {
            self.ended(number);
            if inbox.has_runs(self.owner) {
                inbox.knock(self.clock.monotonic());
            }
            return;
        };
        let clock = Arc::clone(&self.clock);
        if self
            .held
            .get(&number)
            .is_some_and(|held| held.asked != asked)
        {
            self.ended(number);
        }
        let held = self.held.entry(number).or_insert_with(|| Held {
            thread: WatchedThread::begin(tid, &*clock),
            asked,
            told: None,
            lock_told: false,
            lock_missed: false,
        });
        let look = held.thread.look(&*clock);
        if look.watched.saturating_sub(look.queued) < self.limit {
            return;
        }
        if let Some((foreign, stall)) = &mut held.told {
            update(stall, &look, clock.monotonic().saturating_sub(asked));
            foreign.update(stall.clone());
            return;
        }
        let waited = clock.monotonic().saturating_sub(asked);
        let missed = held.lock_missed;
        match self.found(inbox, (asked, tid), &look, missed) {
            Found::Held(stall) => {
                let foreign = self.watch.foreign(Stall::clone(&stall));
                if let Some(held) = self.held.get_mut(&number) {
                    held.told = Some((foreign, *stall));
                }
            }
            Found::Waits => {
                if let Some(held) = self.held.get_mut(&number)
                    && !std::mem::replace(&mut held.lock_told, true)
                {
                    tell_lock(waited);
                }
            }
            Found::Missed => {
                if let Some(held) = self.held.get_mut(&number) {
                    held.lock_missed = true;
                }
            }
            Found::Nothing => {}
        }
    }

    /// The loop came back: what was told of it is recorded.
    fn ended(&mut self, number: u64) {
        if let Some(held) = self.held.remove(&number)
            && let Some((foreign, mut stall)) = held.told
        {
            stall.held_ms = millis(self.clock.monotonic().saturating_sub(held.asked));
            foreign.update(stall);
        }
    }

    /// Who holds it, if it is held and by a run that can be named.
    fn found(
        &self,
        inbox: &Inbox,
        (asked, tid): (Duration, u32),
        look: &ThreadLook,
        missed: bool,
    ) -> Found {
        let sample = sample(inbox.number());
        if let Sampled::At(sample, _) = &sample
            && sample.state == "closed"
        {
            inbox.close();
        }
        if !self.tells {
            return Found::Nothing;
        }
        if waits_for_lock(&sample, look) {
            return Found::Waits;
        }
        if matches!(sample, Sampled::NoLock) && !missed {
            return Found::Missed;
        }
        let stall = self.stall(inbox, &sample, (asked, tid), look);
        let Some(stall) = stall else {
            return Found::Nothing;
        };
        let stack = match &sample {
            Sampled::At(sample, _) => sample.stack.as_str(),
            Sampled::Nothing | Sampled::NoLock => "",
        };
        tell(&stall, stack);
        Found::Held(Box::new(stall))
    }

    fn stall(
        &self,
        inbox: &Inbox,
        sample: &Sampled,
        (asked, tid): (Duration, u32),
        look: &ThreadLook,
    ) -> Option<Stall> {
        let runs = inbox.runs(self.owner);
        let (run, handler, place) = match sample {
            Sampled::At(sample, _) if sample.state != "held" => return None,
            Sampled::At(sample, _) => {
                let of_ours = sample.run.and_then(|number| find(&runs, number));
                let handler = of_ours.map(|run| run.context().handler().to_owned());
                // Somebody else's code holds it: the first delivery that waits is named with it.
                let handler = handler.unwrap_or_else(|| format!("({})", sample.task));
                (of_ours.or(runs.first())?, handler, sample.at.clone())
            }
            Sampled::Nothing => return None,
            Sampled::NoLock => {
                let run = runs.first()?;
                let held_by = match runs.len() {
                    1 => run.context().handler().to_owned(),
                    _ => "(one of the handlers of this loop)".to_owned(),
                };
                (run, held_by, NO_LOCK.to_owned())
            }
        };
        let now = self.clock.monotonic().saturating_sub(asked);
        let event = run.context().event();
        let mut stall = Stall {
            subscription: Some(run.context().subscription()),
            handler,
            event: EventId(event.id.0),
            seq: event.seq,
            event_type: EventType::clone(&event.event_type),
            since: self.clock.now().before(now),
            held_ms: 0,
            class: look.class,
            cpu_ms: None,
            thread: "asyncio loop".to_owned(),
            tid,
            state: None,
            syscall: None,
            object: None,
            place: Some(place),
        };
        update(&mut stall, look, now);
        Some(stall)
    }
}

/// Where a loop is whose interpreter's lock could not be had.
const NO_LOCK: &str = "an unknown line: the interpreter's lock could not be had, C code keeps it";

/// Whether the loop only waits for the interpreter's lock, which others keep: its thread waits and
/// does not compute, and the sampling thread had to wait too. No handler is at fault.
fn waits_for_lock(sample: &Sampled, look: &ThreadLook) -> bool {
    let waited = match sample {
        Sampled::At(_, waited) => *waited >= CONTENDED,
        Sampled::NoLock => true,
        Sampled::Nothing => false,
    };
    // The lock is a futex: a thread in another call waits for something of its own.
    let in_lock = look.syscall.as_deref().is_none_or(|call| call == "futex");
    waited && in_lock && look.class != StallClass::Cpu
}

fn find(runs: &[Arc<Running>], number: u64) -> Option<&Arc<Running>> {
    runs.iter().find(|run| run.number() == number)
}

fn update(stall: &mut Stall, look: &ThreadLook, held: Duration) {
    stall.held_ms = millis(held);
    stall.class = look.class;
    stall.cpu_ms = look.cpu.map(millis);
    stall.state = look.state;
    stall.syscall.clone_from(&look.syscall);
    stall.object.clone_from(&look.object);
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// What asking Python came to.
enum Sampled {
    /// What the loop is at, and how long the question waited for the interpreter's lock.
    At(Sample, Duration),
    /// It could not be told.
    Nothing,
    /// The lock could not be had in time.
    NoLock,
}

/// Asks Python what the loop is at.
fn sample(number: u64) -> Sampled {
    let answer = ask(move |py| {
        let sampler = SAMPLER.get(py)?;
        let sampled = sampler.call1(py, (number,)).ok()?;
        sampled.extract(py).ok()
    });
    match answer {
        None => Sampled::NoLock,
        Some(answer) => answer.given.map_or(Sampled::Nothing, |sample| {
            Sampled::At(sample, answer.waited)
        }),
    }
}

/// Has Python log that a loop waits for its lock.
fn tell_lock(waited: Duration) {
    let waited = millis(waited);
    ask(move |py| {
        let module = py.import("ringrift_events._watch").ok()?;
        module.call_method1("tell_lock", (waited,)).ok().map(|_| ())
    });
}

/// Has Python log it, when the lock can be had.
fn tell(stall: &Stall, stack: &str) {
    let (handler, event) = (stall.handler.clone(), stall.event.to_string());
    let (at, stack) = (stall.place.clone(), stack.to_owned());
    let (held_ms, cpu_ms) = (stall.held_ms, stall.cpu_ms);
    // Without the lock the log file has it all the same.
    ask(move |py| {
        let module = py.import("ringrift_events._watch").ok()?;
        let arguments = (handler, event, at, held_ms, cpu_ms, stack);
        module.call_method1("tell", arguments).ok().map(|_| ())
    });
}
