//! How an event stands in a row of `events`: one list of columns, one reader of them.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row};
use uuid::Uuid;

use crate::clock::Time;
use crate::event::{Event, EventId, EventType, Payload, ProcessId, Seq, TraceId, made_at};
use crate::store::log::{Logged, TypeSet};

macro_rules! event_columns {
    () => {
        "e.seq, e.id, e.event_type, e.payload, e.source, e.key, \
     e.published_at, e.created_at, e.trace_id, e.parent_id, e.depth, \
     (SELECT p.process_id FROM processes AS p WHERE p.id = e.origin), e.stage, \
     (SELECT d.at FROM deleted_events AS x JOIN deletions AS d ON d.id = x.deletion \
      WHERE x.seq = e.seq)"
    };
}

/// The columns that [`event`] reads, in its order, of `events AS e`. The process comes by a
/// look-up in `processes`; one that is gone reads as the nil id.
pub(crate) const EVENT_COLUMNS: &str = event_columns!();

/// How many columns [`EVENT_COLUMNS`] has: a query's own columns come after.
pub(crate) const EVENT_COLUMN_COUNT: usize = 14;

/// The columns that [`logged`] reads: those, and where the program published the event.
pub(crate) const LOGGED_COLUMNS: &str = concat!(
    event_columns!(),
    ", (SELECT c.site FROM call_sites AS c WHERE c.id = e.call_site)"
);

/// Reads [`EVENT_COLUMNS`] as the event.
pub(crate) fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let origin = row.get::<_, Option<ProcessId>>(ORIGIN_COLUMN)?;
    let event_type = EventType::from_canonical(row.get_ref(TYPE_COLUMN)?.as_str()?);
    let origin = origin.unwrap_or(ProcessId(Uuid::nil()));
    event_from(row, Seq(row.get(0)?), event_type, origin)
}

/// Reads the other columns; both lists have them in the same places.
fn event_from(
    row: &Row<'_>,
    seq: Seq,
    event_type: EventType,
    origin: ProcessId,
) -> rusqlite::Result<Event> {
    let id = row.get(1)?;
    Ok(Event {
        seq: Some(seq),
        id,
        event_type,
        payload: Payload::from_checked(row.get_ref(3)?.as_str()?),
        source: row.get(4)?,
        key: row.get(5)?,
        published_at: PublishedAt(row.get(6)?).of(id),
        trace_id: row.get::<_, Trace>(8)?.of(id),
        parent_id: row.get(9)?,
        depth: row.get(10)?,
        origin,
        stage: row.get(12)?,
    })
}

/// Where the type stands in every list of an event's columns, where the origin, and in that of a
/// stretch whether it stands in the log.
const TYPE_COLUMN: usize = 2;
const ORIGIN_COLUMN: usize = 11;
const STANDS_COLUMN: usize = 13;

macro_rules! stretch {
    ($stands:literal) => {
        concat!(
            "SELECT e.seq, e.id, e.event_type, e.payload, e.source, e.key, e.published_at, NULL, \
             e.trace_id, e.parent_id, e.depth, e.origin, e.stage, ",
            $stands,
            " FROM events AS e WHERE e.seq > ?1 AND e.seq <= ?2 ORDER BY e.seq"
        )
    };
}

/// Rows of the log one after the other, as consumers read them. Look-ups that would cost each row
/// more than the row itself are done once: which process an origin is, and whether anything in
/// this part of the log was deleted.
pub(crate) struct Stretch<'a> {
    conn: &'a Connection,
    statement: CachedStatement<'a>,
    /// Something in it was deleted.
    deleted: bool,
    known: Known,
}

/// What the rows of a stretch have in common.
#[derive(Default)]
struct Known {
    origins: HashMap<i64, ProcessId>,
    /// Of the last row: many in a row are of one type.
    event_type: Option<EventType>,
    origin: Option<(i64, ProcessId)>,
}

/// One row of a stretch. What each reader asks for is read from it once.
pub(crate) struct StretchRow<'r, 'a> {
    row: &'r Row<'r>,
    seq: Seq,
    event_type: &'r str,
    /// It stands in the log still.
    stands: bool,
    conn: &'a Connection,
    known: &'r mut Known,
}

impl<'a> Stretch<'a> {
    /// The log after `after` up to `to`.
    pub(crate) fn new(conn: &'a Connection, after: i64, to: i64) -> rusqlite::Result<Stretch<'a>> {
        let deleted: bool = conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM deleted_events WHERE seq > ?1 AND seq <= ?2)",
            )?
            .query_row([after, to], |row| row.get(0))?;
        let sql = match deleted {
            true => {
                stretch!("NOT EXISTS (SELECT 1 FROM deleted_events AS d WHERE d.seq = e.seq)")
            }
            false => stretch!("1"),
        };
        let mut statement = conn.prepare_cached(sql)?;
        statement.raw_bind_parameter(1, after)?;
        statement.raw_bind_parameter(2, to)?;
        Ok(Stretch {
            conn,
            statement,
            deleted,
            known: Known::default(),
        })
    }

    /// Gives the rows to `see` until it says to stop, or there is none left; says whether it
    /// stopped.
    pub(crate) fn each(
        &mut self,
        mut see: impl FnMut(StretchRow<'_, 'a>) -> rusqlite::Result<ControlFlow<()>>,
    ) -> rusqlite::Result<bool> {
        let mut rows = self.statement.raw_query();
        while let Some(row) = rows.next()? {
            let row = StretchRow {
                row,
                seq: Seq(row.get(0)?),
                event_type: row.get_ref(TYPE_COLUMN)?.as_str()?,
                stands: !self.deleted || row.get(STANDS_COLUMN)?,
                conn: self.conn,
                known: &mut self.known,
            };
            if see(row)?.is_break() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The first place after `after` up to `to` with an event of these types, deleted or not. Of each row
/// it reads the type alone, a fraction of what the event costs: for who wants few of many.
pub(crate) fn first_of(
    conn: &Connection,
    types: &TypeSet,
    after: i64,
    to: i64,
) -> rusqlite::Result<Option<i64>> {
    let TypeSet::Only(types) = types else {
        return Ok((after < to).then_some(after + 1));
    };
    let sql = "SELECT seq, event_type FROM events WHERE seq > ?1 AND seq <= ?2 ORDER BY seq";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([after, to])?;
    while let Some(row) = rows.next()? {
        if is_among(types, row.get_ref(1)?.as_str()?) {
            return row.get(0).map(Some);
        }
    }
    Ok(None)
}

/// Whether a type is one of these, which are in order.
fn is_among(types: &[EventType], name: &str) -> bool {
    types
        .binary_search_by(|known| known.as_str().cmp(name))
        .is_ok()
}

impl StretchRow<'_, '_> {
    pub(crate) fn seq(&self) -> Seq {
        self.seq
    }

    /// Whether it stands in the log still and its type is among these: told before it is read any
    /// further.
    pub(crate) fn is_of(&self, types: &TypeSet) -> bool {
        let named = match types {
            TypeSet::All => true,
            TypeSet::Only(types) => is_among(types, self.event_type),
        };
        named && self.stands
    }

    pub(crate) fn event(mut self) -> rusqlite::Result<Event> {
        let name = self.event_type;
        let event_type = match &self.known.event_type {
            Some(known) if known.as_str() == name => known.clone(),
            Some(_) | None => {
                let new = EventType::from_canonical(name);
                self.known.event_type.insert(new).clone()
            }
        };
        let process = self.origin()?;
        event_from(self.row, self.seq, event_type, process)
    }

    fn origin(&mut self) -> rusqlite::Result<ProcessId> {
        let origin: i64 = self.row.get(ORIGIN_COLUMN)?;
        match self.known.origin {
            Some((known, process)) if known == origin => return Ok(process),
            Some(_) | None => {}
        }
        let process = match self.known.origins.get(&origin) {
            Some(process) => *process,
            None => {
                let process = process(self.conn, origin)?;
                self.known.origins.insert(origin, process);
                process
            }
        };
        self.known.origin = Some((origin, process));
        Ok(process)
    }
}

/// The process of a row of `processes`; one that is gone reads as the nil id.
fn process(conn: &Connection, row: i64) -> rusqlite::Result<ProcessId> {
    let known = conn
        .prepare_cached("SELECT process_id FROM processes WHERE id = ?1")?
        .query_row([row], |row| row.get(0))
        .optional()?;
    Ok(known.unwrap_or(ProcessId(Uuid::nil())))
}

/// Reads [`LOGGED_COLUMNS`] as the event and its place in time.
pub(crate) fn logged(row: &Row<'_>) -> rusqlite::Result<Logged> {
    Ok(Logged {
        event: Arc::new(event(row)?),
        committed_at: row.get::<_, SqlTime>(7)?.0,
        deleted_at: row.get::<_, Option<SqlTime>>(13)?.map(|time| time.0),
        call_site: row.get(EVENT_COLUMN_COUNT)?,
    })
}

/// Ids stand in TEXT columns as people write them: events and processes with hyphens, traces by
/// their 32 digits.
macro_rules! id_column {
    ($id:ident, $form:ident) => {
        impl ToSql for $id {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                let mut text = Uuid::encode_buffer();
                let text: &str = self.0.$form().encode_lower(&mut text);
                Ok(ToSqlOutput::from(text.to_owned()))
            }
        }

        impl FromSql for $id {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<$id> {
                let id = Uuid::try_parse(value.as_str()?);
                id.map($id).map_err(|_| FromSqlError::InvalidType)
            }
        }
    };
}

id_column!(EventId, hyphenated);
id_column!(ProcessId, hyphenated);
id_column!(TraceId, simple);

/// `published_at`: microseconds since 1970 or, below a thousand, since the millisecond in which the
/// event's id was made. Most ids are made as the event is published, and each byte of a row counts.
pub(crate) struct PublishedAt(pub(crate) i64);

impl PublishedAt {
    const WITHIN: std::ops::Range<i64> = 0..1_000;

    pub(crate) fn new(event: &Event) -> PublishedAt {
        let at = event.published_at.0;
        let within = made_at(event.id.0).and_then(|made| at.checked_sub(made.0));
        PublishedAt(within.filter(|us| Self::WITHIN.contains(us)).unwrap_or(at))
    }

    pub(crate) fn of(&self, id: EventId) -> Time {
        let made = made_at(id.0).filter(|_| Self::WITHIN.contains(&self.0));
        Time(made.map_or(0, |made| made.0) + self.0)
    }
}

/// `trace_id`: its digits, or nothing where the event begins a trace, whose id is the event's.
pub(crate) struct Trace(Option<TraceId>);

impl Trace {
    pub(crate) fn new(event: &Event) -> Trace {
        Trace((event.trace_id.0 != event.id.0).then_some(event.trace_id))
    }

    pub(crate) fn of(&self, id: EventId) -> TraceId {
        self.0.unwrap_or(TraceId(id.0))
    }
}

impl ToSql for Trace {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0
            .as_ref()
            .map_or(Ok(ToSqlOutput::from("")), ToSql::to_sql)
    }
}

impl FromSql for Trace {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Trace> {
        match value.as_str()? {
            "" => Ok(Trace(None)),
            _ => TraceId::column_result(value).map(|trace| Trace(Some(trace))),
        }
    }
}

/// A public time column: `YYYY-MM-DD HH:MM:SS.SSS`, UTC.
pub(crate) struct SqlTime(pub(crate) Time);

impl FromSql for SqlTime {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<SqlTime> {
        let text = value.as_str()?;
        Time::from_sql(text)
            .map(SqlTime)
            .ok_or(FromSqlError::InvalidType)
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
