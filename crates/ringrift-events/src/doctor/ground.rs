//! The files of the store and what the machine says of them. Best effort: what cannot be looked at
//! is not known, and nothing is said of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::chart::lives;
use crate::store::pages::{command_line, posix_locks};
use crate::store::registry::ProcessState;

/// Most processes of the machine that are looked at.
const PIDS_MAX: usize = 4_096;

/// Where a database's header keeps the version of the SQLite that wrote it last.
const VERSION_AT: u64 = 96;

/// The first of the bytes of the WAL-index that readers lock, and how many there are.
const READ_LOCKS_AT: u64 = 123;
const READ_LOCKS: u64 = 5;

/// The permission bits that say who may read and write.
const READ_WRITE: u32 = 0o666;

/// A file of the store beside the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Where it is.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
    /// The permissions it should have: those of the database.
    pub expected: u32,
}

/// What is known of the place a store lies in.
#[derive(Clone, Debug, Default)]
pub struct Ground {
    /// The database's file.
    pub database: Option<PathBuf>,
    /// Share of the disk that is free, in percent, and the bytes.
    pub disk_free: Option<(u64, u64)>,
    /// Files that shut out who may use the database.
    pub shut: Vec<Side>,
    /// The version of the SQLite that wrote the database's header last, such as `3051003`.
    pub written_by: Option<u32>,
    /// Processes that read the store now, and so keep the write-ahead log: pid and command line.
    pub readers: BTreeMap<u32, String>,
    /// Processes of ours that opened the database with a second copy of SQLite: pid and library.
    pub second_copies: BTreeMap<u32, String>,
    /// Processes that have a deleted file of the store open: pid and file.
    pub deleted: BTreeMap<u32, String>,
    /// Processes that are not ours and have the database open: pid and command line.
    pub foreign: BTreeMap<u32, String>,
}

impl Ground {
    /// Looks around. `notes` are the store's own.
    #[must_use]
    pub(super) fn look(
        database: Option<&Path>,
        processes: &[ProcessState],
        notes: &[String],
    ) -> Ground {
        let Some(database) = database.filter(|path| path.is_file()) else {
            return Ground::default();
        };
        // Closing a file drops every lock that this process's table holds on it. Database threads
        // have a table of their own; where that was refused, the file is not opened here.
        let may_open = !notes
            .iter()
            .any(|note| note.contains("private descriptor table"));
        let mut ground = Ground {
            database: Some(database.to_owned()),
            disk_free: disk_free(database),
            shut: shut(database),
            written_by: may_open.then(|| written_by(database)).flatten(),
            readers: readers(database),
            ..Ground::default()
        };
        ground.look_at_processes(database, processes);
        ground
    }

    fn look_at_processes(&mut self, database: &Path, processes: &[ProcessState]) {
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        let ours = |pid: u32| {
            let is = |state: &&ProcessState| {
                state.process.pid == pid && state.process.host == host && lives(state)
            };
            processes.iter().any(|state| is(&state))
        };
        let real = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
        for pid in pids() {
            let own = ours(pid);
            let opened = links(&PathBuf::from(format!("/proc/{pid}/fd")));
            let deleted = |links: &[String]| {
                let gone = links.iter().find(|link| is_deleted(link, &real));
                gone.cloned()
            };
            let mut gone = deleted(&opened);
            if own && gone.is_none() {
                gone = threads(pid)
                    .iter()
                    .find_map(|thread| deleted(&links(&thread.join("fd"))));
            }
            if let Some(file) = gone {
                self.deleted.insert(pid, file);
            }
            if !opened.iter().any(|link| Path::new(link) == real) {
                continue;
            }
            if !own && pid != std::process::id() {
                self.foreign.insert(pid, command_line(pid));
            } else if let Some(library) = second_sqlite(pid) {
                self.second_copies.insert(pid, library);
            }
        }
    }
}

fn disk_free(database: &Path) -> Option<(u64, u64)> {
    let disk = rustix::fs::statvfs(database).ok()?;
    let percent = disk.f_bavail.saturating_mul(100) / disk.f_blocks.max(1);
    Some((percent, disk.f_bavail.saturating_mul(disk.f_frsize)))
}

fn shut(database: &Path) -> Vec<Side> {
    let Ok(known) = fs::metadata(database) else {
        return Vec::new();
    };
    let expected = known.mode() & READ_WRITE;
    let beside = |suffix: &str| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let mut files = vec![beside("-wal"), beside("-shm")];
    let pages = fs::read_dir(beside(".pages")).into_iter().flatten();
    files.extend(pages.filter_map(|entry| Some(entry.ok()?.path())));
    let side = |path: PathBuf| {
        let found = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        let mode = found.mode() & 0o7777;
        (mode & expected != expected).then_some(Side {
            path,
            mode,
            expected: mode | expected,
        })
    };
    files.into_iter().filter_map(side).collect()
}

fn written_by(database: &Path) -> Option<u32> {
    let mut word = [0_u8; 4];
    let file = fs::File::open(database).ok()?;
    file.read_exact_at(&mut word, VERSION_AT).ok()?;
    Some(u32::from_be_bytes(word)).filter(|version| *version != 0)
}

/// Who holds a read lock of the WAL-index, by the kernel's own list: no file is opened for it.
fn readers(database: &Path) -> BTreeMap<u32, String> {
    let mut index = database.as_os_str().to_owned();
    index.push("-shm");
    let range = READ_LOCKS_AT..READ_LOCKS_AT + READ_LOCKS;
    let locks = posix_locks(&PathBuf::from(index));
    let shared = locks.iter().filter(|held| !held.alone);
    let pids = shared
        .filter(|held| range.contains(&held.first))
        .map(|held| held.pid);
    pids.map(|pid| (pid, command_line(pid))).collect()
}

fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let pid = |entry: std::io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    entries.filter_map(pid).take(PIDS_MAX).collect()
}

fn threads(pid: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

/// What the descriptors of a table lead to.
fn links(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let link = |entry: std::io::Result<fs::DirEntry>| {
        let target = fs::read_link(entry.ok()?.path()).ok()?;
        Some(target.to_string_lossy().into_owned())
    };
    entries.filter_map(link).collect()
}

/// Whether a descriptor leads to the database or its write-ahead log after it was deleted.
fn is_deleted(link: &str, database: &Path) -> bool {
    let Some(path) = link.strip_suffix(" (deleted)") else {
        return false;
    };
    let database = database.to_string_lossy();
    path == database || path.strip_suffix("-wal") == Some(&database)
}

/// A library of SQLite that the process has loaded beside ours, which is part of the program.
fn second_sqlite(pid: u32) -> Option<String> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let mut paths = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5));
    let library = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or("");
        name.starts_with("libsqlite3") || name.starts_with("_sqlite3.")
    };
    paths.find(library).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stores_own_deleted_files_count() {
        let database = Path::new("/srv/a/coordination.db");
        assert!(is_deleted("/srv/a/coordination.db-wal (deleted)", database));
        assert!(is_deleted("/srv/a/coordination.db (deleted)", database));
        assert!(!is_deleted("/srv/a/coordination.db-wal", database));
        assert!(!is_deleted(
            "/srv/b/coordination.db-wal (deleted)",
            database
        ));
    }

    #[test]
    fn a_side_file_that_shuts_out_is_found_and_told_what_it_should_be() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("coordination.db");
        let wal = folder.path().join("coordination.db-wal");
        for (file, mode) in [(&database, 0o660), (&wal, 0o600)] {
            fs::write(file, b"").unwrap();
            fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
        }
        let found = shut(&database);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].mode, found[0].expected), (0o600, 0o660));
        fs::set_permissions(&wal, fs::Permissions::from_mode(0o660)).unwrap();
        assert_eq!(shut(&database), []);
    }
}
