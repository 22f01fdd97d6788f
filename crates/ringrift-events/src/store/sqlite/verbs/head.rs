//! The log's end and incarnation.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};

use crate::event::Seq;
use crate::store::log::Head;
use crate::store::sqlite::identity;
use crate::store::sqlite::neighbours::readable;
use crate::store::sqlite::presence::Presence;
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::{Error, ErrorCode};

/// Asks for the log's end.
pub(in crate::store::sqlite) struct LogHead {
    /// Knows how far the log is synced.
    pub(in crate::store::sqlite) presence: Arc<Presence>,
}

impl Plain for LogHead {}
impl Plain for Head {}

impl Question for LogHead {
    type Answer = Head;

    fn run(self, tx: &Tx<'_>) -> Result<Head, Error> {
        let incarnation = identity::incarnation(tx.conn)?;
        // The end is read before the synced place: a sync in between only shows more.
        let end = log_end(tx.conn)?;
        Ok(Head {
            seq: Seq(end.min(readable(&self.presence, incarnation))),
            incarnation,
        })
    }
}

/// The last place ever given out. Retention may have removed the event there.
pub(in crate::store::sqlite) fn log_end(conn: &Connection) -> Result<i64, Error> {
    let sql = "SELECT MAX(deleted, COALESCE((SELECT MAX(seq) FROM events), 0)) FROM log_end";
    let end = conn.prepare_cached(sql)?.query_row([], |row| row.get(0));
    end.optional()?.ok_or_else(no_end)
}

/// The error for a log that has lost its end.
pub(in crate::store::sqlite) fn no_end() -> Error {
    Error::new(
        ErrorCode::Corrupt,
        "the store's file does not say how far its log goes: the row of `log_end` is gone",
    )
    .with_next("ringrift db restore BACKUP")
}
