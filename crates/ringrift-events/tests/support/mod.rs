//! What several integration tests need: simulated processes over one memory store, a handler that
//! notes what it saw, and a bounded wait for a fact.

#![expect(unreachable_pub, reason = "test files of their own crates use it")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringrift_events::clock::{Clock, SharedClock, SystemClock};
use ringrift_events::config::{Config, Home};
use ringrift_events::event::{Event, EventId};
use ringrift_events::handler::Function;
use ringrift_events::store::memory::MemoryHub;
use ringrift_events::system::{System, this_process};

/// One store in memory and the processes that share it.
pub struct World {
    hub: MemoryHub,
    clock: SharedClock,
    folder: tempfile::TempDir,
}

impl World {
    pub fn new() -> World {
        let clock: SharedClock = Arc::new(SystemClock);
        World {
            hub: MemoryHub::new(Arc::clone(&clock)),
            clock,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// A further process of the same home.
    pub fn process(&self) -> System {
        let config = Config::defaults(Home::at(self.folder.path()));
        let store = self.hub.open(this_process(&*self.clock));
        System::over(config, store, Arc::clone(&self.clock)).expect("a system")
    }
}

/// What a handler saw, in order.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<(EventId, String, u64)>>>);

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
        let key = event.key.clone().unwrap_or_default();
        self.0
            .lock()
            .expect("no panic")
            .push((event.id, key, number.unwrap_or(0)));
    }

    pub fn count(&self) -> usize {
        self.0.lock().expect("no panic").len()
    }

    pub fn distinct(&self) -> usize {
        let mut ids: Vec<EventId> = self
            .0
            .lock()
            .expect("no panic")
            .iter()
            .map(|seen| seen.0)
            .collect();
        ids.sort();
        ids.dedup();
        ids.len()
    }

    pub fn of_key(&self, key: &str) -> Vec<u64> {
        let seen = self.0.lock().expect("no panic");
        seen.iter()
            .filter(|seen| seen.1 == key)
            .map(|seen| seen.2)
            .collect()
    }
}

/// Waits for a fact, at most twenty seconds; fails with its name.
#[track_caller]
pub fn until(what: &str, fact: impl Fn() -> bool) {
    let clock = SystemClock;
    let give_up = clock.monotonic() + Duration::from_secs(20);
    while !fact() {
        assert!(
            clock.monotonic() < give_up,
            "it never came true that {what}"
        );
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
