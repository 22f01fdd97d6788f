//! What a running function knows about its delivery.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::dedup::RanBefore;
use super::foreign::Foreign;
use super::named::Handler;
use super::observer::Observer;
use super::own_dedup::Found;
use super::policy::Dedup;
use super::run::Delivery;
use super::thread_state;
use crate::clock::SharedClock;
use crate::event::{Event, Payload};
use crate::store::registry::Slot;
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::{Effort, STEPS_MAX, ThreadAt};

/// What a step waits for: what a time-out is blamed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepKind {
    /// A database.
    Db,
    /// The network.
    Network,
    /// Files.
    Disk,
    /// The processor.
    Compute,
    /// Another program.
    Command,
}

impl StepKind {
    /// The kind as it stands before the colon of a step.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StepKind::Db => "db",
            StepKind::Network => "network",
            StepKind::Disk => "disk",
            StepKind::Compute => "compute",
            StepKind::Command => "command",
        }
    }
}

/// Most bytes of a step's name: it has to fit a process page.
const STEP_NAME_BYTES_MAX: usize = 64;

/// One run of a handler, as its function sees it. Cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    delivery: Delivery,
    handler: Arc<Handler>,
    observer: Arc<dyn Observer>,
    slot: Option<Slot>,
    clock: SharedClock,
    /// Who runs it, if its function is another language's.
    foreign: Mutex<Option<Arc<dyn Foreign>>>,
    /// What it found by a dedup of its own.
    found: Mutex<Found>,
    /// Its host measures what it uses: what its future uses here is nothing beside that.
    is_measured: AtomicBool,
    /// The last steps, oldest first, each with the monotonic moment of its begin.
    steps: Mutex<VecDeque<(String, Duration)>>,
    polls: AtomicU64,
    busy_us: AtomicU64,
    /// Processor time and 1; 0: not measured.
    cpu_us: AtomicU64,
    /// The thread that a blocking run has for itself; 0: none.
    tid: AtomicU32,
    /// What that thread had used when it began.
    thread_cpu_us: AtomicU64,
}

impl Context {
    pub(super) fn new(handler: &Arc<Handler>, delivery: Delivery, slot: Option<Slot>) -> Context {
        Context(Arc::new(Inner {
            delivery,
            observer: Arc::clone(&handler.host.observer),
            clock: Arc::clone(&handler.host.clock),
            handler: Arc::clone(handler),
            slot,
            foreign: Mutex::default(),
            found: Mutex::default(),
            is_measured: AtomicBool::new(false),
            steps: Mutex::default(),
            polls: AtomicU64::new(0),
            busy_us: AtomicU64::new(0),
            cpu_us: AtomicU64::new(0),
            tid: AtomicU32::new(0),
            thread_cpu_us: AtomicU64::new(0),
        }))
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &Arc<Event> {
        &self.0.delivery.event
    }

    /// The event's payload.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.0.delivery.event.payload
    }

    /// The handler's name, which is its subscription's.
    #[must_use]
    pub fn handler(&self) -> &str {
        &self.0.handler.name
    }

    /// The subscription, as the store names it.
    #[must_use]
    pub fn subscription(&self) -> SubscriptionId {
        self.0.delivery.subscription
    }

    /// Which attempt this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.delivery.attempt
    }

    /// Names the step that begins now, until the next one or the end. A time-out, a failure and
    /// `ringrift processes show` then say what the handler was at. Names are cut at 64 bytes.
    pub fn step(&self, kind: StepKind, name: &str) {
        let name = &name[..name.floor_char_boundary(STEP_NAME_BYTES_MAX)];
        let step = format!("{}:{name}", kind.as_str());
        if let Some(slot) = self.0.slot {
            self.0.observer.step(slot, &step);
        }
        let mut steps = lock(&self.0.steps);
        if steps.len() == STEPS_MAX {
            steps.pop_front();
        }
        steps.push_back((step, self.0.clock.monotonic()));
    }

    /// Says who runs it: the host of another language's function.
    pub fn run_by(&self, host: Arc<dyn Foreign>) {
        *lock(&self.0.foreign) = Some(host);
    }

    pub(super) fn foreign(&self) -> Option<Arc<dyn Foreign>> {
        lock(&self.0.foreign).clone()
    }

    /// Says what the run has used so far where its host runs it: how often it was resumed, how long it
    /// held its thread, and the processor time of that.
    pub fn used(&self, turns: u64, busy: Duration, cpu: Duration) {
        self.0.is_measured.store(true, Ordering::Relaxed);
        let us = u64::try_from(busy.as_micros()).unwrap_or(u64::MAX);
        self.0.polls.store(turns, Ordering::Relaxed);
        self.0.busy_us.store(us, Ordering::Relaxed);
        self.used_cpu(cpu);
        self.tell_effort();
    }

    pub(super) fn is_measured(&self) -> bool {
        self.0.is_measured.load(Ordering::Relaxed)
    }

    /// Says that the function looks for duplicates by itself, and by what: as a policy would. Without
    /// fields it knows the event itself again.
    pub fn dedups_by(&self, dedup: Dedup) {
        self.0.handler.own_dedup.tell(dedup);
    }

    /// Says that the event lacks a payload field of the function's own dedup key.
    pub fn lacks_field(&self, field: &str) {
        lock(&self.0.found).missing_field = Some(field.to_owned());
    }

    /// Says that the same key of the function's own dedup ran before, and its window had ended.
    pub fn ran_before(&self, before: RanBefore) {
        lock(&self.0.found).ran_before = Some(before);
    }

    pub(super) fn found(&self) -> Found {
        lock(&self.0.found).clone()
    }

    pub(super) fn current_step(&self) -> Option<String> {
        lock(&self.0.steps).back().map(|(step, _)| step.clone())
    }

    /// The last steps and the milliseconds each took, the present one up to now.
    pub(super) fn steps(&self) -> Vec<(String, u64)> {
        let steps = lock(&self.0.steps);
        let begins = steps.iter().skip(1).map(|(_, begin)| *begin);
        let ends = begins.chain([self.0.clock.monotonic()]);
        let took = steps.iter().zip(ends).map(|((step, begin), end)| {
            let took = end.saturating_sub(*begin).as_millis();
            (step.clone(), u64::try_from(took).unwrap_or(u64::MAX))
        });
        took.collect()
    }

    /// Notes that the run was polled once more and held its thread so long.
    pub(super) fn polled(&self, busy: Duration) {
        self.0.polls.fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(busy.as_micros()).unwrap_or(u64::MAX);
        self.0.busy_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Notes the processor time of the whole run so far.
    pub(super) fn used_cpu(&self, cpu: Duration) {
        let us = u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX - 1);
        self.0.cpu_us.store(us + 1, Ordering::Relaxed);
    }

    /// Notes that the run has this thread for itself, which had used so much processor time.
    pub(super) fn on_thread(&self, tid: u32, cpu_before: Duration) {
        let us = u64::try_from(cpu_before.as_micros()).unwrap_or(u64::MAX);
        self.0.thread_cpu_us.store(us, Ordering::Relaxed);
        self.0.tid.store(tid, Ordering::Release);
    }

    /// What the run has used so far.
    pub(super) fn effort(&self) -> Effort {
        Effort {
            polls: self.0.polls.load(Ordering::Relaxed),
            busy_us: self.0.busy_us.load(Ordering::Relaxed),
            cpu_us: self.0.cpu_us.load(Ordering::Relaxed).checked_sub(1),
        }
    }

    /// Looks what the thread that a given-up run has for itself has used.
    pub(super) fn look_at_thread(&self) {
        let tid = self.0.tid.load(Ordering::Acquire);
        let before = Duration::from_micros(self.0.thread_cpu_us.load(Ordering::Relaxed));
        if tid != 0
            && let Some(used) = thread_state::used(tid)
        {
            self.used_cpu(used.run.saturating_sub(before));
        }
        self.tell_effort();
    }

    /// What the thread that a blocking run has for itself is at; none for other runs.
    pub(super) fn thread(&self) -> Option<ThreadAt> {
        let tid = self.0.tid.load(Ordering::Acquire);
        (tid != 0).then(|| {
            let doing = thread_state::doing(tid);
            ThreadAt {
                state: doing.state,
                syscall: doing.syscall,
                object: doing.object,
            }
        })
    }

    /// Tells the observer what the run has used so far.
    pub(super) fn tell_effort(&self) {
        if let Some(slot) = self.0.slot {
            self.0.observer.progress(slot, self.effort());
        }
    }

    pub(super) fn slot(&self) -> Option<Slot> {
        self.0.slot
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("handler", &self.0.handler.name)
            .field("event", &self.0.delivery.event.id)
            .field("attempt", &self.0.delivery.attempt)
            .finish_non_exhaustive()
    }
}
