//! Puts a backup in the place of a home's database: refused while anybody has it open, and the old
//! file is kept.

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rusqlite::Connection;

use super::backup::copy;
use super::connection::{Use, connect};
use super::housekeeper::wal_of;
use super::identity::FileId;
use super::keeper::keeper;
use super::migrate::{Found, inspect};
use super::open::{OpenOptions, database_of};
use super::{checkpoint, integrity};
use crate::store::pages::{Side, glance};
use crate::store::{Error, ErrorCode};

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Events in the restored log.
    pub events: u64,
    /// The log's new identity: positions held outside the file are worth nothing.
    pub incarnation: u64,
    /// Where the file that was there before is kept, if there was one.
    pub kept: Option<PathBuf>,
}

/// Puts the backup `from` in the place of the database of `options.home`.
///
/// The backup is checked first; with `dry_run` nothing else happens. The new file appears whole
/// or not at all, under a new incarnation.
///
/// # Errors
/// [`ErrorCode::InUse`] while any process has the store open; [`ErrorCode::Corrupt`],
/// [`ErrorCode::NotOurs`], [`ErrorCode::Newer`] about the backup.
pub fn restore(options: &OpenOptions, from: &Path, dry_run: bool) -> Result<Restored, Error> {
    let (tell, told) = sync_channel(1);
    let (options, from) = (options.clone(), from.to_owned());
    keeper()?.spawn("rr-db-restore", move || {
        // The asker waits; if it is gone nobody wants to know.
        drop(tell.send(run(&options, &from, dry_run)));
    })?;
    told.recv()
        .map_err(|_| Error::new(ErrorCode::Io, "the restoring thread ended early"))?
}

fn run(options: &OpenOptions, from: &Path, dry_run: bool) -> Result<Restored, Error> {
    let backup = open_backup(from)?;
    let events: i64 = backup.query_row("SELECT COUNT(*) FROM events", [], |row| row.get(0))?;
    let incarnation = options.clock.random().max(1);
    let database = database_of(&options.home);
    let exists = database.exists();
    if exists {
        check_unused(&database)?;
    }
    let mut restored = Restored {
        events: u64::try_from(events).unwrap_or(0),
        incarnation,
        kept: None,
    };
    if dry_run {
        return Ok(restored);
    }
    let stamp = options.clock.now().0 / 1_000_000;
    let fresh = beside(&database, &format!(".restoring-{stamp}"));
    copy(&backup, &fresh, || Ok(()))?;
    adopt(&fresh, options, incarnation)?;
    if exists {
        restored.kept = Some(set_aside(&database, stamp)?);
    }
    rename(&fresh, &database)?;
    Ok(restored)
}

fn open_backup(from: &Path) -> Result<Connection, Error> {
    if !from.is_file() {
        return Err(Error::new(
            ErrorCode::Missing,
            format!("there is no backup at {}", from.display()),
        ));
    }
    // A backup may lie where nothing can be written.
    let backup = connect(from, Use::ReadOnly, Duration::ZERO)
        .and_then(|conn| inspect(&conn, &from.display().to_string()).map(|found| (conn, found)))
        .or_else(|error| {
            if error.code == ErrorCode::NotOurs || error.code == ErrorCode::Newer {
                return Err(error);
            }
            let conn = connect(from, Use::Immutable, Duration::ZERO)?;
            let found = inspect(&conn, &from.display().to_string())?;
            Ok((conn, found))
        })?;
    let (conn, found) = backup;
    if found == Found::Empty {
        return Err(Error::new(
            ErrorCode::NotOurs,
            format!("{} is an empty database", from.display()),
        ));
    }
    let problems = integrity::problems(&conn)?;
    if let Some(first) = problems.first() {
        return Err(Error::new(
            ErrorCode::Corrupt,
            format!("the backup {} is damaged: {first}", from.display()),
        ));
    }
    Ok(conn)
}

/// Refuses while a process of ours lives, and while anybody at all has the file open.
fn check_unused(database: &Path) -> Result<(), Error> {
    let in_use = |who: String| {
        Error::new(
            ErrorCode::InUse,
            format!("{} is open: {who}", database.display()),
        )
        .with_next("ringrift processes ls")
    };
    let side = Side::of(database, false)?;
    for process in side.pages()? {
        if let Some((head, true)) = glance(&side, process)? {
            return Err(in_use(format!("process {process}, pid {}", head.pid)));
        }
    }
    let alone = connect(database, Use::Write, Duration::ZERO).and_then(|conn| {
        // Exclusive locking in WAL mode is had only by a connection that is alone.
        conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT;")?;
        checkpoint::truncate(&conn)?;
        Ok(())
    });
    match alone {
        Err(error) if error.code == ErrorCode::Busy => {
            Err(in_use("a connection that is not ours".to_owned()))
        }
        // A damaged file is what one restores over.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes the copy this home's.
fn adopt(fresh: &Path, options: &OpenOptions, incarnation: u64) -> Result<(), Error> {
    let home = std::fs::canonicalize(&options.home).map_err(|error| io("find", fresh, &error))?;
    let file = FileId::of(fresh).map_err(|error| io("look at", fresh, &error))?;
    let conn = connect(fresh, Use::Write, Duration::ZERO)?;
    conn.execute(
        "UPDATE home SET incarnation = ?1, path = ?2, device = ?3, inode = ?4",
        rusqlite::params![
            incarnation.cast_signed(),
            home.to_string_lossy(),
            file.device.cast_signed(),
            file.inode.cast_signed()
        ],
    )?;
    checkpoint::truncate(&conn)?;
    conn.close().map_err(|(_, error)| Error::from(error))
}

/// Renames the old file, and what its last process left beside it.
fn set_aside(database: &Path, stamp: i64) -> Result<PathBuf, Error> {
    let kept = beside(database, &format!(".before-restore-{stamp}"));
    rename(database, &kept)?;
    let wal = wal_of(database);
    if wal.exists() {
        rename(&wal, &wal_of(&kept))?;
    }
    let shm = beside(database, "-shm");
    if shm.exists() {
        std::fs::remove_file(&shm).map_err(|error| io("remove", &shm, &error))?;
    }
    Ok(kept)
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::rename(from, to).map_err(|error| io("rename", from, &error))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn io(attempt: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::new(
        ErrorCode::Io,
        format!("cannot {attempt} {}: {error}", path.display()),
    )
}
