//! What this room's tests share: events, a host, and an observer that writes down what it is told.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use uuid::Uuid;

use super::admit::{Admission, Ticket};
use super::named::{Handler, Host};
use super::observer::Observer;
use super::policy::Policy;
use super::run::{Delivery, Ran};
use super::{Function, Watch};
use crate::clock::{SharedClock, SystemClock, Time};
use crate::event::{Event, EventId, EventType, Payload, ProcessId, TraceId};
use crate::store::registry::{Recent, Running, Slot};
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::Code;

pub(super) fn event(id: u128, event_type: &str, payload: &str) -> Arc<Event> {
    Arc::new(Event {
        id: EventId(Uuid::from_u128(id)),
        event_type: EventType::from_canonical(event_type),
        payload: Payload::from_checked(payload),
        source: "test".into(),
        key: None,
        published_at: Time(1),
        trace_id: TraceId(Uuid::from_u128(99)),
        parent_id: None,
        depth: 3,
        origin: ProcessId(Uuid::nil()),
        stage: None,
        seq: None,
    })
}

pub(super) fn delivery(event: &Arc<Event>) -> Delivery {
    Delivery {
        event: Arc::clone(event),
        subscription: SubscriptionId(1),
        attempt: 1,
    }
}

/// What an observer was told, in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    Started(EventId),
    Step(String),
    Abandoned,
    Ended(Code),
}

#[derive(Default)]
pub(super) struct Notebook(Mutex<Vec<Told>>);

impl Notebook {
    pub(super) fn told(&self) -> Vec<Told> {
        self.0.lock().unwrap().clone()
    }

    fn note(&self, told: Told) {
        self.0.lock().unwrap().push(told);
    }
}

impl Observer for Notebook {
    fn started(&self, running: Running) -> Option<Slot> {
        self.note(Told::Started(running.event));
        Some(Slot(7))
    }

    fn next(&self, slot: Option<Slot>, running: Running) -> Option<Slot> {
        assert_eq!(slot, Some(Slot(7)));
        self.started(running)
    }

    fn vacant(&self, slot: Option<Slot>) {
        assert_eq!(slot, Some(Slot(7)));
    }

    fn recent(&self, recent: &[Recent]) {
        for one in recent {
            self.note(Told::Ended(one.code));
        }
    }

    fn step(&self, slot: Slot, step: &str) {
        assert_eq!(slot, Slot(7));
        self.note(Told::Step(step.to_owned()));
    }

    fn abandoned(&self, slot: Slot) {
        assert_eq!(slot, Slot(7));
        self.note(Told::Abandoned);
    }

    fn ended(&self, slot: Option<Slot>, recent: Recent) {
        assert_eq!(slot, Some(Slot(7)));
        self.note(Told::Ended(recent.code));
    }
}

/// A runtime, a host on it, and the notebook of what ran.
pub(super) struct Stage {
    pub(super) runtime: tokio::runtime::Runtime,
    pub(super) host: Arc<Host>,
    pub(super) notes: Arc<Notebook>,
}

impl Stage {
    pub(super) fn new() -> Stage {
        Stage::with(Arc::new(SystemClock), Duration::from_secs(60))
    }

    pub(super) fn with(clock: SharedClock, held_max: Duration) -> Stage {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        let notes = Arc::new(Notebook::default());
        let host = Host {
            watch: Watch::new(Arc::clone(&clock), held_max, Box::new(|_| {})),
            observer: Arc::clone(&notes) as Arc<dyn Observer>,
            ..Host::new(clock, runtime.handle().clone())
        };
        Stage {
            runtime,
            host: Arc::new(host),
            notes,
        }
    }

    pub(super) fn handler(&self, function: Function, policy: Policy) -> Arc<Handler> {
        Handler::new("evaluator", function, policy, Arc::clone(&self.host))
    }

    /// Runs a future on the runtime; whatever takes ten seconds hangs.
    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(10), future)
                .await
                .expect("nothing here takes ten seconds")
        })
    }

    /// Admits and runs one event.
    pub(super) fn run(&self, handler: &Arc<Handler>, event: &Arc<Event>) -> Ran {
        self.block_on(async {
            let ticket = ticket(handler.admit(event).await);
            handler.run(delivery(event), ticket).await
        })
    }
}

pub(super) fn ticket(admission: Admission) -> Ticket {
    match admission {
        Admission::Run(ticket) => ticket,
        Admission::Duplicate(outcome) => panic!("expected a ticket, got {outcome:?}"),
    }
}

/// Waits until something is so, at most five seconds.
pub(super) fn until(what: &str, so: impl Fn() -> bool) {
    let (lock, condition) = (Mutex::new(()), std::sync::Condvar::new());
    for _ in 0..5_000 {
        if so() {
            return;
        }
        let guard = lock.lock().unwrap();
        drop(
            condition
                .wait_timeout(guard, Duration::from_millis(1))
                .unwrap(),
        );
    }
    panic!("{what} did not come to be within five seconds");
}
