//! What a committed transaction tells the store's processes: whose bells ring, and what it appended,
//! which goes into the log's tail before.

use std::sync::Arc;

use super::neighbours::readable;
use super::packed::{Packed, Packing};
use super::presence::Presence;
use crate::event::{Event, Seq};
use crate::store::log::Follow;
use crate::store::pages::{Bells, TAIL_BYTES, Tail};

/// Most events of one transaction that go into the tail: who gets more at once reads the log sooner.
const TAILED_MAX: usize = 16;

/// What a transaction has appended, the first of it with its events.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    events: Vec<(Seq, Arc<Event>)>,
    end: End,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct End {
    count: usize,
    seq: Option<Seq>,
}

impl Fresh {
    /// This event stands there now.
    pub(super) fn note(&mut self, seq: Seq, event: &Arc<Event>) {
        self.end.count += 1;
        self.end.seq = Some(seq);
        if self.events.len() < TAILED_MAX {
            self.events.push((seq, Arc::clone(event)));
        }
    }

    /// How far it has come, to come back to.
    pub(super) fn end(&self) -> End {
        self.end
    }

    /// What was appended since is undone.
    pub(super) fn back_to(&mut self, end: End) {
        self.events.truncate(end.count);
        self.end = end;
    }

    fn put(&self, tail: &Tail) {
        let Some(seq) = self.end.seq else { return };
        if self.end.count <= TAILED_MAX && tail.is_awaited() {
            for (seq, event) in &self.events {
                if event.payload.as_str().len() < TAIL_BYTES {
                    tail.put(*seq, &Packing::of(event).bytes());
                }
            }
        }
        tail.reached(seq);
    }
}

/// What there is to tell once it is committed.
#[derive(Debug)]
pub(super) struct News {
    pub(super) rings: Bells,
    pub(super) fresh: Fresh,
}

impl News {
    pub(super) fn none() -> News {
        News {
            rings: Bells::NONE,
            fresh: Fresh::default(),
        }
    }

    /// Puts what was appended into the tail: before the ring.
    pub(super) fn put(&self, tail: Option<&Tail>) {
        if let Some(tail) = tail {
            self.fresh.put(tail);
        }
    }
}

/// What somebody who follows the log finds in its tail; none where the log is to be read.
pub(super) fn read_tail(
    tail: &Tail,
    presence: &Presence,
    follow: &Follow,
) -> Option<(Vec<Arc<Event>>, Seq)> {
    let fresh = tail.read(follow.after, follow.limit)?;
    let (to, _) = *fresh.last()?;
    let mut events = Vec::with_capacity(fresh.len());
    for (seq, bytes) in &fresh {
        let mut event = Packed(bytes).event_alone()?;
        if follow.types.takes(&event.event_type) {
            event.seq = Some(*seq);
            events.push(Arc::new(event));
        }
    }
    (to.0 <= readable(presence, tail.incarnation())).then_some((events, to))
}

#[cfg(test)]
mod tests;
