//! What a committed transaction tells the store's processes: whose bells ring, and what it appended,
//! which goes into the log's tail before.

use std::sync::Arc;
use std::time::Duration;

use super::packed::Packing;
use crate::clock::{Clock as _, SystemClock};
use crate::event::{Event, Seq};
use crate::store::pages::{Bells, TAIL, TAIL_BYTES, Tail};

/// Most events of one transaction that go into the tail: who gets more at once reads the log sooner.
const TAILED_MAX: usize = 16;

/// What a transaction has appended, the first of it with its events.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    events: Vec<(Seq, Arc<Event>)>,
    end: End,
    /// A moment before its commit, by the boot clock.
    before: Duration,
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

    /// It is about to be committed.
    pub(super) fn dated(mut self) -> Fresh {
        if !self.events.is_empty() {
            self.before = SystemClock.monotonic();
        }
        self
    }

    fn put(&self, tail: &Tail) {
        for (seq, event) in &self.events {
            if event.payload.as_str().len() < TAIL_BYTES {
                tail.put(*seq, self.before, &Packing::of(event).bytes());
            }
        }
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

    /// Puts what was appended by these, one after the other, into the tail: before the ring.
    pub(super) fn put(news: &[News], tail: &Tail) {
        let appended = news.iter().map(|one| &one.fresh);
        if tail.is_awaited() {
            // Of many the last ones: the others would not stay.
            let last = news.len().saturating_sub(TAIL / TAILED_MAX);
            let fits = |fresh: &&Fresh| fresh.end.count <= TAILED_MAX;
            let fresh = appended.clone().skip(last).filter(fits);
            fresh.for_each(|fresh| fresh.put(tail));
        }
        if let Some(end) = appended.filter_map(|fresh| fresh.end.seq).max() {
            tail.reached(end);
        }
    }
}
