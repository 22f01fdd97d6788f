//! Gives the calling thread a descriptor table of its own, whose low numbers lead nowhere.
#![expect(
    unsafe_code,
    reason = "close_range with CLOSE_RANGE_UNSHARE has no safe wrapper"
)]

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd as _, IntoRawFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, getrlimit};

/// Files of the store begin at this number where the limit allows: a number that leaked in from
/// the process's ordinary table, where few have so many, then meets nothing that can be written.
const FIRST_NUMBER: u64 = 700;

/// Numbers that stay free for the store's own files below the soft limit: some thirty stores.
const HEADROOM: u64 = 256;

/// Leaves the process's descriptor table: from here on this thread, and every thread it spawns,
/// opens, uses and closes descriptors that no other thread of the process has.
///
/// Answers what is unusual: that the numbers could not begin high. An error means that nothing
/// changed (older kernel, seccomp).
pub(super) fn enter() -> io::Result<Option<String>> {
    // SAFETY: the call takes three integers and touches no memory. With CLOSE_RANGE_UNSHARE the
    // kernel first gives this thread a copy of the table and closes only the copy's descriptors,
    // so no descriptor that another thread relies on is closed. This thread owns none: it is the
    // keeper's, before it opened anything, and what std holds for it (stack, handle) is memory.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            0_u32,
            u32::MAX,
            libc::CLOSE_RANGE_UNSHARE,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    // The lowest free numbers are given out in order: 0, 1, 2. Code that writes to standard output
    // or error from these threads must not reach a database file.
    for _ in 0..3 {
        let null = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")?;
        // Open for as long as the table lives.
        let _number = null.into_raw_fd();
    }
    Ok(fill_low_numbers()
        .err()
        .map(|why| format!("the store's descriptors have low numbers: {why}")))
}

/// Takes every number below the first one of the store's files. A path-only descriptor answers
/// EBADF to reading, writing and mapping, as if the number were free; a free one would be given to
/// the next file.
///
/// The files could not be moved up after their opening instead: closing the low number would drop
/// this table's POSIX locks on that file.
fn fill_low_numbers() -> Result<(), String> {
    let soft = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let first = FIRST_NUMBER.min(soft.saturating_sub(HEADROOM));
    let mut last = 0;
    while u64::try_from(last).unwrap_or(u64::MAX) + 1 < first {
        let nowhere: OwnedFd =
            rustix::fs::open("/dev/null", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .map_err(|error| format!("{error} at number {last}"))?;
        last = nowhere.as_raw_fd();
        // Open for as long as the table lives.
        let _number = nowhere.into_raw_fd();
    }
    if first < FIRST_NUMBER {
        return Err(format!("the limit of open files is {soft}"));
    }
    Ok(())
}
