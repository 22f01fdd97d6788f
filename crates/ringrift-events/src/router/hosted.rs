//! The subscriptions that this process hosts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::bus::{Joined, Mailbox};
use crate::catalog::filter::Filter;
use crate::event::Event;
use crate::handler::Handler;
use crate::store::subscriptions::{Definition, Generation, SubscriptionId};

/// One subscription of this process and what it runs.
pub(super) struct Hosted {
    pub(super) id: SubscriptionId,
    pub(super) name: Arc<str>,
    pub(super) definition: Definition,
    pub(super) generation: Generation,
    pub(super) filter: Option<Filter>,
    pub(super) handler: Arc<Handler>,
    pub(super) way: Way,
    /// Work may be there: set by the poller and by runs that end.
    pub(super) news: Notify,
    pub(super) has_news: AtomicBool,
    ended: AtomicBool,
    stop: watch::Sender<bool>,
}

/// How events come to it.
pub(super) enum Way {
    /// From the bus, through its mailbox.
    Live {
        /// Its place on the bus.
        joined: Joined,
        /// Its mailbox.
        mailbox: Arc<Mailbox>,
    },
    /// From the log, by claims.
    Durable,
}

impl Hosted {
    pub(super) fn new(
        id: SubscriptionId,
        definition: Definition,
        generation: Generation,
        filter: Option<Filter>,
        handler: Arc<Handler>,
        way: Way,
    ) -> Arc<Hosted> {
        Arc::new(Hosted {
            id,
            name: Arc::from(definition.name.as_str()),
            definition,
            generation,
            filter,
            handler,
            way,
            news: Notify::new(),
            has_news: AtomicBool::new(true),
            ended: AtomicBool::new(false),
            stop: watch::Sender::new(false),
        })
    }

    /// Says that work may be there.
    pub(super) fn tell_news(&self) {
        self.has_news.store(true, Ordering::SeqCst);
        self.news.notify_one();
    }

    /// Ends its calls: nothing starts after this returns.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.stop.send_replace(true);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Completes once [`Hosted::end`] was called. Safe to drop.
    pub(super) async fn until_ended(&self) {
        let mut stop = self.stop.subscribe();
        // An error means that the sender is gone, which is an end too.
        drop(stop.wait_for(|stop| *stop).await);
    }

    pub(super) fn takes(&self, event: &Event) -> bool {
        self.definition.types.takes(&event.event_type)
            && self.filter.as_ref().is_none_or(|filter| filter.evaluate(&event.payload))
    }

    pub(super) fn mailbox(&self) -> Option<&Arc<Mailbox>> {
        match &self.way {
            Way::Live { mailbox, .. } => Some(mailbox),
            Way::Durable => None,
        }
    }
}

/// All of them, by id.
#[derive(Default)]
pub(super) struct Hosts {
    by_id: Mutex<BTreeMap<SubscriptionId, Arc<Hosted>>>,
}

impl Hosts {
    pub(super) fn add(&self, hosted: &Arc<Hosted>) {
        self.lock().insert(hosted.id, Arc::clone(hosted));
    }

    pub(super) fn remove(&self, id: SubscriptionId) -> Option<Arc<Hosted>> {
        self.lock().remove(&id)
    }

    pub(super) fn get(&self, id: SubscriptionId) -> Option<Arc<Hosted>> {
        self.lock().get(&id).cloned()
    }

    pub(super) fn named(&self, name: &str) -> Option<Arc<Hosted>> {
        self.lock().values().find(|hosted| &*hosted.name == name).cloned()
    }

    pub(super) fn joined(&self, joined: Joined) -> Option<Arc<Hosted>> {
        let is = |hosted: &&Arc<Hosted>| match hosted.way {
            Way::Live { joined: at, .. } => at == joined,
            Way::Durable => false,
        };
        self.lock().values().find(is).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Hosted>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SubscriptionId, Arc<Hosted>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
