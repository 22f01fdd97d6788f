//! Which live subscription takes which events.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use foldhash::HashMap;

use super::mailbox::Mailbox;
use super::marks::Reach;
use crate::catalog::filter::Filter;
use crate::event::{Event, EventType, ProcessId, Seq};
use crate::store::log::TypeSet;
use crate::verdict::Code;

/// A number that names one live subscription on one bus. It is there before the store has named
/// the subscription, since joining comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Joined(pub u64);

/// What delivering one event came to for one subscription that names its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The subscription.
    pub subscription: Joined,
    /// `RT_MATCHED`, `RT_FILTER_FALSE`, `RT_REFUSED`, `RT_SUBSCRIBED_LATER`, `RT_UNSUBSCRIBED`
    /// or `WT_LAGGING`.
    pub code: Code,
}

impl Delivered {
    /// Whether the subscription gets the event, now or from the log.
    #[must_use]
    pub fn reaches(&self) -> bool {
        matches!(self.code, Code::RtMatched | Code::WtLagging)
    }
}

/// The live subscriptions of one process. Cheap to share behind an `Arc`.
pub struct EventBus {
    process: ProcessId,
    reach: Arc<Reach>,
    /// Replaced as a whole by the rare join and leave, so that delivering only copies a pointer.
    index: RwLock<Arc<Index>>,
}

#[derive(Clone, Default)]
struct Index {
    last: u64,
    members: Vec<Arc<Member>>,
    by_type: HashMap<EventType, Vec<Arc<Member>>>,
    all_types: Vec<Arc<Member>>,
}

struct Member {
    id: Joined,
    types: TypeSet,
    filter: Option<Filter>,
    mailbox: Arc<Mailbox>,
}

impl EventBus {
    /// A bus of this process, without subscriptions.
    #[must_use]
    pub fn new(process: ProcessId) -> EventBus {
        EventBus {
            process,
            reach: Arc::default(),
            index: RwLock::default(),
        }
    }

    /// A mailbox for a subscription that is about to join, with room for `capacity` events
    /// ([`super::MAILBOX_CAPACITY`] unless configured).
    #[must_use]
    pub fn mailbox(&self, capacity: usize) -> Arc<Mailbox> {
        Arc::new(Mailbox::new(
            self.process,
            capacity.max(1),
            Arc::clone(&self.reach),
        ))
    }

    /// Adds a subscription; its mailbox gets every matching event from now on.
    pub fn join(&self, types: TypeSet, filter: Option<Filter>, mailbox: Arc<Mailbox>) -> Joined {
        self.change(|index| {
            index.last += 1;
            let id = Joined(index.last);
            index.members.push(Arc::new(Member {
                id,
                types,
                filter,
                mailbox,
            }));
            id
        })
    }

    /// Removes a subscription: nothing is offered to its mailbox once this returns, except by a
    /// delivery that had begun. `false` when it was not there.
    pub fn leave(&self, id: Joined) -> bool {
        self.change(|index| {
            let before = index.members.len();
            index.members.retain(|member| member.id != id);
            index.members.len() < before
        })
    }

    /// Offers an event to every subscription that names its type. Never waits.
    ///
    /// Own events are delivered at their commit, in commit order, those of other processes by the
    /// poller, in log order; it says [`EventBus::passed`] of every own one among them.
    pub fn deliver(&self, event: &Arc<Event>) -> Vec<Delivered> {
        let mut delivered = Vec::new();
        self.deliver_into(event, &mut delivered);
        delivered
    }

    /// The same, appending to a list that the caller keeps.
    pub fn deliver_into(&self, event: &Arc<Event>, delivered: &mut Vec<Delivered>) {
        self.offer(event, delivered);
        if let Some(seq) = event.seq
            && event.origin == self.process
        {
            self.reach.own_offered(seq);
        }
    }

    /// Notes an own event that the poller passes in the log: it came, or comes, at its commit.
    pub fn passed(&self, event: &Event) {
        if let Some(seq) = event.seq {
            self.reach.own_seen(seq);
        }
    }

    fn offer(&self, event: &Arc<Event>, delivered: &mut Vec<Delivered>) {
        let index = self.snapshot();
        let members = index.of(&event.event_type);
        delivered.reserve(members.size_hint().0);
        for member in members {
            let code = if member.takes(event) {
                member.mailbox.offer(event).code()
            } else {
                Code::RtFilterFalse
            };
            delivered.push(Delivered {
                subscription: member.id,
                code,
            });
        }
    }

    /// Whether an event of this type would reach anybody's mailbox or filter.
    #[must_use]
    pub fn has_subscribers(&self, event_type: &EventType) -> bool {
        self.snapshot().of(event_type).next().is_some()
    }

    /// Every type that somebody names, or all: what the poller reads. `None`: nobody is here.
    ///
    #[must_use]
    pub fn types(&self) -> Option<TypeSet> {
        let index = self.snapshot();
        if !index.all_types.is_empty() {
            return Some(TypeSet::All);
        }
        (!index.by_type.is_empty()).then(|| TypeSet::only(index.by_type.keys().cloned()))
    }

    /// Says that every event of other processes up to this place was delivered here, or that
    /// nobody wanted it. The poller calls it after each batch; a mailbox that begins to lag reads
    /// the log from there.
    pub fn reached(&self, seq: Seq) {
        self.reach.others_offered(seq);
    }

    /// Says that the poller reads again from this place: a subscription began there. Mailboxes
    /// pass over what they have.
    pub fn rewound(&self, to: Seq) {
        self.reach.rewound(to);
    }

    /// How many live subscriptions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.snapshot().members.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn snapshot(&self) -> Arc<Index> {
        Arc::clone(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Index) -> T) -> T {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Index::clone(&index);
        let answer = change(&mut next);
        next.sort_out();
        *index = Arc::new(next);
        answer
    }
}

impl fmt::Debug for EventBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBus")
            .field("process", &self.process)
            .field("subscriptions", &self.len())
            .finish_non_exhaustive()
    }
}

impl Index {
    fn of(&self, event_type: &EventType) -> impl Iterator<Item = &Arc<Member>> {
        let named = self.by_type.get(event_type).map_or(&[][..], Vec::as_slice);
        named.iter().chain(&self.all_types)
    }

    fn sort_out(&mut self) {
        self.by_type.clear();
        self.all_types.clear();
        for member in &self.members {
            match &member.types {
                TypeSet::All => self.all_types.push(Arc::clone(member)),
                TypeSet::Only(types) => {
                    for event_type in types {
                        let list = self.by_type.entry(event_type.clone()).or_default();
                        list.push(Arc::clone(member));
                    }
                }
            }
        }
    }
}

impl Member {
    fn takes(&self, event: &Event) -> bool {
        self.filter
            .as_ref()
            .is_none_or(|filter| filter.evaluate(&event.payload))
    }
}

#[cfg(test)]
#[path = "event_bus_tests.rs"]
mod tests;
