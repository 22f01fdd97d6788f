//! Reads the log forwards, for pollers and for subscriptions that lag.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::event::{Event, Seq};
use crate::store::Error;
use crate::store::log::{READ_BYTES_MAX, READ_PLACES_MAX, TypeSet};
use crate::store::sqlite::identity;
use crate::store::sqlite::neighbours::readable;
use crate::store::sqlite::presence::Presence;
use crate::store::sqlite::rows::{Stretch, first_of};
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::sqlite::verbs::head::log_end;

/// Over so few places reading all at once costs less than looking for the first that is wanted: what
/// has just been appended is read so.
const FEW: i64 = 64;

/// Asks for events after a place.
pub(in crate::store::sqlite) struct ReadLog {
    /// The place.
    pub(in crate::store::sqlite) after: Seq,
    /// The types.
    pub(in crate::store::sqlite) types: TypeSet,
    /// Most events.
    pub(in crate::store::sqlite) limit: usize,
    /// Knows how far the log is synced.
    pub(in crate::store::sqlite) presence: Arc<Presence>,
}

impl Plain for ReadLog {}
impl Plain for Arc<Event> {}
impl Plain for Seq {}

impl Question for ReadLog {
    type Answer = (Vec<Arc<Event>>, Seq);

    fn run(self, tx: &Tx<'_>) -> Result<(Vec<Arc<Event>>, Seq), Error> {
        let incarnation = identity::incarnation(tx.conn)?;
        let end = log_end(tx.conn)?.min(readable(&self.presence, incarnation));
        let to = end.min(self.after.0.saturating_add(READ_PLACES_MAX));
        let (mut events, mut bytes) = (Vec::new(), 0);
        // Up to the end, also where retention has left no row.
        let mut read_to = Seq(to.max(self.after.0));
        let mut from = self.after.0;
        if to - from > FEW {
            match first_of(tx.conn, &self.types, from, to)? {
                Some(first) => from = first - 1,
                None => return Ok((events, read_to)),
            }
        }
        let mut looked_to = self.after;
        let stopped = Stretch::new(tx.conn, from, to)?.each(|row| {
            if events.len() >= self.limit || bytes >= READ_BYTES_MAX {
                return Ok(ControlFlow::Break(()));
            }
            looked_to = row.seq();
            if row.is_of(&self.types) {
                let event = row.event()?;
                bytes += event.payload.as_str().len();
                events.push(Arc::new(event));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if stopped {
            read_to = looked_to;
        }
        Ok((events, read_to))
    }
}
