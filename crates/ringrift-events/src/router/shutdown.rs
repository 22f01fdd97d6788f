//! Ending: one subscription, or all of this process.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::hosted::{Hosted, Way};
use super::{Error, Router, Shared};

/// How long a live subscription that ends by itself waits for what it runs.
const LIVE_END_GRACE: Duration = Duration::ZERO;

/// How long an end waits for what is done about a publish after its commit: it is recorded that it
/// was a duplicate, it is counted, it is logged. Microseconds, unless somebody holds the write lock.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(5);

/// How often it is looked whether retries have ended.
const IDLE_LOOK: Duration = Duration::from_millis(20);

impl Router {
    /// Ends every subscription of this process: nothing new starts, what runs has `grace` to
    /// finish, the rest is handed back. Publishing is refused from now on. Idempotent; in a forked
    /// child it does nothing.
    ///
    /// Blocks at most a little longer than `grace`, and five seconds for publishes that are not
    /// committed yet.
    pub fn shutdown(&self, grace: Duration) {
        let shared = &self.shared;
        if self.is_forked() || shared.stopping.swap(true, Ordering::SeqCst) {
            return;
        }
        shared.polling.store(false, Ordering::SeqCst);
        let until = shared.clock.monotonic() + grace;
        // Looks are counted, too: a clock of tests may stand.
        let mut looks = grace.as_millis().div_ceil(IDLE_LOOK.as_millis());
        let hosts = shared.hosts.all();
        shared.note_unended_waits(&hosts);
        for hosted in &hosts {
            if let Way::Live { joined, .. } = hosted.way {
                shared.bus.leave(joined);
            }
            hosted.end(grace);
        }
        for hosted in hosts {
            hosted.wait_started();
            hosted.wait_finished();
            while hosted.retrying.load(Ordering::SeqCst) > 0
                && shared.clock.monotonic() < until
                && looks > 0
            {
                looks -= 1;
                hosted.wait_idle(IDLE_LOOK);
            }
            Shared::forget_hosted(shared, &hosted);
        }
        // A caller that waits for its commit alone may be here before that.
        shared.in_flight.wait_empty(PUBLISHED_WITHIN);
        shared.log.flush();
    }
}

impl Shared {
    /// Ends one subscription in this process; what a durable one runs has `grace` to finish.
    pub(super) fn unhost(
        shared: &Arc<Shared>,
        hosted: &Arc<Hosted>,
        grace: Duration,
    ) -> Result<(), Error> {
        if shared.hosts.remove(hosted.id).is_none() {
            return Ok(());
        }
        match &hosted.way {
            Way::Live { joined, mailbox } => {
                shared.bus.leave(*joined);
                hosted.end(LIVE_END_GRACE);
                for event in mailbox.close() {
                    shared.waits.ended(event.id, hosted.id);
                }
                hosted.wait_started();
            }
            Way::Durable => {
                hosted.end(grace);
                hosted.wait_started();
                hosted.wait_finished();
            }
        }
        shared.keep_hosted(hosted);
        shared.log.unsubscribed(&hosted.name);
        Ok(shared.store.unsubscribe(hosted.id, None).wait()?)
    }

    /// The store's part of an end at shutdown; its failure is the sweeper's work then.
    fn forget_hosted(shared: &Arc<Shared>, hosted: &Arc<Hosted>) {
        if shared.hosts.remove(hosted.id).is_none() {
            return;
        }
        shared.keep_hosted(hosted);
        shared.log.unsubscribed(&hosted.name);
        if let Err(error) = shared.store.unsubscribe(hosted.id, None).wait() {
            shared.log.store_failed("ending a subscription", &error);
        }
    }
}
