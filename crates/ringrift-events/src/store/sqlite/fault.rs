//! What SQLite said, as the store's own kinds of error. Decided from result codes, never from text.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "SQLite's and rusqlite's enums are non-exhaustive: what is not named here is I/O"
)]

use std::path::Path;

use rusqlite::ErrorCode as Sqlite;
use rusqlite::{Connection, ffi};

use super::raw;
use crate::store::{Error, ErrorCode};

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        let code = classify(&error);
        let told = Error::new(code, message(&error));
        match next(code) {
            Some(next) => told.with_next(next),
            None => told,
        }
    }
}

/// The kind that callers branch on.
fn classify(error: &rusqlite::Error) -> ErrorCode {
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        // A value of an unexpected type or a missing row: the file does not hold what the schema
        // promises.
        return match error {
            rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..) => ErrorCode::Corrupt,
            rusqlite::Error::QueryReturnedNoRows => ErrorCode::NotFound,
            _ => ErrorCode::Io,
        };
    };
    match failure.code {
        Sqlite::DatabaseBusy | Sqlite::DatabaseLocked | Sqlite::FileLockingProtocolFailed => {
            ErrorCode::Busy
        }
        Sqlite::DiskFull => ErrorCode::Full,
        Sqlite::ReadOnly if failure.extended_code == ffi::SQLITE_READONLY_DBMOVED => {
            ErrorCode::Replaced
        }
        Sqlite::ReadOnly | Sqlite::PermissionDenied | Sqlite::AuthorizationForStatementDenied => {
            ErrorCode::ReadOnly
        }
        Sqlite::DatabaseCorrupt | Sqlite::NotADatabase => ErrorCode::Corrupt,
        // Growing the wal-index or a mapped file on a full disk is reported as I/O.
        Sqlite::SystemIoFailure
            if matches!(
                failure.extended_code,
                ffi::SQLITE_IOERR_SHMSIZE | ffi::SQLITE_IOERR_SHMMAP
            ) =>
        {
            ErrorCode::Full
        }
        _ => ErrorCode::Io,
    }
}

/// What SQLite calls an I/O error although the operating system said that there is no room: a quota
/// or a limit on the size of files. To be asked right after the failure.
pub(super) fn with_system(error: Error, conn: &Connection) -> Error {
    if error.code == ErrorCode::Full {
        return at_its_disk(error, conn);
    }
    if error.code != ErrorCode::Io {
        return error;
    }
    let why = match raw::system_errno(conn) {
        libc::EFBIG => "a limit on the size of files is reached",
        libc::EDQUOT => "the quota is used up",
        libc::ENOSPC => "the disk is full",
        _ => return error,
    };
    let full = Error::new(ErrorCode::Full, format!("{why} ({})", error.message));
    at_its_disk(full, conn)
}

/// The command that looks at the disk which the database lies on.
fn at_its_disk(error: Error, conn: &Connection) -> Error {
    let folder = conn.path().map(Path::new).and_then(Path::parent);
    match folder {
        Some(folder) => error.with_next(format!("df -h {}", folder.display())),
        None => error,
    }
}

fn message(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(failure, text) => {
            let text = text.as_deref().unwrap_or("no message");
            format!("sqlite: {text} (result code {})", failure.extended_code)
        }
        other => format!("sqlite: {other}"),
    }
}

/// The command that helps with a kind of error, where one does.
pub(crate) fn next(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::Busy | ErrorCode::Backpressure => Some("ringrift status"),
        ErrorCode::Full => Some("df -h ."),
        ErrorCode::ReadOnly => Some("ls -ld data/coordination"),
        ErrorCode::Corrupt | ErrorCode::Io | ErrorCode::Poisoned => Some("ringrift db check"),
        ErrorCode::Replaced => Some("ringrift status"),
        _ => None,
    }
}

/// Whether a commit that failed so certainly left nothing behind: its last frame was never
/// written, or the lock was never had.
#[must_use]
pub(crate) fn certainly_not_applied(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::Busy | ErrorCode::Full | ErrorCode::ReadOnly
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_looked_at_where_the_database_lies() {
        let folder = tempfile::tempdir().unwrap();
        let conn = Connection::open(folder.path().join("x.db")).unwrap();
        let full = with_system(Error::new(ErrorCode::Full, "full"), &conn);
        let folder = std::fs::canonicalize(folder.path()).unwrap();
        assert_eq!(full.next, Some(format!("df -h {}", folder.display())));
    }

    fn coded(code: i32) -> ErrorCode {
        let failure = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        Error::from(failure).code
    }

    #[test]
    fn result_codes_become_kinds_that_callers_branch_on() {
        assert_eq!(coded(ffi::SQLITE_BUSY_SNAPSHOT), ErrorCode::Busy);
        assert_eq!(coded(ffi::SQLITE_FULL), ErrorCode::Full);
        assert_eq!(coded(ffi::SQLITE_READONLY_DBMOVED), ErrorCode::Replaced);
        assert_eq!(coded(ffi::SQLITE_READONLY), ErrorCode::ReadOnly);
        assert_eq!(coded(ffi::SQLITE_NOTADB), ErrorCode::Corrupt);
        assert_eq!(coded(ffi::SQLITE_IOERR_SHMSIZE), ErrorCode::Full);
        assert_eq!(coded(ffi::SQLITE_IOERR_FSYNC), ErrorCode::Io);
    }
}
