//! The handle on a subscription of this process.

use std::sync::Arc;
use std::time::Duration;

use super::hosted::Hosted;
use super::{Error, Shared};
use crate::event::bounded_by;
use crate::handler::{RecentError, Stats};
use crate::store::subscriptions::{Definition, SubscriptionId};

/// A subscription of this process. Cheap to clone; dropping it changes nothing.
#[derive(Clone)]
pub struct Subscription {
    shared: Arc<Shared>,
    hosted: Arc<Hosted>,
}

impl Subscription {
    pub(super) fn new(shared: Arc<Shared>, hosted: Arc<Hosted>) -> Subscription {
        Subscription { shared, hosted }
    }

    /// Its id in the store.
    #[must_use]
    pub fn id(&self) -> SubscriptionId {
        self.hosted.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.hosted.name
    }

    /// Whether it stood already when this process subscribed: then it goes on where it was, and
    /// where to begin was not looked at.
    #[must_use]
    pub fn existed(&self) -> bool {
        self.hosted.existed
    }

    /// What its name stands for.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.hosted.definition
    }

    /// What its handler has done in this process.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.hosted.handler.stats()
    }

    /// The last errors of its handler in this process, newest first, at most `limit`.
    #[must_use]
    pub fn recent_errors(&self, limit: usize) -> Vec<RecentError> {
        self.hosted.handler.recent_errors(limit)
    }

    /// Ends it in this process: no call starts after this returns. A live one is over; a durable
    /// one hands back what did not start, and goes on in other processes or later.
    ///
    /// Blocks for the hand-over, at most the shutdown's grace. Idempotent.
    ///
    /// # Errors
    /// The store's; the calls have stopped all the same.
    pub fn unsubscribe(&self) -> Result<(), Error> {
        self.unsubscribe_within(self.shared.settings.shutdown_grace)
    }

    /// The same; what a durable one runs has `grace` to finish, and is handed back then.
    ///
    /// # Errors
    /// As [`Subscription::unsubscribe`].
    pub fn unsubscribe_within(&self, grace: Duration) -> Result<(), Error> {
        Shared::unhost(&self.shared, &self.hosted, grace)
    }

    /// Ends its calls: none starts after this returns, and what runs has `grace` to finish. It is
    /// unsubscribed by [`Subscription::unsubscribe_within`] with the same grace, which waits for
    /// that. Never waits.
    pub fn stop_calls(&self, grace: Duration) {
        self.hosted.end(grace);
    }

    /// Stops new claims of a durable subscription everywhere; open ones finish.
    ///
    /// # Errors
    /// The store's.
    pub fn pause(&self, by: &str) -> Result<bool, Error> {
        Ok(self
            .shared
            .store
            .pause(self.hosted.id, true, bounded_by(by))
            .wait()?)
    }

    /// Lets a paused subscription go on.
    ///
    /// # Errors
    /// The store's.
    pub fn resume(&self, by: &str) -> Result<bool, Error> {
        let resumed = self
            .shared
            .store
            .pause(self.hosted.id, false, bounded_by(by))
            .wait()?;
        self.shared.store.ring();
        self.hosted.tell_news();
        Ok(resumed)
    }
}
