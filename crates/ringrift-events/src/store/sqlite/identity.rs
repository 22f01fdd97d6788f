//! Whose home a file is: the one row of `home`, and what a mismatch means.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use crate::clock::Clock;
use crate::coded::quoted;
use crate::store::{Error, ErrorCode};

/// Which file this is, by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl FileId {
    /// The file at `path`; opens nothing.
    pub(super) fn of(path: &Path) -> std::io::Result<FileId> {
        let found = std::fs::metadata(path)?;
        Ok(FileId {
            device: found.dev(),
            inode: found.ino(),
        })
    }
}

/// What the file says of its home.
struct Row {
    incarnation: i64,
    path: String,
    inode: i64,
}

/// Reads the log's incarnation.
pub(super) fn incarnation(conn: &Connection) -> Result<u64, Error> {
    let found: Option<i64> = conn
        .prepare_cached("SELECT incarnation FROM home")?
        .query_row([], |row| row.get(0))
        .optional()?;
    found.map(i64::cast_unsigned).ok_or_else(nobodys)
}

/// The error for a file that does not say whose it is.
pub(super) fn nobodys() -> Error {
    Error::new(
        ErrorCode::Corrupt,
        "the store's file does not say whose it is",
    )
    .with_next("ringrift db check")
}

/// Compares the file with what it says of itself, and writes what has rightly changed: a moved
/// home's path, a copy put in place of the original (a new incarnation).
///
/// # Errors
/// [`ErrorCode::TwoHomes`] when the recorded home still has a file: either both names lead to this
/// one (hard link, bind mount) or this one is a copy of that.
pub(super) fn settle(
    conn: &mut Connection,
    home: &Path,
    database: &Path,
    clock: &dyn Clock,
) -> Result<(), Error> {
    let here = FileId::of(database).map_err(|error| unreadable(database, &error))?;
    let row = read(conn)?;
    if let Some(row) = &row
        && row.agrees(home, here)
    {
        return Ok(());
    }
    if let Some(row) = &row {
        check_one_home(row, home, database)?;
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    write(&tx, row.as_ref(), home, here, clock)?;
    tx.commit()?;
    Ok(())
}

/// As [`settle`], for handles that may not write: only refuses.
pub(super) fn check(conn: &Connection, home: &Path, database: &Path) -> Result<(), Error> {
    let here = FileId::of(database).map_err(|error| unreadable(database, &error))?;
    match read(conn)? {
        Some(row) if !row.agrees(home, here) => check_one_home(&row, home, database),
        Some(_) | None => Ok(()),
    }
}

fn read(conn: &Connection) -> Result<Option<Row>, Error> {
    let row = conn
        .query_row("SELECT incarnation, path, inode FROM home", [], |row| {
            Ok(Row {
                incarnation: row.get(0)?,
                path: row.get(1)?,
                inode: row.get(2)?,
            })
        })
        .optional()?;
    Ok(row)
}

impl Row {
    /// A device's number may change with a boot; the inode and the path together do not.
    fn agrees(&self, home: &Path, here: FileId) -> bool {
        self.path == home.to_string_lossy() && self.inode == here.inode.cast_signed()
    }
}

/// The refusal for a file that has other names too, if it does: hard links.
pub(super) fn other_names(database: &Path) -> Option<Error> {
    let names = std::fs::metadata(database).ok()?.nlink();
    (names > 1).then(|| {
        Error::new(
            ErrorCode::TwoHomes,
            format!(
                "two homes on one file: {} is one of {names} names of its file (hard links), and \
                 what lies beside another one is needed to read it",
                database.display()
            ),
        )
        .with_next(format!("find / -xdev -samefile {}", database.display()))
    })
}

fn check_one_home(row: &Row, home: &Path, database: &Path) -> Result<(), Error> {
    let recorded = Path::new(&row.path);
    if recorded == home {
        return Ok(());
    }
    let Ok(theirs) = FileId::of(&super::place::database_of(recorded)) else {
        // Nothing is there any more: the home was moved.
        return Ok(());
    };
    let ours = FileId::of(database).map_err(|error| unreadable(database, &error))?;
    let how = if theirs == ours {
        "both names lead to one file"
    } else {
        "this file is a copy of that home's"
    };
    Err(Error::new(
        ErrorCode::TwoHomes,
        format!(
            "two homes on one file: {} says it belongs to {}, it was opened as {}; {how}",
            database.display(),
            recorded.display(),
            home.display(),
        ),
    )
    .with_next(format!(
        "ringrift --home {} status",
        quoted(&recorded.display().to_string())
    )))
}

fn write(
    conn: &Connection,
    row: Option<&Row>,
    home: &Path,
    here: FileId,
    clock: &dyn Clock,
) -> Result<(), Error> {
    // Another inode under the recorded name is a copy put in its place: positions held elsewhere
    // may point past its end.
    let incarnation = match row {
        Some(row) if row.inode == here.inode.cast_signed() => row.incarnation,
        Some(_) | None => clock.random().cast_signed(),
    };
    conn.execute(
        "INSERT INTO home (one, incarnation, path, device, inode, created_at) \
         VALUES (1, ?1, ?2, ?3, ?4, ?5) ON CONFLICT (one) DO UPDATE SET \
         incarnation = excluded.incarnation, path = excluded.path, \
         device = excluded.device, inode = excluded.inode",
        params![
            incarnation,
            home.to_string_lossy(),
            here.device.cast_signed(),
            here.inode.cast_signed(),
            clock.now().to_sql(),
        ],
    )?;
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(
        ErrorCode::Missing,
        format!("{} cannot be looked at: {error}", path.display()),
    )
}
