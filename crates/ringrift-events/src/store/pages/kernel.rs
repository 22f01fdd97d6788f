//! What the kernel gives and the standard library does not: shared mappings that hold a lock,
//! questions about other processes' locks, and reading through a descriptor that is somebody else's.
//!
//! # Soundness
//! - A [`Mapping`] is only ever seen as a [`Cells`] type: atomics alone, for which every bit
//!   pattern is valid, so other processes may write at any time. It is at least as long as the
//!   type (asserted), aligned to a memory page, and lives until the last borrow ends because
//!   [`Mapping::cells`] borrows it.
//! - Nobody makes these files shorter: they are allocated before they get their name and only
//!   ever unlinked. A foreign program that truncates one gives its mapper a SIGBUS, as with
//!   SQLite's own `-shm`.
//! - The mappings are `MADV_DONTFORK`: in a forked child the address is not mapped (or is
//!   something else). [`Birth`] says so, and then neither `cells` nor `drop` touches the address.
#![expect(
    unsafe_code,
    reason = "mmap, madvise and fcntl locks have no safe form"
)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::NonNull;

use rustix::mm::{Advice, MapFlags, ProtFlags};

use crate::clock::Birth;

/// A type that is nothing but atomics: any bytes are a valid value, and any process may change
/// them at any time.
///
/// # Safety
/// `repr(C)`, made of atomic integers and arrays of them only, no `Drop`, alignment at most 4096.
pub(crate) unsafe trait Cells: Sync {}

// SAFETY: `repr(C)` structs of atomics, see layout.rs.
unsafe impl Cells for super::layout::PageCells {}
// SAFETY: as above.
unsafe impl Cells for super::layout::SharedCells {}
// SAFETY: as above.
unsafe impl Cells for super::layout::RoleCells {}

/// A file shared with other processes through memory.
///
/// It owns no descriptor. It keeps the open file description alive, and with it the lock taken
/// through it: both end when it is dropped, on whatever thread, or when the process ends.
#[derive(Debug)]
pub(crate) struct Mapping {
    at: NonNull<std::ffi::c_void>,
    len: usize,
    writable: bool,
    birth: Birth,
}

// SAFETY: the address is valid from every thread of the process that made it, and only atomics
// are reached through it.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes, which must be allocated already.
    pub(crate) fn of(file: &File, len: usize, writable: bool) -> io::Result<Mapping> {
        let birth = Birth::here();
        let access = if writable {
            ProtFlags::READ | ProtFlags::WRITE
        } else {
            ProtFlags::READ
        };
        // SAFETY: the kernel chooses the address, so nothing of ours is replaced.
        let at = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), len, access, MapFlags::SHARED, file, 0)
        }?;
        let at = NonNull::new(at).ok_or(io::ErrorKind::AddrNotAvailable)?;
        // SAFETY: the range was mapped just above.
        let advised = unsafe { rustix::mm::madvise(at.as_ptr(), len, Advice::LinuxDontFork) };
        if let Err(refusal) = advised {
            // SAFETY: as above; nobody has seen it yet.
            unsafe { rustix::mm::munmap(at.as_ptr(), len) }.unwrap_or_default();
            return Err(refusal.into());
        }
        Ok(Mapping {
            at,
            len,
            writable,
            birth,
        })
    }

    /// What the file holds; `None` in a process that was forked since.
    pub(crate) fn cells<T: Cells>(&self) -> Option<&T> {
        assert!(
            size_of::<T>() <= self.len && align_of::<T>() <= 4096,
            "a mapping is as long as what it is seen as"
        );
        if !self.birth.is_here() {
            return None;
        }
        // SAFETY: see the head of this file.
        Some(unsafe { self.at.cast::<T>().as_ref() })
    }

    /// Whether this process may write to it.
    pub(crate) fn writable(&self) -> bool {
        self.writable
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.birth.is_here() {
            // SAFETY: mapped in `of` by this very process, and no borrow is left.
            unsafe { rustix::mm::munmap(self.at.as_ptr(), self.len) }.unwrap_or_default();
        }
    }
}

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Takes the write lock of the open file description; `false` when another has it. It goes with
/// the last descriptor or mapping of that description; forked children do not inherit a mapping.
pub(crate) fn lock(file: &File) -> io::Result<bool> {
    let wish = whole_file();
    // SAFETY: `fcntl` reads the struct during the call only.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const wish) };
    if answer == 0 {
        return Ok(true);
    }
    let refusal = io::Error::last_os_error();
    match refusal.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(refusal),
    }
}

/// Whether another open file description has the write lock. Takes nothing.
pub(crate) fn is_locked(file: &File) -> io::Result<bool> {
    let mut question = whole_file();
    // SAFETY: `fcntl` writes the struct during the call only.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut question) };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(i32::from(question.l_type) != libc::F_UNLCK)
}

/// A process whose POSIX lock, for reading or writing, on the byte at `offset` of the file behind
/// `number` is in the way of a write lock there. `number` is a descriptor of this thread's table
/// that stays whoever's it is; locks of this table are never in the way. Takes nothing.
pub(crate) fn posix_lock_holder(number: RawFd, offset: i64) -> io::Result<Option<u32>> {
    Ok(posix_lock(number, offset)?.filter(|pid| *pid > 0))
}

/// The same, and 0 where the lock's process has no number here.
pub(crate) fn posix_lock(number: RawFd, offset: i64) -> io::Result<Option<u32>> {
    let mut question = whole_file();
    question.l_start = offset;
    question.l_len = 1;
    // SAFETY: `fcntl` writes the struct during the call only; a number that is no descriptor is
    // answered with EBADF.
    let answer = unsafe { libc::fcntl(number, libc::F_GETLK, &raw mut question) };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    if i32::from(question.l_type) == libc::F_UNLCK {
        return Ok(None);
    }
    Ok(Some(u32::try_from(question.l_pid).unwrap_or(0)))
}

/// Reads at `offset` of the file behind `number`, which stays whoever's it is; `false` when it
/// ends before `into` is full.
pub(crate) fn read_at(number: RawFd, offset: i64, into: &mut [u8]) -> io::Result<bool> {
    // SAFETY: the kernel writes at most `into.len()` bytes into a buffer that is ours; a number
    // that is no descriptor is answered with EBADF.
    let read = unsafe { libc::pread(number, into.as_mut_ptr().cast(), into.len(), offset) };
    match usize::try_from(read) {
        Ok(read) => Ok(read == into.len()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_sees_no_mapping_and_its_parent_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::options()
            .create_new(true)
            .read(true)
            .write(true)
            .open(folder.path().join("role"))
            .unwrap();
        file.set_len(4096).unwrap();
        let mapping = Mapping::of(&file, 4096, true).unwrap();
        let before = Birth::here();
        assert!(mapping.cells::<super::super::layout::RoleCells>().is_some());
        // SAFETY: the child touches atomics only and leaves with `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let unseen = mapping.cells::<super::super::layout::RoleCells>().is_none();
            drop(mapping);
            let other = Birth::here() != before;
            // SAFETY: ends the child without running anything else.
            unsafe { libc::_exit(if unseen && other { 0 } else { 1 }) };
        }
        assert!(child > 0, "fork failed");
        let mut status = 0;
        // SAFETY: waits for the child made above; `status` is ours.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!((waited, status), (child, 0));
        assert!(mapping.cells::<super::super::layout::RoleCells>().is_some());
        assert_eq!(Birth::here(), before);
    }
}
