//! A folder for tests that make thousands of commits and ask nothing of a disk.

use std::path::Path;

use tempfile::TempDir;

/// Bytes that must be free in memory: far more than any of these tests writes.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// A folder that goes with the value; in memory where the machine has such a place, since a sync of
/// a disk takes milliseconds there. Locks, mappings and processes are the same; what a disk does is
/// tested elsewhere, on one.
pub(crate) fn swift_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let roomy = rustix::fs::statvfs(memory)
        .is_ok_and(|fs| fs.f_bavail.saturating_mul(fs.f_frsize) >= FREE_BYTES_MIN);
    let folder = match roomy {
        true => tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()),
        false => tempfile::tempdir(),
    };
    folder.expect("a folder")
}
