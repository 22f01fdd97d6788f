//! Puts a backup in the place of a home's database: refused while anybody has it open, and the old
//! file is kept.
//!
//! The slow part comes first: the backup is copied beside the database and the copy is checked.
//! Then the database is taken for this thread alone, and only while that holds it is looked at
//! again and renamed over.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rusqlite::Connection;

use super::alone::Alone;
use super::backup::copy;
use super::connection::{Use, connect};
use super::housekeeper::wal_of;
use super::identity::FileId;
use super::keeper::keeper;
use super::migrate::{Found, inspect};
use super::open::OpenOptions;
use super::place::{database_of, group_writable};
use super::{checkpoint, integrity};
use crate::store::{Error, ErrorCode};

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Events in the restored log.
    pub events: u64,
    /// Events in the log that was there; none where there was none, or none that can be read.
    pub events_before: Option<u64>,
    /// The log's new identity: positions held outside the file are worth nothing.
    pub incarnation: u64,
    /// Where the file that was there before is kept, if there was one; where it is, in a dry run.
    pub kept: Option<PathBuf>,
    /// Whether the kept file could be restored in its turn: it is none of a newer version, and what
    /// was read of it made sense.
    pub kept_is_readable: bool,
}

/// Puts the backup `from` in the place of the database of `options.home`, which may be damaged or
/// of a newer version.
///
/// The backup is checked first; with `dry_run` nothing else happens. The new file appears whole
/// or not at all, under a new incarnation.
///
/// # Errors
/// [`ErrorCode::InUse`] while any process has the store open, ours or not, and when somebody wrote
/// into it while the backup was copied; [`ErrorCode::Corrupt`], [`ErrorCode::NotOurs`],
/// [`ErrorCode::Newer`], [`ErrorCode::NotFound`] about the backup.
pub fn restore(options: &OpenOptions, from: &Path, dry_run: bool) -> Result<Restored, Error> {
    let (options, from) = (options.clone(), from.to_owned());
    on_database_thread(move || {
        if dry_run {
            return look(&options, &from);
        }
        Copied::of(&options, &from)?.put_in_place()
    })
}

fn on_database_thread<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (tell, told) = sync_channel(1);
    keeper()?.spawn("rr-db-restore", move || {
        // The asker waits; if it is gone nobody wants to know.
        drop(tell.send(act()));
    })?;
    told.recv()
        .map_err(|_| Error::new(ErrorCode::Io, "the restoring thread ended early"))?
}

/// What a restore would do.
fn look(options: &OpenOptions, from: &Path) -> Result<Restored, Error> {
    let events = {
        let backup = open_backup(from)?;
        check(&backup, from)?;
        events_of(&backup)?
    };
    let mut restored = Restored {
        events,
        events_before: None,
        incarnation: 0,
        kept: None,
        kept_is_readable: false,
    };
    let database = real_database(options);
    if let Some(mut target) = Alone::begin(&database)? {
        target.take()?;
        restored.kept = Some(database);
        (restored.events_before, restored.kept_is_readable) = target.found();
    }
    Ok(restored)
}

/// A checked copy of the backup beside the database, which is still as it was.
struct Copied {
    fresh: PathBuf,
    database: PathBuf,
    target: Option<Alone>,
    kept: PathBuf,
    restored: Restored,
}

impl Copied {
    fn of(options: &OpenOptions, from: &Path) -> Result<Copied, Error> {
        let backup = open_backup(from)?;
        let database = real_database(options);
        // Before the copy: what is written from here on is noticed.
        let target = Alone::begin(&database)?;
        let folder = database.parent().unwrap_or(&database);
        std::fs::create_dir_all(folder).map_err(|error| io("make", folder, &error))?;
        let stamp = options.clock.now().to_sql().replace([' ', ':', '.'], "-");
        let incarnation = options.clock.random().max(1);
        let fresh = beside(&database, &format!(".restoring-{stamp}"));
        copy(&backup, &fresh, None, || Ok(()))?;
        let mut copied = Copied {
            fresh,
            target,
            kept: beside(&database, &format!(".before-restore-{stamp}")),
            database,
            restored: Restored {
                events: 0,
                events_before: None,
                incarnation,
                kept: None,
                kept_is_readable: false,
            },
        };
        share(&copied.fresh, &copied.database)?;
        copied.restored.events = adopt(&copied.fresh, from, options, incarnation)?;
        Ok(copied)
    }

    /// From taking the old file alone to the rename nobody can write into it: whoever waited for
    /// it finds that another file has its name, and opens that one.
    fn put_in_place(mut self) -> Result<Restored, Error> {
        let mut restored = self.restored.clone();
        let kept = self.kept.clone();
        if let Some(target) = &mut self.target {
            target.take()?;
            (restored.events_before, restored.kept_is_readable) = target.found();
            target.fold()?;
            set_aside_wal(&self.database, &kept)?;
            keep(&self.database, &kept)?;
            restored.kept = Some(kept);
            rename(&self.fresh, &self.database)?;
        } else {
            set_aside_wal(&self.database, &kept)?;
            // Somebody may have made a database meanwhile: a link overwrites nothing.
            std::fs::hard_link(&self.fresh, &self.database)
                .map_err(|error| io("make", &self.database, &error))?;
        }
        let folder = self.database.parent().unwrap_or(&self.database);
        std::fs::File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| io("sync", folder, &error))?;
        Ok(restored)
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        // Nothing is there any more when it has its name; what cannot be removed changes nothing.
        drop(std::fs::remove_file(&self.fresh));
    }
}

/// Where the database lies, without symbolic links: they stay.
fn real_database(options: &OpenOptions) -> PathBuf {
    let named = database_of(&options.home);
    std::fs::canonicalize(&named).unwrap_or(named)
}

fn open_backup(from: &Path) -> Result<Connection, Error> {
    if !from.is_file() {
        return Err(Error::new(
            ErrorCode::NotFound,
            format!("there is no backup at {}", from.display()),
        )
        .with_next(format!(
            "ls -l {}",
            from.parent()
                .filter(|folder| !folder.as_os_str().is_empty())
                .unwrap_or(Path::new("."))
                .display()
        )));
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
        });
    let (conn, found) = backup.map_err(|mut error| {
        // Not the advice to restore a backup, which this is.
        if error.code == ErrorCode::NotOurs {
            error.next = Some("ringrift db backup FILE".to_owned());
        } else if error.code == ErrorCode::Newer {
            error.next = Some("ringrift --version".to_owned());
        }
        error
    })?;
    if found == Found::Empty {
        return Err(Error::new(
            ErrorCode::NotOurs,
            format!("{} is an empty database", from.display()),
        )
        .with_next("ringrift db backup FILE"));
    }
    Ok(conn)
}

fn check(conn: &Connection, from: &Path) -> Result<(), Error> {
    match integrity::problems(conn)?.first() {
        None => Ok(()),
        Some(first) => Err(Error::new(
            ErrorCode::Corrupt,
            format!("the backup {} is damaged: {first}", from.display()),
        )
        .with_next(format!(
            "sqlite3 {} 'PRAGMA integrity_check'",
            from.display()
        ))),
    }
}

fn events_of(conn: &Connection) -> Result<u64, Error> {
    let events: i64 = conn.query_row("SELECT COUNT(*) FROM events", [], |row| row.get(0))?;
    Ok(u64::try_from(events).unwrap_or(0))
}

/// Gives the copy the mode of the file that it replaces, or of a new one in this folder.
fn share(fresh: &Path, database: &Path) -> Result<(), Error> {
    let mode = match std::fs::metadata(database) {
        Ok(found) => found.permissions(),
        Err(_) if group_writable(fresh.parent().unwrap_or(fresh))? => {
            std::fs::Permissions::from_mode(0o660)
        }
        Err(_) => std::fs::Permissions::from_mode(0o644),
    };
    std::fs::set_permissions(fresh, mode).map_err(|error| io("share", fresh, &error))
}

/// Checks the copy, makes it this home's and counts its events.
fn adopt(fresh: &Path, from: &Path, options: &OpenOptions, incarnation: u64) -> Result<u64, Error> {
    let home = std::fs::canonicalize(&options.home).map_err(|error| io("find", fresh, &error))?;
    let file = FileId::of(fresh).map_err(|error| io("look at", fresh, &error))?;
    let conn = connect(fresh, Use::Write, Duration::ZERO)?;
    check(&conn, from)?;
    let events = events_of(&conn)?;
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
    conn.close().map_err(|(_, error)| Error::from(error))?;
    Ok(events)
}

/// Gives the old file a second name, so that at no moment there is no database. Where the file
/// system knows no second names it is renamed.
fn keep(database: &Path, kept: &Path) -> Result<(), Error> {
    match std::fs::hard_link(database, kept) {
        Ok(()) => Ok(()),
        Err(_) => rename(database, kept),
    }
}

/// Puts aside what the last process left beside a file that could not be read, or is gone: a WAL
/// belongs to the file that it was written for.
fn set_aside_wal(database: &Path, kept: &Path) -> Result<(), Error> {
    let wal = wal_of(database);
    if wal.exists() {
        rename(&wal, &wal_of(kept))?;
    }
    let shm = beside(database, "-shm");
    if shm.exists() {
        std::fs::remove_file(&shm).map_err(|error| io("remove", &shm, &error))?;
    }
    Ok(())
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

#[cfg(test)]
mod tests;
