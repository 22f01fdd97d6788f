//! Which subscriptions of one system run on which loop, so that they end with it.
//!
//! A loop that is closed runs nothing any more. Its subscriptions end in this process: what durable
//! ones had claimed goes back, and waits for a process that hosts them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use ringrift_events::router::Subscription;
use ringrift_events::store::subscriptions::SubscriptionId;

use crate::inbox::Inbox;

/// How long an end waits for runs whose loop is gone: they are answered at once, and this is for
/// the runtime to hear of it.
const GRACE: Duration = Duration::from_secs(1);

/// The loops of one system's subscriptions.
#[derive(Default)]
pub(crate) struct Loops {
    all: Mutex<Vec<OfLoop>>,
    /// Threads that end subscriptions.
    ending: Mutex<Vec<JoinHandle<()>>>,
}

struct OfLoop {
    inbox: Weak<Inbox>,
    hosted: Vec<Subscription>,
}

impl Loops {
    /// Knows this loop from now on.
    pub(crate) fn add(self: &Arc<Loops>, inbox: &Arc<Inbox>) {
        inbox.tell_end_to(self);
        let mut all = self.lock();
        all.retain(|one| one.inbox.strong_count() > 0 || !one.hosted.is_empty());
        if !all.iter().any(|one| one.is(inbox)) {
            all.push(OfLoop {
                inbox: Arc::downgrade(inbox),
                hosted: Vec::new(),
            });
        }
    }

    /// The subscription ends with this loop, which may have ended meanwhile.
    pub(crate) fn host(self: &Arc<Loops>, inbox: &Arc<Inbox>, subscription: Subscription) {
        if let Some(one) = self.lock().iter_mut().find(|one| one.is(inbox)) {
            one.hosted.push(subscription);
        }
        if inbox.is_closed() {
            self.stop(inbox);
            self.end(inbox);
        }
    }

    /// The subscription has ended by itself.
    pub(crate) fn forget(&self, id: SubscriptionId) {
        for one in self.lock().iter_mut() {
            one.hosted.retain(|subscription| subscription.id() != id);
        }
    }

    /// The loops that are there.
    pub(crate) fn inboxes(&self) -> Vec<Arc<Inbox>> {
        let all = self.lock();
        all.iter().filter_map(|one| one.inbox.upgrade()).collect()
    }

    /// A loop has ended: none of its calls starts any more. Never waits.
    pub(crate) fn stop(&self, inbox: &Inbox) {
        for subscription in self.of(inbox) {
            subscription.stop_calls(GRACE);
        }
    }

    /// Ends the subscriptions of a loop that has ended, on a thread of its own: it waits for the store.
    pub(crate) fn end(&self, inbox: &Inbox) {
        let hosted = self.of(inbox);
        if hosted.is_empty() {
            return;
        }
        let ending = std::thread::Builder::new()
            .name("ringrift:ends".to_owned())
            .spawn(move || {
                for subscription in hosted {
                    // The calls have stopped; what the store does not hear the sweeper finds.
                    subscription.unsubscribe_within(GRACE).ok();
                }
            });
        let mut threads = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| !thread.is_finished());
        threads.extend(ending.ok());
    }

    /// Forgets everything, once the system has ended: a subscription keeps it in memory.
    pub(crate) fn clear(&self) {
        self.lock().clear();
        let threads =
            std::mem::take(&mut *self.ending.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // It never waits for the interpreter's lock, so whoever waits here may hold it.
            thread.join().ok();
        }
    }

    fn of(&self, inbox: &Inbox) -> Vec<Subscription> {
        let all = self.lock();
        let one = all
            .iter()
            .find(|one| std::ptr::eq(one.inbox.as_ptr(), inbox));
        one.map(|one| one.hosted.clone()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<OfLoop>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfLoop {
    fn is(&self, inbox: &Arc<Inbox>) -> bool {
        self.inbox.as_ptr() == Arc::as_ptr(inbox)
    }
}
