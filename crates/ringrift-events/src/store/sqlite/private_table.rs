//! Gives the calling thread a descriptor table of its own, empty but for `/dev/null` on 0, 1, 2.
#![expect(
    unsafe_code,
    reason = "close_range with CLOSE_RANGE_UNSHARE has no safe wrapper"
)]

use std::fs::OpenOptions;
use std::io;
use std::os::fd::IntoRawFd as _;

/// Leaves the process's descriptor table: from here on this thread, and every thread it spawns,
/// opens, uses and closes descriptors that no other thread of the process has.
///
/// An error means that nothing changed (older kernel, seccomp).
pub(super) fn enter() -> io::Result<()> {
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
    Ok(())
}
