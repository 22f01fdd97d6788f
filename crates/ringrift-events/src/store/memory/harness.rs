//! Memory under the suite that every store passes, and as the oracle beside others.

use std::sync::Arc;

use super::MemoryHub;
use crate::clock::{ManualClock, SharedClock, Time};
use crate::event::ProcessId;
use crate::store::Store;
use crate::store::conformance::Harness;
use crate::store::registry::ProcessIdentity;

/// One home in memory, with a clock of its own.
pub(crate) struct InMemory {
    pub(crate) hub: MemoryHub,
    pub(crate) clock: Arc<ManualClock>,
}

impl InMemory {
    /// Its clock's random numbers begin with `seed`.
    pub(crate) fn new(seed: u64) -> InMemory {
        let clock = Arc::new(ManualClock::new(Time(1_767_225_600_000_000), seed));
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
