//! Opens one connection, with each pragma and its reason. On database threads only.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::store::{Error, ErrorCode};

/// Prepared statements kept by one connection: every verb's, with room for variants by filter.
const STATEMENTS_KEPT: usize = 256;

/// Most bytes of the WAL file kept after a checkpoint emptied it.
const WAL_KEPT_BYTES: i64 = 4 << 20;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// The writer: its commits never checkpoint, the checkpointer does.
    Write,
    /// A reader beside it: cannot change a row.
    Read,
    /// A read-only handle's: the file is opened read-only.
    ReadOnly,
    /// A read-only handle's on a folder nobody can write, while no process lives: SQLite's side
    /// files cannot be made there, so the file is taken as it is.
    Immutable,
}

/// Opens `path` for `purpose`. Never creates the file: the caller does, with the right mode.
pub(crate) fn connect(path: &Path, purpose: Use, busy: Duration) -> Result<Connection, Error> {
    prepared(path, purpose, busy).map_err(|error| {
        if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) {
            // Its first page does not begin as SQLite's files do.
            return Error::new(
                ErrorCode::NotOurs,
                format!(
                    "{} is not a SQLite database, or its first page is damaged",
                    path.display()
                ),
            )
            .with_next("ringrift db restore BACKUP");
        }
        error.into()
    })
}

/// Opens `path` and neither reads it nor sets anything: for a file that may make no sense.
pub(super) fn bare(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    Ok(Connection::open_with_flags(uri(path, Use::Write), flags)?)
}

fn prepared(path: &Path, purpose: Use, busy: Duration) -> rusqlite::Result<Connection> {
    let access = match purpose {
        Use::Write | Use::Read => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Use::ReadOnly | Use::Immutable => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    // One thread uses one connection: SQLite's own mutexes would only cost.
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let conn = Connection::open_with_flags(uri(path, purpose), flags)?;
    conn.busy_timeout(busy)?;
    // A plan does not depend on the values that are bound: without this, binding one that a partial
    // index might ask about has the statement parsed and planned anew at each execution.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // Temporary tables in memory: no further files appear on these threads.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    // Rows of the log name processes and subscriptions that retention may remove first.
    conn.pragma_update(None, "foreign_keys", false)?;
    match purpose {
        Use::Write => {
            // The page cache, in KiB when negative: the log's end, the hot tables, and what a
            // transaction changes. A larger one goes on in the WAL before its end.
            conn.pragma_update(None, "cache_size", -4_096)?;
            // NORMAL: a commit survives the death of any process; the WAL is synced before a
            // checkpoint reuses it. Power durability syncs outside the lock instead of FULL.
            conn.pragma_update(None, "synchronous", "NORMAL")?;
            // No commit pays for a checkpoint.
            conn.pragma_update(None, "wal_autocheckpoint", 0)?;
            conn.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
        }
        Use::Read | Use::ReadOnly | Use::Immutable => {
            // A page of the log is read once, in order; what is asked for again lies in the
            // kernel's cache, which all processes share.
            conn.pragma_update(None, "cache_size", -512)?;
            conn.pragma_update(None, "query_only", true)?;
        }
    }
    Ok(conn)
}

/// A `file:` name in which no character of the path means anything to SQLite.
fn uri(path: &Path, purpose: Use) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            uri.push(char::from(byte));
        } else if write!(uri, "%{byte:02X}").is_err() {
            // Writing to a String cannot fail; nothing is lost if that ever changes, the name
            // would merely not be found.
            break;
        }
    }
    if purpose == Use::Immutable {
        uri.push_str("?immutable=1");
    }
    uri
}

/// Changes with every commit that is not this connection's.
pub(super) fn version_of(conn: &Connection) -> Result<i64, Error> {
    let mut statement = conn.prepare_cached("PRAGMA data_version")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_signs_that_mean_something_in_a_uri_is_opened_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a?b#c%d é.db");
        std::fs::write(&path, b"").unwrap();
        let conn = connect(&path, Use::Write, Duration::from_secs(1)).unwrap();
        conn.execute_batch("CREATE TABLE t (x)").unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() > 0);
        let reader = connect(&path, Use::Read, Duration::from_secs(1)).unwrap();
        assert!(reader.execute_batch("INSERT INTO t VALUES (1)").is_err());
    }
}
