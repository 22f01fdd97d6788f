//! Appending whole lines to a file that other processes append to, and turn over, too.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FlockOperation, flock};

/// Size at which the file is turned over, in bytes.
pub const LOG_BYTES_MAX: u64 = 64 << 20;

/// Files kept, the current one included: `coordination.log`, `.1` … `.9`.
pub const LOG_FILES_MAX: u32 = 10;

/// The log file as this process has it open.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    mode: u32,
    bytes_max: u64,
    files_max: u32,
    open: Option<File>,
    bytes: u64,
    checked_at: i64,
}

impl LogFile {
    /// The log at `path`, opened at the first line; created with `mode`.
    #[must_use]
    pub fn new(path: PathBuf, mode: u32, bytes_max: u64, files_max: u32) -> LogFile {
        LogFile {
            path,
            mode,
            bytes_max,
            files_max,
            open: None,
            bytes: 0,
            checked_at: 0,
        }
    }

    /// Appends one line in one write, so that lines of several processes never mix. `second` is
    /// the time: once a second it is looked whether another process turned the file over.
    ///
    /// # Errors
    /// The file system's.
    pub fn append(&mut self, line: &[u8], second: i64) -> io::Result<()> {
        if self.open.is_none() || second != self.checked_at {
            self.checked_at = second;
            self.reopen_if_moved()?;
        }
        if self.bytes >= self.bytes_max {
            self.turn_over()?;
        }
        let Some(file) = &mut self.open else {
            return Ok(());
        };
        self.bytes += u64::try_from(line.len()).unwrap_or(0);
        file.write_all(line)
    }

    fn reopen_if_moved(&mut self) -> io::Result<()> {
        let here = self.open.as_ref().map(File::metadata).transpose()?;
        let there = std::fs::metadata(&self.path).ok();
        let same = matches!((&here, &there), (Some(here), Some(there))
            if here.ino() == there.ino() && here.dev() == there.dev());
        if !same {
            let file = open_or_make(&self.path, self.mode)?;
            self.bytes = file.metadata()?.len();
            self.open = Some(file);
        } else if let Some(there) = there {
            // Others write too: their bytes count.
            self.bytes = there.len();
        }
        Ok(())
    }

    fn turn_over(&mut self) -> io::Result<()> {
        let lock = open_or_make(&numbered(&self.path, "lock"), self.mode)?;
        flock(&lock, FlockOperation::LockExclusive)?;
        // Another process may have turned it over while this one waited for the lock.
        self.reopen_if_moved()?;
        if self.bytes >= self.bytes_max {
            for number in (1..self.files_max.saturating_sub(1)).rev() {
                let from = numbered(&self.path, &number.to_string());
                if from.exists() {
                    std::fs::rename(from, numbered(&self.path, &(number + 1).to_string()))?;
                }
            }
            std::fs::rename(&self.path, numbered(&self.path, "1"))?;
            self.reopen_if_moved()?;
        }
        Ok(())
    }
}

/// Opens a file for appending, made with `mode` where there is none.
///
/// It gets its mode before it gets its name: the umask takes bits away that the others of a shared
/// home need, and one of them may open it the moment it can be found.
fn open_or_make(path: &Path, mode: u32) -> io::Result<File> {
    let open = || OpenOptions::new().append(true).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(path, mode)?;
            open()
        }
        opened => opened,
    }
}

/// Makes an empty file unless one is there.
fn make(path: &Path, mode: u32) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    static MADE: AtomicU64 = AtomicU64::new(0);
    let turn = MADE.fetch_add(1, Ordering::Relaxed);
    let unnamed = numbered(path, &format!("{}-{turn}.new", std::process::id()));
    // A process of an earlier boot may have had our pid and died just here.
    drop(std::fs::remove_file(&unnamed));
    let file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(&unnamed)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    let named = match renameat_with(CWD, &unnamed, CWD, path, RenameFlags::NOREPLACE) {
        // The file system knows no such renaming; of two makers at once one then waits for its
        // next look.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => std::fs::rename(&unnamed, path),
        Err(rustix::io::Errno::EXIST) => std::fs::remove_file(&unnamed),
        named => named.map_err(io::Error::from),
    };
    if named.is_err() {
        drop(std::fs::remove_file(&unnamed));
    }
    named
}

fn numbered(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_over_at_the_bound_and_keeps_no_more_files_than_allowed() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("coordination.log");
        let mut log = LogFile::new(path.clone(), 0o600, 100, 3);
        for second in 0..20 {
            log.append(&[b'x'; 59], second).expect("append");
            log.append(b"\n", second).expect("append");
        }
        let mut names: Vec<String> = std::fs::read_dir(folder.path())
            .expect("list")
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "coordination.log",
                "coordination.log.1",
                "coordination.log.2",
                "coordination.log.lock"
            ]
        );
    }

    #[test]
    fn every_file_has_its_mode_whatever_the_umask() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("coordination.log");
        let mut log = LogFile::new(path, 0o666, 100, 3);
        for second in 0..5 {
            log.append(&[b'x'; 59], second).expect("append");
        }
        for entry in std::fs::read_dir(folder.path()).expect("list") {
            let entry = entry.expect("entry");
            // The usual umask would have made it 644.
            let mode = entry.metadata().expect("metadata").mode() & 0o777;
            assert_eq!(mode, 0o666, "{:?}", entry.path());
        }
    }

    #[test]
    fn a_second_writer_follows_to_the_new_file() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("coordination.log");
        let mut one = LogFile::new(path.clone(), 0o600, 100, 3);
        let mut two = LogFile::new(path.clone(), 0o600, 100, 3);
        two.append(b"two before\n", 1).expect("append");
        one.append(&[b'x'; 120], 1).expect("append");
        one.append(b"one after\n", 2).expect("turned over");
        two.append(b"two after\n", 3).expect("append");
        let now = std::fs::read_to_string(&path).expect("read");
        assert_eq!(now, "one after\ntwo after\n");
    }
}
