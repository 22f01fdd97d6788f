//! Checkpoints: copying the WAL into the database file, off the publishing path.

use rusqlite::Connection;

use crate::store::Error;

/// What a checkpoint left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copied {
    /// Somebody's lock kept it from finishing.
    pub(super) busy: bool,
}

/// Copies what can be copied without waiting for anybody.
pub(super) fn passive(conn: &Connection) -> Result<Copied, Error> {
    run(conn, "PRAGMA wal_checkpoint(PASSIVE)")
}

/// Copies everything and empties the WAL file, if nobody is in the way right now.
pub(super) fn truncate(conn: &Connection) -> Result<Copied, Error> {
    run(conn, "PRAGMA wal_checkpoint(TRUNCATE)")
}

fn run(conn: &Connection, pragma: &str) -> Result<Copied, Error> {
    let copied = conn.query_row(pragma, [], |row| {
        Ok(Copied {
            busy: row.get::<_, i64>(0)? != 0,
        })
    })?;
    Ok(copied)
}
