//! Which process this is, among itself and the parents it was forked from: asked so often that a
//! system call for it would be seen.
//!
//! # Soundness
//! A page that a fork wipes is mapped once and never unmapped, and only an atomic is reached through
//! it, for which every value is valid.
#![expect(unsafe_code, reason = "mmap and madvise have no safe form")]

use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags};

/// Names this process. A child of `fork()` has another one: keep it, and compare it later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Birth(u64);

/// The page that a fork wipes.
struct Mark(NonNull<AtomicU64>);

// SAFETY: it points to a page that is never unmapped, and only an atomic is reached through it.
unsafe impl Send for Mark {}
// SAFETY: as above.
unsafe impl Sync for Mark {}

static MARK: OnceLock<Option<Mark>> = OnceLock::new();
/// Copied by a fork, unlike the mark: a child's births are all later than its parent's.
static BIRTHS: AtomicU64 = AtomicU64::new(1);

impl Birth {
    /// No process's.
    pub(crate) const NONE: Birth = Birth(u64::MAX);

    /// Whether this process has it. One load of memory, and a system call where the kernel knows no
    /// such page (before 4.14).
    pub(crate) fn is_here(self) -> bool {
        match mark() {
            Some(mark) => mark.load(Ordering::Acquire) == self.0,
            None => u64::from(std::process::id()) == self.0,
        }
    }

    /// This process's.
    pub(crate) fn here() -> Birth {
        let Some(mark) = mark() else {
            return Birth(u64::from(std::process::id()));
        };
        let known = mark.load(Ordering::Acquire);
        if known != 0 {
            return Birth(known);
        }
        let fresh = BIRTHS.fetch_add(1, Ordering::AcqRel);
        match mark.compare_exchange(0, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Birth(fresh),
            Err(other) => Birth(other),
        }
    }
}

fn mark() -> Option<&'static AtomicU64> {
    let mark = MARK.get_or_init(|| {
        let len = 4096;
        // SAFETY: the kernel chooses the address, so nothing of ours is replaced.
        let page = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        };
        let at = page.ok().and_then(NonNull::new)?;
        // SAFETY: mapped just above.
        let wipes = unsafe { rustix::mm::madvise(at.as_ptr(), len, Advice::LinuxWipeOnFork) };
        wipes.ok().map(|()| Mark(at.cast()))
    });
    // SAFETY: the page is never given back, it is aligned, and zero is a valid value.
    mark.as_ref().map(|mark| unsafe { mark.0.as_ref() })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::clock::random::random;

    #[test]
    fn a_forked_child_is_another_and_draws_nothing_that_its_parent_draws() {
        let (mut ours, mut theirs) = std::io::pipe().unwrap();
        let here = Birth::here();
        assert_eq!(here, Birth::here());
        // The numbers that come next are drawn already, and the child has a copy of them.
        random();
        // SAFETY: the child touches its own memory and the pipe, and leaves with `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let other = u64::from(Birth::here() != here);
            let said = theirs.write_all(&[random(), other].map(u64::to_ne_bytes).concat());
            // SAFETY: ends the child without running anything else.
            unsafe { libc::_exit(i32::from(said.is_err())) };
        }
        assert!(child > 0, "fork failed");
        drop(theirs);
        let mut said = [0; 16];
        ours.read_exact(&mut said).unwrap();
        let mut status = 0;
        // SAFETY: waits for the child made above; `status` is ours.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!((waited, status), (child, 0));
        let (drawn, other) = said.split_at(8);
        assert_eq!(other, 1_u64.to_ne_bytes());
        assert!((0..100).all(|_| random().to_ne_bytes() != drawn));
        assert_eq!(Birth::here(), here);
    }
}
