//! Reads the log forwards, for pollers and for subscriptions that lag.

use std::sync::Arc;

use rusqlite::params;

use crate::event::{Event, Seq};
use crate::store::Error;
use crate::store::log::{READ_BYTES_MAX, READ_PLACES_MAX, TypeSet};
use crate::store::sqlite::identity;
use crate::store::sqlite::neighbours::readable;
use crate::store::sqlite::presence::Presence;
use crate::store::sqlite::rows::{EVENT_COLUMNS, event};
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::sqlite::verbs::head::log_end;

/// The column of the type in [`EVENT_COLUMNS`], and of the deletion.
const TYPE_COLUMN: usize = 2;
const DELETED_COLUMN: usize = 13;

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
        let mut statement = tx.conn.prepare_cached(&format!(
            "SELECT {EVENT_COLUMNS} FROM events AS e WHERE e.seq > ?1 AND e.seq <= ?2 \
             ORDER BY e.seq"
        ))?;
        let mut rows = statement.query(params![self.after.0, end])?;
        let (mut events, mut bytes, mut looked, mut read_to) = (Vec::new(), 0, 0_i64, self.after.0);
        while let Some(row) = rows.next()? {
            if events.len() >= self.limit || bytes >= READ_BYTES_MAX || looked >= READ_PLACES_MAX {
                return Ok((events, Seq(read_to)));
            }
            looked += 1;
            read_to = row.get(0)?;
            let event_type = row
                .get_ref(TYPE_COLUMN)?
                .as_str()
                .map_err(rusqlite::Error::from)?;
            if takes(&self.types, event_type)
                && row.get_ref(DELETED_COLUMN)? == rusqlite::types::ValueRef::Null
            {
                let event = event(row)?;
                bytes += event.payload.as_str().len();
                events.push(Arc::new(event));
            }
        }
        // Up to the end, also where retention has left no row.
        Ok((events, Seq(end.max(self.after.0))))
    }
}

fn takes(types: &TypeSet, event_type: &str) -> bool {
    match types {
        TypeSet::All => true,
        TypeSet::Only(types) => types
            .binary_search_by(|one| one.as_str().cmp(event_type))
            .is_ok(),
    }
}
