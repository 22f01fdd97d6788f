//! Where a home's database lies: finding it, making its file, and refusing a place that cannot carry
//! it or has lost it.

use std::fs::OpenOptions as FileOptions;
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::housekeeper::wal_of;
use super::open::OpenOptions;
use crate::store::pages::Side;
use crate::store::{Error, ErrorCode};

/// Where a home's database lies.
#[must_use]
pub fn database_of(home: &Path) -> PathBuf {
    home.join("data")
        .join("coordination")
        .join("coordination.db")
}

pub(super) fn real(path: &Path) -> Result<PathBuf, Error> {
    std::fs::canonicalize(path).map_err(|error| {
        let code = if error.kind() == io::ErrorKind::PermissionDenied {
            ErrorCode::Permissions
        } else {
            ErrorCode::Missing
        };
        Error::new(code, format!("{}: {error}", path.display())).with_next("ringrift init")
    })
}

pub(super) fn folder_of(home: &Path, options: &OpenOptions) -> Result<PathBuf, Error> {
    let folder = home.join("data").join("coordination");
    if options.create && !options.read_only {
        std::fs::create_dir_all(&folder).map_err(|error| cannot_make(&folder, &error))?;
    }
    std::fs::canonicalize(&folder).map_err(|_| missing(&folder))
}

/// Makes an empty database file with the mode that its side files will take over.
pub(super) fn make_file(path: &Path, folder: &Path) -> Result<(), Error> {
    let shared = group_writable(folder)?;
    let made = FileOptions::new()
        .write(true)
        .create_new(true)
        .mode(if shared { 0o660 } else { 0o644 })
        .open(path);
    match made {
        Ok(file) if shared => {
            // The umask may have taken the group's bit away.
            file.set_permissions(std::fs::Permissions::from_mode(0o660))
                .map_err(|error| cannot_make(path, &error))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(cannot_make(path, &error)),
    }
}

pub(super) fn check_writable(folder: &Path, database: &Path) -> Result<(), Error> {
    group_writable(folder)?;
    for path in [folder, database] {
        rustix::fs::access(path, rustix::fs::Access::WRITE_OK).map_err(|error| {
            Error::new(
                ErrorCode::ReadOnly,
                format!("{} cannot be written: {error}", path.display()),
            )
            .with_next(format!("ls -ld {}", path.display()))
        })?;
    }
    Ok(())
}

/// Whether a group shares the folder. Without setgid the first opener's side files get that
/// user's own group, and shut everybody else out.
pub(super) fn group_writable(folder: &Path) -> Result<bool, Error> {
    let mode = std::fs::metadata(folder)
        .map_err(|error| cannot_make(folder, &error))?
        .mode();
    let shared = mode & 0o020 != 0;
    if shared && mode & 0o2000 == 0 {
        return Err(Error::new(
            ErrorCode::Permissions,
            format!(
                "{} is writable by its group but not setgid (mode {:o}): the first user's files would shut the others out",
                folder.display(),
                mode & 0o7777
            ),
        )
        .with_next("ringrift init --group GROUP"));
    }
    Ok(shared)
}

/// Refuses a home whose database is gone though it had one: an empty store in its place would hide
/// the loss, and publishers would go on as if nothing were owed.
///
/// A database is made before anything that this looks for, so whoever makes one meanwhile is seen.
pub(super) fn refuse_lost(home: &Path) -> Result<(), Error> {
    let database = database_of(home);
    let traces = [
        Side::folder_of(&database),
        wal_of(&database),
        home.join("logs").join("coordination.log"),
    ];
    let is_trace = |path: &&PathBuf| {
        std::fs::metadata(path).is_ok_and(|found| found.is_dir() || found.len() > 0)
    };
    let Some(trace) = traces.iter().find(is_trace) else {
        return Ok(());
    };
    match std::fs::symlink_metadata(&database) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::new(
            ErrorCode::Lost,
            format!(
                "the database {} is gone, and {} shows that there was one: put it back, or a backup in its place (ringrift db restore FILE), or begin with an empty one (ringrift init --anew)",
                database.display(),
                trace.display()
            ),
        )
        .with_next("ringrift db restore FILE")),
        Ok(_) | Err(_) => Ok(()),
    }
}

pub(super) fn missing(path: &Path) -> Error {
    Error::new(
        ErrorCode::Missing,
        format!("there is no store at {}", path.display()),
    )
    .with_next("ringrift init")
}

fn cannot_make(path: &Path, error: &io::Error) -> Error {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kind = error.kind();
    let code = if [PermissionDenied, ReadOnlyFilesystem].contains(&kind) {
        ErrorCode::ReadOnly
    } else if [StorageFull, QuotaExceeded].contains(&kind) {
        ErrorCode::Full
    } else {
        ErrorCode::Io
    };
    Error::new(code, format!("{} cannot be made: {error}", path.display())).with_next(format!(
        "ls -ld {}",
        path.parent().unwrap_or(path).display()
    ))
}
