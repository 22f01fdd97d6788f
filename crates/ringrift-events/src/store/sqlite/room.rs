//! Whether there is room for more events: on the disk, and in the log whose bound unsettled work
//! may fill. Asked about once a second by the housekeeper, answered with one cheap look; only
//! publishing is held back, since settling and deleting make room.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};

use super::housekeeper::Housekeeper;
use super::line::Notice;
use super::verbs::head::log_end;
use crate::coded::quoted;
use crate::store::{Error, ErrorCode};

/// Events looked at in a log that has reached its bound, spread evenly over it: what is true of
/// none of them is true of hardly any event, and the look stays cheap whatever the log's size.
const SAMPLES: i64 = 256;

/// How much a store may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Share of the disk that must stay free, in percent; 0 asks for none.
    pub(super) disk_free_min_percent: u32,
    /// Most events in the log.
    pub(super) log_events_max: u64,
    /// Most bytes of the database file.
    pub(super) log_bytes_max: u64,
}

impl Housekeeper {
    /// Holds publishing back while there is no room, and lets it go on afterwards.
    pub(super) fn look_at_room(&self) {
        self.line
            .press("disk", look_at_disk(&self.database, self.bounds));
        match look_at_log(&self.conn, self.bounds) {
            Ok(full) => self.line.press("log", full),
            // The next look is a second away.
            Err(error) if error.code == ErrorCode::Busy => {}
            Err(error) => self.line.say(Notice::Warn(format!(
                "the log's size could not be looked at: {}",
                error.message
            ))),
        }
    }
}

/// Why there is no room now, in words: for whoever asks how the store is, also from a process that
/// publishes nothing.
pub(super) fn reasons(
    conn: &Connection,
    database: &Path,
    bounds: Bounds,
) -> Result<Vec<String>, Error> {
    let reasons = [look_at_disk(database, bounds), look_at_log(conn, bounds)?];
    Ok(reasons
        .into_iter()
        .flatten()
        .map(|error| error.message)
        .collect())
}

/// A disk that runs full stops everything on it.
fn look_at_disk(database: &Path, bounds: Bounds) -> Option<Error> {
    if bounds.disk_free_min_percent == 0 {
        return None;
    }
    let disk = rustix::fs::statvfs(database).ok()?;
    let free = disk.f_bavail.saturating_mul(100) / disk.f_blocks.max(1);
    if free >= u64::from(bounds.disk_free_min_percent) {
        return None;
    }
    let folder = database.parent().unwrap_or(database).display();
    let left = disk.f_bavail.saturating_mul(disk.f_frsize) >> 20;
    let own = std::fs::metadata(database).map_or(0, |found| found.len()) >> 20;
    Some(
        Error::new(
            ErrorCode::Backpressure,
            format!(
                "{free} % of the disk under {folder} is free ({left} MiB; the database takes \
                 {own} MiB), publishing needs {} %",
                bounds.disk_free_min_percent
            ),
        )
        .with_next(format!("df -h {folder}")),
    )
}

/// What keeps an event in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kept {
    /// Nothing: retention takes it when it comes by.
    Free,
    /// A durable subscription has not settled it.
    Owed(String),
    /// No poller has passed it.
    Unread,
    /// A dead letter needs it.
    Letter,
    /// It was deleted and can still be restored.
    Deleted,
}

/// The log is full when it has reached a bound and retention finds nothing to delete in it.
fn look_at_log(conn: &Connection, bounds: Bounds) -> Result<Option<Error>, Error> {
    let (first, last) = (first(conn)?, log_end(conn)?);
    let Some(first) = first else { return Ok(None) };
    let range = last - first + 1;
    let bytes = bytes_in_use(conn)?;
    let above = |value: i64, bound: u64| u64::try_from(value).is_ok_and(|value| value >= bound);
    let over_bytes = above(bytes, bounds.log_bytes_max);
    if !over_bytes && !above(range, bounds.log_events_max) {
        return Ok(None);
    }
    let looked_at = range.min(SAMPLES);
    let mut kept = Vec::new();
    for sample in 0..looked_at {
        let Some(one) = kept_by(conn, first + range * sample / looked_at)? else {
            continue;
        };
        if one == Kept::Free {
            return Ok(None);
        }
        kept.push(one);
    }
    // One old letter keeps the log's beginning while what follows it is long gone.
    let found = i64::try_from(kept.len()).unwrap_or(0);
    let events = range * found / looked_at;
    if !over_bytes && !above(events, bounds.log_events_max) {
        return Ok(None);
    }
    Ok(most_frequent(&kept).map(|(by, count)| full(by, count * 100 / kept.len(), events, bytes)))
}

fn full(by: &Kept, percent: usize, events: i64, bytes: i64) -> Error {
    let (who, next) = match by {
        Kept::Free => (
            "retention takes it".to_owned(),
            "ringrift status".to_owned(),
        ),
        Kept::Owed(name) => (
            format!("durable subscription {name} has not settled it"),
            format!("ringrift subs show {}", quoted(name)),
        ),
        Kept::Unread => (
            "no process has read it".to_owned(),
            "ringrift run".to_owned(),
        ),
        Kept::Letter => (
            "dead letters need it".to_owned(),
            "ringrift dlq ls".to_owned(),
        ),
        Kept::Deleted => (
            "it was deleted and can still be restored".to_owned(),
            "ringrift config show --origin".to_owned(),
        ),
    };
    Error::new(
        ErrorCode::Backpressure,
        format!(
            "the log is full: {events} events in {} MiB, and none of them may go; {percent} % of \
             it stays because {who}",
            bytes >> 20
        ),
    )
    .with_next(next)
}

fn most_frequent(kept: &[Kept]) -> Option<(&Kept, usize)> {
    let count = |one: &Kept| kept.iter().filter(|other| *other == one).count();
    kept.iter()
        .map(|one| (one, count(one)))
        .max_by_key(|(_, count)| *count)
}

/// Why the event at `seq` stays, by the rules of retention; `None` when there is no such event.
fn kept_by(conn: &Connection, seq: i64) -> Result<Option<Kept>, Error> {
    let found = conn
        .prepare_cached(
            "SELECT (SELECT s.name FROM subscription_types AS t \
                     CROSS JOIN subscription_rows AS s ON s.id = t.subscription \
                     WHERE t.event_type IN (e.event_type, '*') AND t.valid_from <= e.seq \
                       AND e.seq < t.valid_to AND s.settled < e.seq ORDER BY s.settled LIMIT 1), \
                 EXISTS (SELECT 1 FROM redeliveries AS r WHERE r.event_seq = e.seq \
                     AND r.event_seq IS NOT NULL \
                     AND r.state NOT IN ('done', 'recovered', 'expired')), \
                 EXISTS (SELECT 1 FROM deleted_events AS d WHERE d.seq = e.seq), \
                 e.seq > (SELECT seq FROM poll_mark) \
             FROM events AS e WHERE e.seq = ?1",
        )?
        .query_row([seq], |row| {
            Ok((
                row.get::<_, Option<String>>(0)?,
                row.get::<_, bool>(1)?,
                row.get::<_, bool>(2)?,
                row.get::<_, bool>(3)?,
            ))
        })
        .optional()?;
    Ok(found.map(|found| match found {
        (_, _, true, _) => Kept::Deleted,
        (Some(name), _, false, _) => Kept::Owed(name),
        (None, true, false, _) => Kept::Letter,
        (None, false, false, true) => Kept::Unread,
        (None, false, false, false) => Kept::Free,
    }))
}

fn first(conn: &Connection) -> Result<Option<i64>, Error> {
    Ok(conn
        .prepare_cached("SELECT seq FROM events ORDER BY seq LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?)
}

/// Bytes of the file that hold something: freed pages are used again.
pub(super) fn bytes_in_use(conn: &Connection) -> Result<i64, Error> {
    let pragma = |sql: &str| -> Result<i64, Error> {
        Ok(conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    };
    let pages = pragma("PRAGMA page_count")? - pragma("PRAGMA freelist_count")?;
    Ok(pages * pragma("PRAGMA page_size")?)
}
