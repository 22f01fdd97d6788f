//! Random operations on SQLite and on memory: equal results and equal errors.

use std::sync::Arc;

use super::conformance::OnDisk;
use crate::clock::{ManualClock, SharedClock, Time};
use crate::event::ProcessId;
use crate::store::Store;
use crate::store::conformance::{Harness, compare};
use crate::store::memory::MemoryHub;
use crate::store::registry::ProcessIdentity;

/// The oracle.
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
        self.hub.open(ProcessIdentity {
            id: ProcessId::new(&*self.clock),
            host: "here".to_owned(),
            pid: 1,
            command: "test".to_owned(),
            started_at: Time(0),
            catalog_hash: 0,
            version: "0".to_owned(),
        })
    }

    fn kill(&self, process: &Arc<dyn Store>) {
        self.hub.kill(process.process());
    }

    fn hang(&self, process: &Arc<dyn Store>) {
        self.hub.hang(process.process());
    }
}

const SEEDS: u64 = 12;
const STEPS: usize = 200;

/// Replay one seed with `RINGRIFT_SEED=n cargo test -p ringrift-events --lib compared`.
#[test]
fn sqlite_and_memory_answer_alike() {
    let one = std::env::var("RINGRIFT_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seeds = one.map_or(1..=SEEDS, |seed: u64| seed..=seed);
    for seed in seeds {
        if let Err(broken) = compare(seed, STEPS, &InMemory::new(), &OnDisk::new()) {
            panic!("{broken}");
        }
    }
}
