//! How an event stands in a row of `events`: one list of columns, one reader of them.

use std::sync::Arc;

use rusqlite::Row;
use uuid::Uuid;

use crate::clock::Time;
use crate::event::{Event, EventId, EventType, Payload, ProcessId, Seq, TraceId};
use crate::store::log::Logged;

/// The columns that [`event`] reads, in its order, of `events AS e`. The process comes by a
/// look-up in `processes`; one that is gone reads as the nil id.
pub(crate) const EVENT_COLUMNS: &str = "e.seq, e.id, e.event_type, e.payload, e.source, e.key, \
     e.published_at, e.created_at, e.trace_id, e.parent_id, e.depth, \
     (SELECT p.uuid FROM processes AS p WHERE p.id = e.origin), e.stage, \
     (SELECT d.at FROM deleted_events AS x JOIN deletions AS d ON d.id = x.deletion \
      WHERE x.seq = e.seq)";

/// How many columns [`EVENT_COLUMNS`] has: a query's own columns come after.
pub(crate) const EVENT_COLUMN_COUNT: usize = 14;

/// Reads [`EVENT_COLUMNS`] as the event.
pub(crate) fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        seq: Some(Seq(row.get(0)?)),
        id: EventId(row.get::<_, Id>(1)?.0),
        event_type: EventType::from_canonical(row.get_ref(2)?.as_str()?),
        payload: Payload::from_checked(row.get::<_, Box<str>>(3)?),
        source: row.get(4)?,
        key: row.get(5)?,
        published_at: Time(row.get(6)?),
        trace_id: TraceId(row.get::<_, Id>(8)?.0),
        parent_id: row.get::<_, Option<Id>>(9)?.map(|id| EventId(id.0)),
        depth: row.get(10)?,
        origin: ProcessId(row.get::<_, Option<Id>>(11)?.map_or(Uuid::nil(), |id| id.0)),
        stage: row.get(12)?,
    })
}

/// Reads [`EVENT_COLUMNS`] as the event and its place in time.
pub(crate) fn logged(row: &Row<'_>) -> rusqlite::Result<Logged> {
    Ok(Logged {
        event: Arc::new(event(row)?),
        committed_at: row.get::<_, SqlTime>(7)?.0,
        deleted_at: row.get::<_, Option<SqlTime>>(13)?.map(|time| time.0),
    })
}

/// A sixteen-byte id in a BLOB column.
pub(crate) struct Id(pub(crate) Uuid);

impl rusqlite::types::FromSql for Id {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Id> {
        <[u8; 16]>::column_result(value).map(|bytes| Id(Uuid::from_bytes(bytes)))
    }
}

/// A public time column: `YYYY-MM-DD HH:MM:SS.SSS`, UTC.
pub(crate) struct SqlTime(pub(crate) Time);

impl rusqlite::types::FromSql for SqlTime {
    fn column_result(
        value: rusqlite::types::ValueRef<'_>,
    ) -> rusqlite::types::FromSqlResult<SqlTime> {
        let text = value.as_str()?;
        Time::from_sql(text)
            .map(SqlTime)
            .ok_or(rusqlite::types::FromSqlError::InvalidType)
    }
}
