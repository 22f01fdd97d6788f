//! Who holds the database's write lock when a write has to wait, and who reads an old state of it
//! when the WAL grows.
//!
//! In WAL mode both are POSIX locks on bytes of the `-shm` file. They are asked about
//! through the descriptor that SQLite itself has open: opening and closing the file here would
//! drop every lock that this thread's SQLite holds on it.

use std::fs;
use std::os::fd::RawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::kernel;

/// Where WAL mode keeps its write lock in the `-shm` file: after two 48-byte headers and the
/// checkpoint's 24 bytes.
const WRITE_LOCK_AT: i64 = 120;

/// Where the locks of readers begin: one byte each, after the locks to write, checkpoint and
/// recover.
const READ_LOCKS_AT: i64 = WRITE_LOCK_AT + 3;

/// Where the readers' marks begin: after the headers and the count of pages copied already. Each
/// is 32 bits, the last frame of the WAL that readers under this lock see.
const READ_MARKS_AT: i64 = 100;

/// Most states of the database that readers can hold at once.
const READ_LOCKS: usize = 5;

/// Most bytes kept of a command line.
const COMMAND_BYTES_MAX: usize = 256;

/// The pid and command line of the process that holds the write lock of the database at its real
/// path, if another copy of SQLite, here or elsewhere, does. On a database thread that has the
/// database open; otherwise, and where `/proc` is missing, nothing is known.
pub(crate) fn write_lock_holder(database: &Path) -> Option<(u32, String)> {
    let mut name = database.as_os_str().to_owned();
    name.push("-shm");
    let number = open_number(&PathBuf::from(name))?;
    let pid = kernel::posix_lock_holder(number, WRITE_LOCK_AT).ok()??;
    Some((pid, command_line(pid)))
}

/// A process that reads the oldest state of the database that any reads: the WAL cannot be cut
/// beyond it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OldestReader {
    /// Its pid; 0 where it has none here.
    pub(crate) pid: u32,
    /// Its command line, if it is there to be read.
    pub(crate) command: String,
}

/// Who, outside this thread's descriptor table, reads the oldest state of the database at its real
/// path. On a database thread that has the database open; otherwise nothing is known.
pub(crate) fn oldest_reader(database: &Path) -> Option<OldestReader> {
    let mut name = database.as_os_str().to_owned();
    name.push("-shm");
    let number = open_number(&PathBuf::from(name))?;
    let mut marks = [0u8; 4 * READ_LOCKS];
    if !kernel::read_at(number, READ_MARKS_AT, &mut marks).ok()? {
        return None;
    }
    let held = (0..).zip(marks.chunks_exact(4)).filter_map(|(lock, mark)| {
        let pid = kernel::posix_lock(number, READ_LOCKS_AT + lock).ok()??;
        let mut word = [0u8; 4];
        word.copy_from_slice(mark);
        Some((u32::from_ne_bytes(word), pid))
    });
    let (_, pid) = held.min()?;
    Some(OldestReader {
        pid,
        command: command_line(pid),
    })
}

/// The descriptor of this thread's table that is open on `path`.
fn open_number(path: &Path) -> Option<RawFd> {
    let wanted = fs::metadata(path).ok()?;
    for entry in fs::read_dir("/proc/thread-self/fd").ok()? {
        let Ok(entry) = entry else { continue };
        if fs::read_link(entry.path()).is_ok_and(|target| target == path) {
            let number = entry.file_name().to_str()?.parse().ok()?;
            // The link names a path; the file behind it must still be the one that others lock.
            let there = fs::metadata(entry.path()).ok()?;
            if (there.dev(), there.ino()) == (wanted.dev(), wanted.ino()) {
                return Some(number);
            }
        }
    }
    None
}

/// A process's command line, as a shell takes it; its short name where that is
/// hidden, and empty where it is gone.
pub(crate) fn command_line(pid: u32) -> String {
    let read = |what: &str| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
    let bytes = read("cmdline");
    let text = match bytes.is_empty() {
        true => String::from_utf8_lossy(&read("comm")).trim().to_owned(),
        false => {
            let words = String::from_utf8_lossy(&bytes);
            let words = words.trim_end_matches('\0').split('\0');
            crate::coded::command_line(words)
        }
    };
    text[..text.floor_char_boundary(COMMAND_BYTES_MAX)].to_owned()
}
