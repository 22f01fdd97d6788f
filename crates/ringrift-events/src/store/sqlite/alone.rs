//! Has a database's file for one thread alone, so that another file may take its name.
//!
//! SQLite's own lock on the file says whether anybody has it open, ours or not: every connection
//! that has read a WAL database keeps its share of that lock until it closes. It needs no readable
//! file, which matters because a damaged one is what people restore over.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::connection::{Use, bare, connect, version_of};
use super::migrate::{Found, inspect};
use super::raw;
use crate::store::pages::{self, Side, glance};
use crate::store::{Error, ErrorCode};

/// A database that is to be replaced.
pub(super) struct Alone {
    database: PathBuf,
    conn: Connection,
    /// What was there at the beginning; none when it makes no sense to this program.
    readable: Option<Content>,
}

/// What is compared to see that nobody wrote.
struct Content {
    commits: i64,
    events: Option<u64>,
}

impl Alone {
    /// Remembers what is there; takes nothing yet. `None` when no file is there.
    ///
    /// # Errors
    /// [`ErrorCode::InUse`] while a process of ours lives; [`ErrorCode::NotOurs`] for another
    /// program's database.
    pub(super) fn begin(database: &Path) -> Result<Option<Alone>, Error> {
        if !database.exists() {
            return Ok(None);
        }
        refuse_living(database)?;
        let shown = database.display().to_string();
        let opened = connect(database, Use::Write, Duration::ZERO).map(|conn| {
            let found = inspect(&conn, &shown);
            (conn, found)
        });
        let (conn, found) = match opened {
            Ok((conn, found)) => (conn, found),
            // The first page is damaged: not even a setting can be made.
            Err(error) if error.code == ErrorCode::Busy => return Err(in_use(database)),
            Err(_) => (bare(database)?, Err(Error::new(ErrorCode::Corrupt, ""))),
        };
        let readable = match found {
            Ok(Found::Ours(_) | Found::Empty) => content(&conn).ok(),
            // Another program's, which is whole: nobody meant to replace that.
            Err(error) if error.code == ErrorCode::NotOurs => return Err(error),
            Err(error) if error.code == ErrorCode::Busy => return Err(in_use(database)),
            // Newer or damaged.
            Err(_) => None,
        };
        Ok(Some(Alone {
            database: database.to_owned(),
            conn,
            readable,
        }))
    }

    /// Takes the file: until this is dropped nobody else reads or writes it.
    ///
    /// # Errors
    /// [`ErrorCode::InUse`] while anybody has it open, or when it is not what it was.
    pub(super) fn take(&mut self) -> Result<(), Error> {
        match self.take_by_sql() {
            Err(error) if error.code == ErrorCode::Busy => return Err(in_use(&self.database)),
            // It cannot be read: the lock alone is had without reading.
            Err(_) => {
                self.readable = None;
                self.conn = bare(&self.database)?;
                if !raw::lock_whole(&self.conn) {
                    return Err(in_use(&self.database));
                }
            }
            Ok(()) => {}
        }
        // A process writes its page after it took its share of the lock: none comes after this.
        refuse_living(&self.database)?;
        match &self.readable {
            Some(before) if commits(&self.conn)? != before.commits => {
                return Err(Error::new(
                    ErrorCode::InUse,
                    format!(
                        "{} was written while the backup was copied: nothing was replaced",
                        self.database.display()
                    ),
                )
                .with_next("ringrift events ls"));
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    fn take_by_sql(&self) -> Result<(), Error> {
        // Exclusive locking in WAL mode is had only by a connection that is alone, and it is kept
        // after the transaction's end.
        self.conn
            .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT;")?;
        Ok(())
    }

    /// Events in it, and whether it makes sense to this program. Once it is taken.
    pub(super) fn found(&self) -> (Option<u64>, bool) {
        let content = self.readable.as_ref();
        (content.and_then(|found| found.events), content.is_some())
    }

    /// Writes what its WAL holds into the file, and makes it one without a WAL: whoever has opened
    /// it by its name and reads it later must not take the new file's WAL for its own.
    pub(super) fn fold(&self) -> Result<(), Error> {
        if self.readable.is_none() {
            return Ok(());
        }
        self.conn
            .query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
        self.conn.execute_batch("BEGIN EXCLUSIVE")?;
        Ok(())
    }
}

fn content(conn: &Connection) -> Result<Content, Error> {
    let events = conn.query_row("SELECT COUNT(*) FROM events", [], |row| {
        row.get::<_, i64>(0)
    });
    Ok(Content {
        commits: commits(conn)?,
        // An empty file has no such table.
        events: events.ok().and_then(|count| u64::try_from(count).ok()),
    })
}

/// Changes with every commit that is not this connection's.
fn commits(conn: &Connection) -> Result<i64, Error> {
    // What the file says, not what the cache remembers.
    conn.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(()))?;
    version_of(conn)
}

/// Refuses while a process of ours lives; those that only read have no page.
fn refuse_living(database: &Path) -> Result<(), Error> {
    let side = Side::of(database, false)?;
    for process in side.pages()? {
        if let Some((head, true)) = glance(&side, process)? {
            return Err(open_by(
                database,
                &format!(
                    "pid {} ({}) lives, process {process}",
                    head.pid,
                    pages::command_line(head.pid)
                ),
            )
            .with_next("ringrift processes ls"));
        }
    }
    Ok(())
}

fn in_use(database: &Path) -> Error {
    match pages::any_user(database) {
        Some(pid) => open_by(
            database,
            &format!("pid {pid} ({}) has it open", pages::command_line(pid)),
        )
        .with_next(format!("ps -fp {pid}")),
        None => open_by(database, "somebody has it open")
            .with_next(format!("fuser -v {}", database.display())),
    }
}

fn open_by(database: &Path, who: &str) -> Error {
    Error::new(
        ErrorCode::InUse,
        format!(
            "{} cannot be replaced while it is in use: {who}",
            database.display()
        ),
    )
}
