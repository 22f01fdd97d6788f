//! `CrossProcessEventQueue`: the queue as operators and other rooms use it.

use std::sync::Arc;

use crate::event::{Event, Seq, bounded_by};
use crate::store::log::{Appended, Batch, Draft, Durability, OnCommit, TypeSet};
use crate::store::{Error, Pending, Store};

/// The durable log between processes. Cheap to clone.
#[derive(Clone)]
pub struct CrossProcessEventQueue {
    store: Arc<dyn Store>,
    durability: Durability,
}

impl CrossProcessEventQueue {
    /// The queue of `store`, acknowledging with `durability`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, durability: Durability) -> CrossProcessEventQueue {
        CrossProcessEventQueue { store, durability }
    }

    /// Commits events in one transaction; `then` as in [`crate::store::Log::append`].
    pub fn append(&self, drafts: Vec<Draft>, then: Option<OnCommit>) -> Pending<Vec<Appended>> {
        self.store.append(self.batch(drafts), then)
    }

    /// The same for a caller that is going to wait on this thread, as
    /// [`crate::store::Log::append_here`].
    pub fn append_here(
        &self,
        drafts: Vec<Draft>,
        then: Option<OnCommit>,
    ) -> Pending<Vec<Appended>> {
        self.store.append_here(self.batch(drafts), then)
    }

    fn batch(&self, drafts: Vec<Draft>) -> Batch {
        Batch {
            drafts,
            durability: self.durability,
        }
    }

    /// Events after `after`, in log order, and the place up to which was read.
    ///
    /// # Errors
    /// As [`crate::store::Log::read`].
    pub fn read(
        &self,
        after: Seq,
        types: TypeSet,
        limit: usize,
    ) -> Result<(Vec<Arc<Event>>, Seq), Error> {
        self.store.read(after, types, limit).wait()
    }

    /// How many events some durable subscription owes or no poller has passed; equal to the
    /// public SQL's `acked = 0`. Blocks for one read.
    ///
    /// # Errors
    /// The store's, as [`crate::store::Upkeep::count_pending`].
    pub fn count_pending(&self) -> Result<u64, Error> {
        self.store.count_pending().wait()
    }

    /// Deletes the pending events; [`CrossProcessEventQueue::restore`] brings them back.
    ///
    /// # Errors
    /// The store's, as [`crate::store::Upkeep::clear_queue`].
    pub fn clear(&self, by: &str) -> Result<u64, Error> {
        self.store.clear_queue(bounded_by(by), false).wait()
    }

    /// Brings deleted events back; what was owed of them becomes due again.
    ///
    /// # Errors
    /// The store's, as [`crate::store::Upkeep::restore_queue`].
    pub fn restore(&self, by: &str) -> Result<u64, Error> {
        self.store.restore_queue(bounded_by(by), false).wait()
    }
}
