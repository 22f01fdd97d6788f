//! Whether the file under a connection is still the one that was opened.
//!
//! A file that was moved, deleted or replaced by name is another inode. One that was written over
//! in place (`cp backup coordination.db`) keeps its inode, so the bytes on the disk are looked at:
//! the page that carries the log's incarnation must still carry it, and the file's change counter
//! never goes back. A copy of the same file in which no page was added or freed since is not told
//! apart. A look costs two system calls.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::connection::{Use, connect};
use super::identity::{self, FileId};
use super::raw;
use crate::clock::{Clock as _, SystemClock};
use crate::store::{Error, ErrorCode};

/// A look as young as this still holds: the one after a commit is the one before the next, where
/// commits follow one another.
const HOLDS_FOR: Duration = Duration::from_micros(50);

/// What every SQLite file begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The file's header, with the counter that every change of the first page raises.
const HEADER_BYTES: usize = 100;
const COUNTER_AT: usize = 24;

/// One connection's watch over its file.
pub(super) struct FileWatch {
    database: PathBuf,
    file: FileId,
    /// The highest counter that a thread of this store has seen.
    counter: Arc<AtomicU32>,
    /// Where the incarnation stands in the file, once it is there.
    identity: Option<Identity>,
    /// When it last looked and found all well, by the monotonic clock.
    looked_at: Duration,
}

#[derive(Clone, Copy)]
struct Identity {
    at: i64,
    incarnation: [u8; 8],
}

impl FileWatch {
    /// Begins to watch the file that `conn` has open at `database`.
    pub(super) fn begin(conn: &Connection, database: &Path) -> Result<FileWatch, Error> {
        let file = FileId::of(database)
            .map_err(|error| Error::new(ErrorCode::Missing, error.to_string()))?;
        Ok(FileWatch {
            database: database.to_owned(),
            file,
            counter: Arc::new(AtomicU32::new(counter(conn).unwrap_or(0))),
            identity: identity_of(conn)?,
            looked_at: Duration::ZERO,
        })
    }

    /// What the threads of one store share of their watches.
    pub(super) fn seen(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.counter)
    }

    /// The same watch, sharing what others of its store have seen.
    pub(super) fn sharing(mut self, seen: Arc<AtomicU32>) -> FileWatch {
        self.counter = seen;
        self
    }

    /// Looks, unless it has only just done so.
    pub(super) fn look_if_due(&mut self, conn: &Connection) -> Result<(), Error> {
        let now = SystemClock.monotonic();
        if now.saturating_sub(self.looked_at) <= HOLDS_FOR {
            return Ok(());
        }
        self.look(conn)
    }

    /// Looks; the error says what lies there now.
    pub(super) fn look(&mut self, conn: &Connection) -> Result<(), Error> {
        match FileId::of(&self.database) {
            Ok(found) if found == self.file => {}
            Ok(_) => return Err(self.replaced("another file lies there now")),
            Err(error) => return Err(self.replaced(&error.to_string())),
        }
        // Before the file is read: what another thread sees later may be higher.
        let before = self.counter.load(Ordering::Acquire);
        match counter(conn) {
            None => return Err(self.replaced("it is no database any more")),
            // The counter begins anew after four thousand million changes.
            Some(now) if now < before && before - now < u32::MAX / 2 => {
                return Err(self.replaced("an older file was written over it"));
            }
            Some(now) => {
                self.counter.fetch_max(now, Ordering::AcqRel);
            }
        }
        if let Some(identity) = self.identity {
            let mut found = [0; 8];
            if !raw::read_file(conn, identity.at, &mut found) || found != identity.incarnation {
                self.look_again(conn, identity.incarnation)?;
            }
        }
        self.looked_at = SystemClock.monotonic();
        Ok(())
    }

    /// A VACUUM moves pages: a connection without a cache tells whether the file, its WAL included,
    /// is still ours.
    fn look_again(&mut self, conn: &Connection, incarnation: [u8; 8]) -> Result<(), Error> {
        let fresh = connect(&self.database, Use::Read, Duration::from_secs(1))
            .and_then(|fresh| identity::incarnation(&fresh));
        match fresh {
            Ok(found) if found.to_be_bytes() == incarnation => {
                self.identity = identity_of(conn)?;
                Ok(())
            }
            // The next look asks again.
            Err(error) if error.code == ErrorCode::Busy => Ok(()),
            Ok(_) | Err(_) => Err(self.replaced("another store was written over it")),
        }
    }

    fn replaced(&self, what: &str) -> Error {
        Error::new(
            ErrorCode::Replaced,
            format!(
                "{} was replaced under this process: {what}; close it and open it again",
                self.database.display()
            ),
        )
        .with_next("ringrift status")
    }
}

fn counter(conn: &Connection) -> Option<u32> {
    let mut header = [0; HEADER_BYTES];
    if !raw::read_file(conn, 0, &mut header) || !header.starts_with(MAGIC) {
        return None;
    }
    let mut counter = [0; 4];
    counter.copy_from_slice(&header[COUNTER_AT..COUNTER_AT + 4]);
    Some(u32::from_be_bytes(counter))
}

/// Finds the incarnation in the file, where it stands as eight bytes unless it is a small number.
/// What was not checkpointed yet is not there, and is not watched then.
fn identity_of(conn: &Connection) -> Result<Option<Identity>, Error> {
    let incarnation = identity::incarnation(conn)?.to_be_bytes();
    let page_bytes: i64 = conn.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let page: i64 = conn.query_row(
        "SELECT rootpage FROM sqlite_schema WHERE name = 'home'",
        [],
        |row| row.get(0),
    )?;
    let begins = (page - 1) * page_bytes;
    let mut bytes = vec![0; usize::try_from(page_bytes).unwrap_or(0)];
    if !raw::read_file(conn, begins, &mut bytes) {
        return Ok(None);
    }
    let found = bytes.windows(8).rposition(|eight| eight == incarnation);
    Ok(found
        .and_then(|at| i64::try_from(at).ok())
        .map(|at| Identity {
            at: begins + at,
            incarnation,
        }))
}
