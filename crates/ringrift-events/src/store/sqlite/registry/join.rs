//! A process comes and goes.

use rusqlite::{OptionalExtension, params};

use crate::event::ProcessId;
use crate::store::pages::Seen;
use crate::store::registry::ProcessIdentity;
use crate::store::sqlite::records::end_host_records;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::{Error, ErrorCode};

/// Writes this process's row; answers its number, for [`Tx::process_row`]. Its page stands
/// already. Joining again answers the same number.
pub(crate) struct Join {
    /// What it says of itself.
    pub(crate) process: ProcessIdentity,
}

impl Plain for Join {}

impl Verb for Join {
    type Answer = i64;

    fn run(self, tx: &Tx<'_>) -> Result<i64, Error> {
        let process = self.process;
        tx.conn
            .prepare_cached(
                "INSERT INTO processes
                     (process_id, host, pid, command, version, catalog_hash, started_us)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (process_id) DO UPDATE SET state = 'joined', ended_us = NULL,
                     catalog_hash = excluded.catalog_hash",
            )?
            .execute(params![
                process.id,
                process.host,
                process.pid,
                process.command,
                process.version,
                process.catalog_hash.cast_signed(),
                process.started_at.0,
            ])?;
        row_of(tx, process.id)?.ok_or_else(|| unknown(process.id))
    }
}

/// Writes a process's end into its row with what its page said last. For a leave, and for the
/// takeover of a dead one before its page is unlinked. `state` is `left` or `dead`.
pub(crate) fn keep_end(
    tx: &Tx<'_>,
    row: i64,
    state: &str,
    seen: Option<&Seen>,
) -> Result<(), Error> {
    let counters = seen.map(|seen| seen.counters).unwrap_or_default();
    let polled_to = seen.map_or(0, |seen| seen.polled_to.0);
    let beat = match state {
        // Leaving is the last sign of life.
        "left" => Some(tx.now.0),
        _ => seen.map(|seen| seen.beat_at.0).filter(|at| *at != 0),
    };
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    tx.conn
        .prepare_cached(
            "UPDATE processes SET state = ?2, ended_us = ?3, beat_us = ?4,
                 polled_to = max(polled_to, ?5), published = ?6, published_volatile = ?7,
                 publish_failed = ?8, received = ?9, delivered = ?10, done = ?11, skipped = ?12,
                 deduplicated = ?13, failed = ?14
             WHERE id = ?1 AND state = 'joined'",
        )?
        .execute(params![
            row,
            state,
            tx.now.0,
            beat,
            polled_to,
            count(counters.published),
            count(counters.published_volatile),
            count(counters.publish_failed),
            count(counters.received),
            count(counters.delivered),
            count(counters.done),
            count(counters.skipped),
            count(counters.deduplicated),
            count(counters.failed),
        ])?;
    end_host_records(tx, row, seen)
}

/// The number of a process's row.
pub(crate) fn row_of(tx: &Tx<'_>, process: ProcessId) -> Result<Option<i64>, Error> {
    let row = tx
        .conn
        .prepare_cached("SELECT id FROM processes WHERE process_id = ?1")?
        .query_row([process], |row| row.get(0))
        .optional()?;
    Ok(row)
}

/// The refusal for a process nobody knows.
pub(super) fn unknown(process: ProcessId) -> Error {
    Error::new(ErrorCode::NotFound, format!("no process {process}"))
        .with_next("ringrift processes ls")
}
