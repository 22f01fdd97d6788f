//! Who holds the database's write lock, when a write has to wait.
//!
//! In WAL mode the write lock is a POSIX lock on one byte of the `-shm` file. It is asked about
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

/// A process's command line, its arguments separated by spaces; its short name where that is
/// hidden, and empty where it is gone.
pub(crate) fn command_line(pid: u32) -> String {
    let read = |what: &str| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
    let mut bytes = read("cmdline");
    if bytes.is_empty() {
        bytes = read("comm");
    }
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    let text = text.trim();
    text[..text.floor_char_boundary(COMMAND_BYTES_MAX)].to_owned()
}
