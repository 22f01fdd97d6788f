//! Who is told, at once, what handlers run: the process page, so that other processes see it.

use std::sync::Arc;

use crate::store::Store;
use crate::store::registry::{Recent, Running, Slot};
use crate::verdict::Effort;

/// Is told about every run while it happens. Never waits.
pub trait Observer: Send + Sync + 'static {
    /// A run begins. The slot names it in later calls.
    fn started(&self, running: Running) -> Option<Slot>;

    /// The run in this slot has ended, told later by [`Observer::recent`], and another one begins in
    /// its place.
    fn next(&self, slot: Option<Slot>, running: Running) -> Option<Slot>;

    /// The run in this slot has ended, told by [`Observer::recent`], and none follows.
    fn vacant(&self, slot: Option<Slot>);

    /// What came of runs that have ended, oldest first.
    fn recent(&self, recent: &[Recent]);

    /// The run is in this step now, as `kind:name`.
    fn step(&self, slot: Slot, step: &str);

    /// The run was given up; its thread goes on.
    fn abandoned(&self, slot: Slot);

    /// The run has used this much so far; told for long ones only, now and then.
    fn progress(&self, slot: Slot, effort: Effort) {
        // Whoever only counts runs need not know.
        let _unwatched = (slot, effort);
    }

    /// The run has really ended.
    fn ended(&self, slot: Option<Slot>, recent: Recent);
}

/// Tells the store's process page.
pub struct StoreObserver(pub Arc<dyn Store>);

impl Observer for StoreObserver {
    fn started(&self, running: Running) -> Option<Slot> {
        self.0.started(running)
    }

    fn next(&self, slot: Option<Slot>, running: Running) -> Option<Slot> {
        self.0.next(slot, running)
    }

    fn vacant(&self, slot: Option<Slot>) {
        self.0.vacant(slot);
    }

    fn recent(&self, recent: &[Recent]) {
        self.0.recent(recent);
    }

    fn step(&self, slot: Slot, step: &str) {
        self.0.step(slot, step);
    }

    fn abandoned(&self, slot: Slot) {
        self.0.abandoned(slot);
    }

    fn progress(&self, slot: Slot, effort: Effort) {
        self.0.progress(slot, effort);
    }

    fn ended(&self, slot: Option<Slot>, recent: Recent) {
        self.0.ended(slot, recent);
    }
}

/// Tells nobody: for measurements and for handlers outside any store.
#[derive(Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn started(&self, _running: Running) -> Option<Slot> {
        None
    }

    fn next(&self, _slot: Option<Slot>, _running: Running) -> Option<Slot> {
        None
    }

    fn vacant(&self, _slot: Option<Slot>) {}

    fn recent(&self, _recent: &[Recent]) {}

    fn step(&self, _slot: Slot, _step: &str) {}

    fn abandoned(&self, _slot: Slot) {}

    fn ended(&self, _slot: Option<Slot>, _recent: Recent) {}
}
