//! What the machine and its parts allow: the same work with everything of the product left out.

pub(crate) mod call;
pub(crate) mod channel;
pub(crate) mod cursor;
pub(crate) mod doorbell;
mod page;
pub(crate) mod rows;
pub(crate) mod sync;

use std::time::Duration;

use anyhow::Result;
use rusqlite::Connection;

use crate::orders::Orders;

/// Longest that SQLite waits for its lock.
const LOCKED_MAX: Duration = Duration::from_secs(30);

/// Statements that a connection keeps prepared: more than any limit uses.
const PREPARED: usize = 16;

/// A table with what an event needs and one index, at the durability that is asked for.
fn database(orders: &Orders) -> Result<Connection> {
    std::fs::create_dir_all(&orders.home)?;
    let connection = Connection::open(orders.home.join("limit.db"))?;
    connection.busy_timeout(LOCKED_MAX)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = if orders.power { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS events(id INTEGER PRIMARY KEY, event_id BLOB NOT NULL,
           type TEXT NOT NULL, source TEXT NOT NULL, at INTEGER NOT NULL, payload TEXT NOT NULL);
         CREATE UNIQUE INDEX IF NOT EXISTS events_event_id ON events(event_id);
         CREATE TABLE IF NOT EXISTS cursors(name INTEGER PRIMARY KEY, place INTEGER NOT NULL)",
    )?;
    Ok(connection)
}
