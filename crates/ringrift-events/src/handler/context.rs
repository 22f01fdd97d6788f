//! What a running function knows about its delivery.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::dedup::RanBefore;
use super::foreign::Foreign;
use super::named::{Handler, Host};
use super::own_dedup::Found;
use super::policy::Dedup;
use super::run::Delivery;
use super::thread_state;
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
    handler: Arc<Handler>,
    delivery: Delivery,
    slot: Option<Slot>,
    /// What the function told of its run; most tell nothing.
    told: Mutex<Told>,
    has_told: AtomicBool,
    used: Used,
}

#[derive(Default)]
struct Told {
    /// Who runs it, if its function is another language's.
    foreign: Option<Arc<dyn Foreign>>,
    /// What it found by a dedup of its own.
    found: Found,
    /// The last steps, oldest first, each with the monotonic moment of its begin.
    steps: VecDeque<(String, Duration)>,
}

/// What the run has used so far.
#[derive(Default)]
struct Used {
    /// Its host measures it: what its future uses here is nothing beside that.
    is_measured: AtomicBool,
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
            handler: Arc::clone(handler),
            delivery,
            slot,
            told: Mutex::default(),
            has_told: AtomicBool::new(false),
            used: Used::default(),
        }))
    }

    /// Makes this the context of the handler's next run, unless somebody keeps it still.
    pub(super) fn renew(&mut self, delivery: Delivery, slot: Option<Slot>) {
        let Some(inner) = Arc::get_mut(&mut self.0) else {
            *self = Context::new(&self.0.handler, delivery, slot);
            return;
        };
        (inner.delivery, inner.slot) = (delivery, slot);
        if std::mem::take(inner.has_told.get_mut()) {
            inner.told = Mutex::default();
        }
        inner.used = Used::default();
    }

    pub(super) fn delivery(&self) -> &Delivery {
        &self.0.delivery
    }

    pub(super) fn of_handler(&self) -> &Arc<Handler> {
        &self.0.handler
    }

    /// Whether the function told anything of its run.
    pub(super) fn has_told(&self) -> bool {
        self.0.has_told.load(Ordering::Acquire)
    }

    fn tell(&self) -> MutexGuard<'_, Told> {
        self.0.has_told.store(true, Ordering::Release);
        self.told()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn host(&self) -> &Host {
        &self.0.handler.host
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
            self.host().observer.step(slot, &step);
        }
        let steps = &mut self.tell().steps;
        if steps.len() == STEPS_MAX {
            steps.pop_front();
        }
        steps.push_back((step, self.host().clock.monotonic()));
    }

    /// Says who runs it: the host of another language's function.
    pub fn run_by(&self, host: Arc<dyn Foreign>) {
        self.tell().foreign = Some(host);
    }

    pub(super) fn foreign(&self) -> Option<Arc<dyn Foreign>> {
        self.told().foreign.clone()
    }

    /// Says what the run has used so far where its host runs it: how often it was resumed, how long it
    /// held its thread, and the processor time of that.
    pub fn used(&self, turns: u64, busy: Duration, cpu: Duration) {
        self.0.used.is_measured.store(true, Ordering::Relaxed);
        let us = u64::try_from(busy.as_micros()).unwrap_or(u64::MAX);
        self.0.used.polls.store(turns, Ordering::Relaxed);
        self.0.used.busy_us.store(us, Ordering::Relaxed);
        self.used_cpu(cpu);
        self.tell_effort();
    }

    pub(super) fn is_measured(&self) -> bool {
        self.0.used.is_measured.load(Ordering::Relaxed)
    }

    /// Says that the function looks for duplicates by itself, and by what: as a policy would. Without
    /// fields it knows the event itself again.
    pub fn dedups_by(&self, dedup: Dedup) {
        self.0.handler.own_dedup.tell(dedup);
    }

    /// Says that the event lacks a payload field of the function's own dedup key.
    pub fn lacks_field(&self, field: &str) {
        self.tell().found.missing_field = Some(field.to_owned());
    }

    /// Says that the same key of the function's own dedup ran before, and its window had ended.
    pub fn ran_before(&self, before: RanBefore) {
        self.tell().found.ran_before = Some(before);
    }

    pub(super) fn found(&self) -> Found {
        self.told().found.clone()
    }

    pub(super) fn current_step(&self) -> Option<String> {
        self.told().steps.back().map(|(step, _)| step.clone())
    }

    /// The last steps and the milliseconds each took, the present one up to now.
    pub(super) fn steps(&self) -> Vec<(String, u64)> {
        let steps = &self.told().steps;
        let begins = steps.iter().skip(1).map(|(_, begin)| *begin);
        let ends = begins.chain([self.host().clock.monotonic()]);
        let took = steps.iter().zip(ends).map(|((step, begin), end)| {
            let took = end.saturating_sub(*begin).as_millis();
            (step.clone(), u64::try_from(took).unwrap_or(u64::MAX))
        });
        took.collect()
    }

    /// Notes that the run was polled once more and held its thread so long.
    pub(super) fn polled(&self, busy: Duration) {
        self.0.used.polls.fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(busy.as_micros()).unwrap_or(u64::MAX);
        self.0.used.busy_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Notes the processor time of the whole run so far.
    pub(super) fn used_cpu(&self, cpu: Duration) {
        let us = u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX - 1);
        self.0.used.cpu_us.store(us + 1, Ordering::Relaxed);
    }

    /// Notes that the run has this thread for itself, which had used so much processor time.
    pub(super) fn on_thread(&self, tid: u32, cpu_before: Duration) {
        let us = u64::try_from(cpu_before.as_micros()).unwrap_or(u64::MAX);
        self.0.used.thread_cpu_us.store(us, Ordering::Relaxed);
        self.0.used.tid.store(tid, Ordering::Release);
    }

    /// What the run has used so far.
    pub(super) fn effort(&self) -> Effort {
        Effort {
            polls: self.0.used.polls.load(Ordering::Relaxed),
            busy_us: self.0.used.busy_us.load(Ordering::Relaxed),
            cpu_us: self.0.used.cpu_us.load(Ordering::Relaxed).checked_sub(1),
        }
    }

    /// Looks what the thread that a given-up run has for itself has used.
    pub(super) fn look_at_thread(&self) {
        let tid = self.0.used.tid.load(Ordering::Acquire);
        let before = Duration::from_micros(self.0.used.thread_cpu_us.load(Ordering::Relaxed));
        if tid != 0
            && let Some(used) = thread_state::used(tid)
        {
            self.used_cpu(used.run.saturating_sub(before));
        }
        self.tell_effort();
    }

    /// What the thread that a blocking run has for itself is at; none for other runs.
    pub(super) fn thread(&self) -> Option<ThreadAt> {
        let tid = self.0.used.tid.load(Ordering::Acquire);
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
            self.host().observer.progress(slot, self.effort());
        }
    }

    pub(super) fn slot(&self) -> Option<Slot> {
        self.0.slot
    }
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
