//! The suite that every store passes, on memory.

use std::sync::Arc;

use super::{MemoryHub, MemoryStore};
use crate::clock::{ManualClock, SharedClock, Time};
use crate::event::ProcessId;
use crate::store::Store;
use crate::store::conformance::{Harness, compare, promises, run};
use crate::store::registry::ProcessIdentity;

struct InMemory {
    hub: MemoryHub,
    clock: Arc<ManualClock>,
}

impl InMemory {
    fn new() -> InMemory {
        let clock = Arc::new(ManualClock::new(Time(1_767_225_600_000_000), 11));
        let shared: SharedClock = clock.clone();
        InMemory {
            hub: MemoryHub::new(shared),
            clock,
        }
    }
}

impl Harness for InMemory {
    fn clock(&self) -> &Arc<ManualClock> {
        &self.clock
    }

    fn open(&self) -> Arc<dyn Store> {
        let store: Arc<MemoryStore> = self.hub.open(ProcessIdentity {
            id: ProcessId::new(&*self.clock),
            host: "here".to_owned(),
            pid: 1,
            command: "test".to_owned(),
            started_at: Time(0),
            catalog_hash: 0,
            version: "0".to_owned(),
        });
        store
    }

    fn kill(&self, process: &Arc<dyn Store>) {
        self.hub.kill(process.process());
    }

    fn hang(&self, process: &Arc<dyn Store>) {
        self.hub.hang(process.process());
    }
}

#[test]
fn memory_keeps_every_promise() {
    let broken = run("", InMemory::new);
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_promise_has_a_name_of_its_own() {
    let mut names: Vec<&str> = promises().iter().map(|promise| promise.name).collect();
    assert!(names.len() > 80, "only {} promises", names.len());
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), promises().len());
}

#[test]
fn two_memories_never_differ() {
    for seed in 1..=20 {
        let [one, two] = [InMemory::new(), InMemory::new()];
        if let Err(broken) = compare(seed, 300, &one, &two) {
            panic!("{broken}");
        }
    }
}
