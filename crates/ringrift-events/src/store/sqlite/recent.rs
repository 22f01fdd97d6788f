//! Events that were read lately, for the other subscriptions of this process that read the same part
//! of the log next: an event is made of its row once for all of them.
//!
//! A part is used only where it holds what the asking transaction would read itself. That is proven
//! in this very transaction: it is the same log (its incarnation), no row of it was deleted or changed
//! meanwhile (`log_end` counts that, whoever does it), no event of the part is hidden, and the log
//! goes so far. Rows come at the log's end alone, so none is missing in between.
//!
//! Memory only, and bounded: what does not fit any more is read again by whoever needs it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::identity::nobodys;
use super::verbs::head::no_end;
use crate::event::{Event, Seq};
use crate::store::Error;
use crate::store::deliveries::CLAIM_EVENTS_MAX;
use crate::store::log::TypeSet;
use crate::store::subscriptions::SubscriptionId;

/// Most bytes kept, about: what a few claims hold.
const BYTES_MAX: usize = 4 << 20;

/// Most parts kept: a look goes through them.
const PARTS_MAX: usize = 64;

/// Places of the log between a reader and one behind it that is worth waiting for, so that both read
/// the same soon: tens of milliseconds of reading.
pub(super) const NEAR: i64 = 1 << 16;

/// Most readers known: a home's subscriptions.
const READERS_MAX: usize = 1_024;

/// Longest that a reader waits for another one that reads the same just now.
const TURN_WAIT: Duration = Duration::from_millis(5);

/// What an event takes beside its payload, about.
const EVENT_BYTES: usize = size_of::<Event>() + 100;

/// The log as a transaction sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    incarnation: Option<i64>,
    changes: i64,
}

/// What a transaction may use of what was read before it, and give to those after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    version: Version,
    /// Up to here nothing that it reads is hidden.
    to: Seq,
}

impl Known {
    /// The same with a nearer end.
    pub(crate) fn up_to(self, end: Seq) -> Known {
        Known {
            to: self.to.min(end),
            ..self
        }
    }
}

/// The log as a look at it begins: one statement for what it asks of the tables with one row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground {
    /// The last place ever given out.
    pub(crate) log_end: Seq,
    /// How often deleted events were restored.
    pub(crate) restores: i64,
    /// What may be used of what was read before.
    pub(crate) known: Known,
}

impl Ground {
    /// Which log it is.
    pub(crate) fn incarnation(&self) -> Result<u64, Error> {
        let known = self.known.version.incarnation;
        known.map(i64::cast_unsigned).ok_or_else(nobodys)
    }

    /// What the transaction of `conn` sees, for who reads on after `after`.
    pub(crate) fn of(conn: &Connection, after: Seq) -> Result<Ground, Error> {
        let sql = "SELECT (SELECT incarnation FROM home), changes, \
                   (SELECT MIN(seq) FROM deleted_events WHERE seq > ?1), \
                   MAX(deleted, COALESCE((SELECT MAX(seq) FROM events), 0)), \
                   (SELECT restores FROM poll_mark) FROM log_end";
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query([after.0])?;
        let row = rows.next()?.ok_or_else(no_end)?;
        let version = Version {
            incarnation: row.get(0)?,
            changes: row.get(1)?,
        };
        let hidden = row.get::<_, Option<i64>>(2)?;
        Ok(Ground {
            log_end: Seq(row.get(3)?),
            restores: row.get(4)?,
            known: Known {
                version,
                to: hidden.map_or(Seq::END, |seq| Seq(seq - 1)),
            },
        })
    }
}

/// The events of some types in a part of the log, all of them.
#[derive(Clone, Debug)]
struct Part {
    version: Version,
    types: TypeSet,
    after: Seq,
    to: Seq,
    events: Arc<Vec<Arc<Event>>>,
    bytes: usize,
}

impl Part {
    /// Whether it holds what a transaction would read of these types.
    fn serves(&self, types: &TypeSet, known: Known) -> bool {
        self.version == known.version && self.types.covers(types)
    }
}

fn bytes_of(events: &[Arc<Event>]) -> usize {
    let payloads = events.iter().map(|event| event.payload.as_str().len());
    EVENT_BYTES * events.len() + payloads.sum::<usize>()
}

/// What is kept.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    parts: Mutex<Parts>,
    turn_ended: Condvar,
}

#[derive(Debug, Default)]
struct Parts {
    /// The oldest first.
    parts: VecDeque<Part>,
    bytes: usize,
    /// Up to where each has read.
    places: HashMap<SubscriptionId, Seq>,
    /// From where on a thread reads just now, to keep it, and what.
    turns: Vec<(Seq, TypeSet)>,
}

impl Recent {
    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The events of these types, and maybe of others, that come after `after`, and the place up to
    /// which they are all of them; `None` where the next place is not known.
    pub(crate) fn after(
        &self,
        after: Seq,
        types: &TypeSet,
        known: Known,
    ) -> Option<(impl Iterator<Item = Arc<Event>> + use<>, Seq)> {
        let (events, to) = {
            let kept = self.lock();
            let fits = |part: &&Part| {
                part.serves(types, known) && part.after <= after && after < part.to.min(known.to)
            };
            let fitting = kept.parts.iter().filter(fits);
            let part = fitting.max_by_key(|part| part.to)?;
            (Arc::clone(&part.events), part.to.min(known.to))
        };
        let place = |event: &Arc<Event>| event.seq.unwrap_or(Seq::START);
        let from = events.partition_point(|event| place(event) <= after);
        let until = events.partition_point(|event| place(event) <= to);
        Some(((from..until).map(move |at| Arc::clone(&events[at])), to))
    }

    /// Notes how far a subscription has read.
    pub(crate) fn note(&self, reader: SubscriptionId, to: Seq) {
        let places = &mut self.lock().places;
        if places.len() >= READERS_MAX {
            places.clear();
        }
        places.insert(reader, to);
    }

    /// Up to where it has read.
    pub(crate) fn place(&self, reader: SubscriptionId) -> Option<Seq> {
        self.lock().places.get(&reader).copied()
    }

    /// Whether somebody may soon ask for what `reader` reads after `after`.
    pub(crate) fn is_awaited(&self, reader: SubscriptionId, after: Seq) -> bool {
        let kept = self.lock();
        let mut others = kept.places.iter().filter(|(id, _)| **id != reader);
        others.any(|(_, place)| (after.0 - place.0).abs() <= NEAR)
    }

    /// Begins to read what comes after `after`, to keep it; waits for another thread that reads it already, since
    /// what that one keeps most likely serves this one too.
    pub(crate) fn turn(&self, after: Seq, types: &TypeSet) -> Turn<'_> {
        let is_read = |kept: &mut Parts| {
            let claim = CLAIM_EVENTS_MAX as i64;
            let mut turns = kept.turns.iter();
            turns.any(|(from, read)| (0..claim).contains(&(after.0 - from.0)) && read.covers(types))
        };
        let waited = self
            .turn_ended
            .wait_timeout_while(self.lock(), TURN_WAIT, is_read);
        let (mut kept, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let read = (after, types.clone());
        kept.turns.push(read.clone());
        Turn { recent: self, read }
    }

    /// Keeps all events of `types` after `after` up to `to`, as a committed transaction reads them.
    pub(crate) fn keep(
        &self,
        (after, to): (Seq, Seq),
        types: &TypeSet,
        known: Known,
        events: Vec<Arc<Event>>,
    ) {
        if to <= after || to > known.to {
            return;
        }
        let part = Part {
            version: known.version,
            types: types.clone(),
            after,
            to,
            bytes: bytes_of(&events),
            events: Arc::new(events),
        };
        let mut gone = Vec::new();
        let mut kept = self.lock();
        kept.bytes += part.bytes;
        kept.parts.push_back(part);
        while (kept.bytes > BYTES_MAX || kept.parts.len() > PARTS_MAX)
            && let Some(oldest) = kept.parts.pop_front()
        {
            kept.bytes -= oldest.bytes;
            gone.push(oldest);
        }
        // Its memory goes by this thread, once others may look: most of it was made by readers, and
        // whoever runs handlers would wait for them to give it back.
        drop(kept);
        drop(gone);
    }

    /// Lets all events go: nobody has read for long.
    pub(crate) fn forget(&self) {
        let mut kept = self.lock();
        kept.parts.clear();
        kept.bytes = 0;
    }
}

/// A thread reads to keep.
pub(crate) struct Turn<'a> {
    recent: &'a Recent,
    read: (Seq, TypeSet),
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut kept = self.recent.lock();
        if let Some(at) = kept.turns.iter().position(|read| *read == self.read) {
            kept.turns.swap_remove(at);
        }
        drop(kept);
        self.recent.turn_ended.notify_all();
    }
}

#[cfg(test)]
#[path = "recent_tests.rs"]
mod tests;
