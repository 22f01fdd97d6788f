//! Following the log: what a ring told of is taken from the log's tail in shared memory, or read.

use std::sync::Arc;

use super::SqliteStore;
use super::neighbours::readable;
use super::packed::Packed;
use super::presence::Presence;
use crate::event::{Event, Seq};
use crate::store::log::{Follow, Followed};
use crate::store::pages::Tail;
use crate::store::{Error, Log, Registry as _};

impl SqliteStore {
    /// See [`crate::store::Store::follow`].
    pub(super) fn follow_log(&self, follow: Follow) -> Result<Followed, Error> {
        self.check()?;
        if let Some(tail) = &self.tail {
            tail.awaited();
        }
        let news = self.wait_for_news_of(Some(&follow.types), follow.seen, follow.at_most);
        if news == follow.seen {
            return Ok((news, None));
        }
        // Who changed the log without a ring did not say how far it goes.
        let is_told = news >> 32 == follow.seen >> 32;
        let tail = self.tail.as_ref().filter(|_| is_told);
        let read = match tail.and_then(|tail| read_tail(tail, &self.presence, &follow)) {
            Some(read) => read,
            None => Log::read(self, follow.after, follow.types, follow.limit).wait()?,
        };
        Ok((news, Some(read)))
    }
}

/// What is new, and up to where, if all of it stands in the tail.
fn read_tail(tail: &Tail, presence: &Presence, follow: &Follow) -> Option<(Vec<Arc<Event>>, Seq)> {
    let fresh = tail.read(follow.after, follow.limit)?;
    let (to, _) = *fresh.last()?;
    if to.0 > readable(presence, tail.incarnation()) {
        return None;
    }
    let mut events = Vec::with_capacity(fresh.len());
    for (seq, bytes) in &fresh {
        let mut event = Packed(bytes).event_alone()?;
        if follow.types.takes(&event.event_type) {
            event.seq = Some(*seq);
            events.push(Arc::new(event));
        }
    }
    Some((events, to))
}

#[cfg(test)]
mod tests;
