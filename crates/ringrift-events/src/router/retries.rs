//! Retries and other redeliveries: taken for hosted handlers, run for that handler alone.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Router;
use crate::clock::Time;
use crate::store::subscriptions::SubscriptionId;
use crate::store::{Error, Pending};

impl Router {
    /// When the next redelivery of a handler of this process is due; `None` when there is none.
    /// Blocks for one read: for the retry daemon's thread.
    ///
    /// # Errors
    /// The store's.
    pub fn next_due(&self) -> Result<Option<Time>, Error> {
        let hosted: Vec<SubscriptionId> = self
            .shared
            .hosts
            .all()
            .iter()
            .map(|hosted| hosted.id)
            .collect();
        if hosted.is_empty() {
            return Ok(None);
        }
        self.shared.store.next_due(hosted).wait()
    }

    /// Takes due redeliveries, as many as their handlers have room for, and starts them. Answers
    /// how many. Blocks for the transactions: for the retry daemon's thread.
    ///
    /// # Errors
    /// The store's; what was taken before is under way.
    pub fn start_due(&self) -> Result<usize, Error> {
        let shared = &self.shared;
        let mut started = 0;
        for hosted in shared.hosts.all() {
            // One may always wait for a slot, or a busy handler would never retry anything.
            let waiting = hosted.retrying.load(Ordering::SeqCst);
            let room = hosted.handler.free_slots().max(1).saturating_sub(waiting);
            if room == 0 || shared.is_stopping() {
                continue;
            }
            for redelivery in Pending::wait(shared.store.claim_due(vec![hosted.id], room))? {
                started += 1;
                hosted.retrying.fetch_add(1, Ordering::SeqCst);
                let (shared, hosted) = (Arc::clone(shared), Arc::clone(&hosted));
                shared.runtime.clone().spawn(async move {
                    let counted = Arc::clone(&hosted);
                    shared.redeliver(hosted, redelivery).await;
                    counted.retrying.fetch_sub(1, Ordering::SeqCst);
                });
            }
        }
        Ok(started)
    }
}
