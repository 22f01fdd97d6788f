//! Receive: what the poller brings from other processes, and what it tells durable subscriptions.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::polled::PollPlace;
use super::receipt::Route;
use super::{Router, Shared};
use crate::event::{Event, Seq};
use crate::store::log::TypeSet;
use crate::verdict::Code;

impl Router {
    /// Delivers one event of another process to this process's live subscriptions. Never waits:
    /// a full mailbox makes its own subscription lag.
    pub fn receive(&self, event: &Arc<Event>) {
        let shared = &self.shared;
        shared.counters.received.fetch_add(1, Ordering::Relaxed);
        shared.log.receive(event);
        shared.stages.note(event);
        shared.deliver_local(event);
    }

    /// The types that some live or durable subscription of this process takes; `None` when it has
    /// no subscription at all.
    #[must_use]
    pub fn wanted(&self) -> Option<TypeSet> {
        let mut wanted = self.shared.bus.types();
        for hosted in self.shared.hosts.all() {
            wanted = Some(match (wanted, &hosted.definition.types) {
                (None, types) => types.clone(),
                (Some(TypeSet::All), _) | (Some(_), TypeSet::All) => TypeSet::All,
                (Some(TypeSet::Only(a)), TypeSet::Only(b)) => {
                    TypeSet::only(a.into_iter().chain(b.iter().cloned()))
                }
            });
        }
        wanted
    }

    /// Tells durable subscriptions that events of these types are in the log; `None` tells all,
    /// for work that came by another way than an append.
    pub fn tell_durables(&self, events: Option<&[Arc<Event>]>) {
        for hosted in self.shared.hosts.all() {
            if hosted.mailbox().is_some() {
                continue;
            }
            let Some(events) = events else {
                hosted.tell_news();
                continue;
            };
            let types = &hosted.definition.types;
            if events.iter().any(|event| hosted.takes(event)) {
                hosted.tell_event();
            } else if events.iter().any(|event| types.takes(&event.event_type)) {
                // Its place in the log moves on.
                hosted.tell_news();
            }
        }
    }

    /// Whether some subscription here gets its events from the poller itself.
    #[must_use]
    pub fn has_live(&self) -> bool {
        !self.shared.bus.is_empty()
    }

    /// Notes an own event that the poller passes in the log: it came, or comes, at its commit.
    pub fn passed(&self, event: &Event) {
        self.shared.bus.passed(event);
    }

    /// Up to where the poller of this process has read.
    #[must_use]
    pub fn polled_to(&self) -> Seq {
        self.poll_place().after.unwrap_or_default()
    }

    /// Where the poller reads on. To be asked before [`Router::wanted`].
    #[must_use]
    pub fn poll_place(&self) -> PollPlace {
        self.shared.polled.place()
    }

    /// Notes how far the poller has read; `false` when a live subscription began meanwhile, whose
    /// beginning the read may have missed: read again from [`Router::poll_place`].
    #[must_use]
    pub fn note_polled(&self, from: PollPlace, to: Seq) -> bool {
        self.shared.polled.move_on(from, to, &self.shared.bus)
    }

    /// Lets durable subscriptions claim, or stops new claims: the poller runs or it does not.
    pub fn set_polling(&self, polling: bool) {
        self.shared.polling.store(polling, Ordering::SeqCst);
        if polling {
            self.tell_durables(None);
        }
    }
}

impl Shared {
    /// Puts an event into every matching mailbox of this process and says what came of it.
    pub(super) fn deliver_local(&self, event: &Arc<Event>) -> Vec<Route> {
        let delivered = self.bus.deliver(event);
        if delivered.is_empty() {
            return Vec::new();
        }
        let routes = self.hosts.routes(&delivered);
        for route in &routes {
            if route.code == Code::RtRefused
                && let Some(hosted) = self.hosts.of(route.subscription)
            {
                self.refused_by_mailbox(&hosted, event);
            }
        }
        routes
    }
}
