//! What a running function knows about its delivery.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::observer::Observer;
use crate::event::{Event, Payload};
use crate::store::registry::Slot;

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
        }
    }
}

/// Most bytes of a step's name: it has to fit a process page.
const STEP_NAME_BYTES_MAX: usize = 64;

/// One run of a handler, as its function sees it. Cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    event: Arc<Event>,
    handler: Arc<str>,
    attempt: u32,
    observer: Arc<dyn Observer>,
    slot: Option<Slot>,
    step: Mutex<Option<String>>,
}

impl Context {
    pub(super) fn new(
        event: Arc<Event>,
        handler: Arc<str>,
        attempt: u32,
        observer: Arc<dyn Observer>,
        slot: Option<Slot>,
    ) -> Context {
        Context(Arc::new(Inner {
            event,
            handler,
            attempt,
            observer,
            slot,
            step: Mutex::new(None),
        }))
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &Arc<Event> {
        &self.0.event
    }

    /// The event's payload.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.0.event.payload
    }

    /// The handler's name, which is its subscription's.
    #[must_use]
    pub fn handler(&self) -> &str {
        &self.0.handler
    }

    /// Which attempt this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// Names the step that begins now, until the next one or the end. A time-out, a failure and
    /// `ringrift processes show` then say what the handler was at. Names are cut at 64 bytes.
    pub fn step(&self, kind: StepKind, name: &str) {
        let name = &name[..name.floor_char_boundary(STEP_NAME_BYTES_MAX)];
        let step = format!("{}:{name}", kind.as_str());
        if let Some(slot) = self.0.slot {
            self.0.observer.step(slot, &step);
        }
        *self.0.step.lock().unwrap_or_else(PoisonError::into_inner) = Some(step);
    }

    pub(super) fn current_step(&self) -> Option<String> {
        self.0
            .step
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn slot(&self) -> Option<Slot> {
        self.0.slot
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("handler", &self.0.handler)
            .field("event", &self.0.event.id)
            .field("attempt", &self.0.attempt)
            .finish_non_exhaustive()
    }
}
