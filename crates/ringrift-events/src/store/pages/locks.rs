//! Who holds which POSIX locks of a file, by the kernel's own list: nothing is opened for it, since
//! closing a file drops every lock that this thread's table holds on it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The first byte of a database's file that SQLite locks for whoever reads or writes it: one
/// gigabyte in, after the pending and the reserved byte.
const SHARED_AT: u64 = (1 << 30) + 2;

/// A lock of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Whose.
    pub(crate) pid: u32,
    /// It excludes others; else it is shared with other readers.
    pub(crate) alone: bool,
    /// The first byte.
    pub(crate) first: u64,
    /// The last byte.
    pub(crate) last: u64,
}

/// The POSIX locks of the file at `path`; none where it is not there or the list cannot be read.
pub(crate) fn posix_locks(path: &Path) -> Vec<Held> {
    let Ok(file) = fs::metadata(path) else {
        return Vec::new();
    };
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let held = locks.lines().filter_map(|line| held_by(line, file.ino()));
    held.collect()
}

/// Who keeps the database's file for itself alone, as `locking_mode = EXCLUSIVE` does.
pub(crate) fn excluder(database: &Path) -> Option<u32> {
    let locks = posix_locks(database);
    let mut alone = locks
        .iter()
        .filter(|held| held.alone && held.first <= SHARED_AT && SHARED_AT <= held.last);
    alone.next().map(|held| held.pid)
}

/// Somebody who has the database's file open and reads or writes it: another process if there is one.
pub(crate) fn any_user(database: &Path) -> Option<u32> {
    let locks = posix_locks(database);
    let ours = std::process::id();
    let user = |pids: &dyn Fn(u32) -> bool| {
        locks
            .iter()
            .find(|held| held.last >= SHARED_AT - 2 && pids(held.pid))
            .map(|held| held.pid)
    };
    user(&|pid| pid != ours).or_else(|| user(&|pid| pid == ours))
}

/// `1: POSIX  ADVISORY  READ 1234 fd:01:123456 124 124`, if it is a lock of this file.
fn held_by(line: &str, inode: u64) -> Option<Held> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, "POSIX", _, kind, pid, file, first, last] = words.as_slice() else {
        return None;
    };
    let its: u64 = file.rsplit(':').next()?.parse().ok()?;
    let end = |text: &str| match text {
        "EOF" => Some(u64::MAX),
        number => number.parse().ok(),
    };
    let held = Held {
        pid: pid.parse().ok()?,
        alone: *kind == "WRITE",
        first: first.parse().ok()?,
        last: end(last)?,
    };
    (its == inode).then_some(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernels_list_is_a_lock_of_its_file_only() {
        let held = Held {
            pid: 1_234,
            alone: false,
            first: 124,
            last: 124,
        };
        let line = "1: POSIX  ADVISORY  READ 1234 fd:01:77 124 124";
        assert_eq!(held_by(line, 77), Some(held));
        assert_eq!(held_by(line, 78), None);
        let alone = Held {
            alone: true,
            first: SHARED_AT,
            last: u64::MAX,
            ..held
        };
        let line = "2: POSIX  ADVISORY  WRITE 1234 fd:01:77 1073741826 EOF";
        assert_eq!(held_by(line, 77), Some(alone));
        assert_eq!(
            held_by("3: FLOCK  ADVISORY  WRITE 1 fd:01:77 0 EOF", 77),
            None
        );
        assert_eq!(held_by("3: -> POSIX", 77), None);
    }
}
