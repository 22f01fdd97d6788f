//! Handlers for tests: one that notes what it saw, and a gate that handlers wait at.

use std::sync::{Arc, Mutex};

use ringrift_events::clock::{Clock, SystemClock, Time};
use ringrift_events::event::{Event, EventId, ProcessId};
use ringrift_events::handler::Function;
use tokio::sync::watch;

/// One event as a handler saw it.
#[derive(Clone, Debug)]
pub struct Sight {
    pub id: EventId,
    pub event_type: String,
    pub key: String,
    pub number: u64,
    pub seq: i64,
    pub origin: ProcessId,
    pub published_at: Time,
    pub at: Time,
    pub payload: String,
}

/// What handlers saw, in order.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<Sight>>>);

impl Seen {
    /// A handler that notes each event and succeeds.
    pub fn noting(&self) -> Function {
        let seen = self.clone();
        Function::asynchronous(move |context| {
            let seen = seen.clone();
            async move {
                seen.note(context.event());
                Ok(())
            }
        })
    }

    pub fn note(&self, event: &Event) {
        let number = event
            .payload
            .fields()
            .get("number")
            .and_then(serde_json::Value::as_u64);
        let sight = Sight {
            id: event.id,
            event_type: event.event_type.to_string(),
            key: event.key.clone().unwrap_or_default(),
            number: number.unwrap_or(0),
            seq: event.seq.map_or(0, |seq| seq.0),
            origin: event.origin,
            published_at: event.published_at,
            at: SystemClock.now(),
            payload: event.payload.as_str().to_owned(),
        };
        self.0.lock().expect("no panic").push(sight);
    }

    pub fn all(&self) -> Vec<Sight> {
        self.0.lock().expect("no panic").clone()
    }

    pub fn count(&self) -> usize {
        self.0.lock().expect("no panic").len()
    }

    pub fn distinct(&self) -> usize {
        let mut ids: Vec<EventId> = self.all().iter().map(|sight| sight.id).collect();
        ids.sort();
        ids.dedup();
        ids.len()
    }

    pub fn numbers(&self) -> Vec<u64> {
        self.all().iter().map(|sight| sight.number).collect()
    }

    pub fn of_key(&self, key: &str) -> Vec<u64> {
        let all = self.all();
        let of_key = all.iter().filter(|sight| sight.key == key);
        of_key.map(|sight| sight.number).collect()
    }

    /// The longest time from a publish to its handling, in milliseconds.
    pub fn slowest_ms(&self) -> u128 {
        let all = self.all();
        let waits = all.iter().map(|sight| sight.at.since(sight.published_at));
        waits.max().unwrap_or_default().as_millis()
    }
}

/// A gate that handlers wait at until the test opens it.
#[derive(Clone)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub fn closed() -> Gate {
        Gate(Arc::new(watch::Sender::new(false)))
    }

    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits in a task.
    pub async fn passed(&self) {
        let mut open = self.0.subscribe();
        open.wait_for(|open| *open)
            .await
            .expect("the gate stands as long as the test");
    }

    /// Waits on this thread.
    pub fn pass(&self) {
        while !*self.0.borrow() {
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
    }

    /// A handler that notes an event once the gate is open.
    pub fn hanging(&self, seen: &Seen) -> Function {
        let (gate, seen) = (self.clone(), seen.clone());
        Function::asynchronous(move |context| {
            let (gate, seen) = (gate.clone(), seen.clone());
            async move {
                gate.passed().await;
                seen.note(context.event());
                Ok(())
            }
        })
    }
}
