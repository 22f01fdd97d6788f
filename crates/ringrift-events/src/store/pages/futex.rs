//! Waiting on a word of memory that other processes change. Linux; elsewhere a wait is a yield.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::thread::futex::{self, Flags, Timespec};

/// Blocks while the word is `seen`, at most `at_most`; may return early for no reason.
pub(super) fn wait(word: &AtomicU32, seen: u32, at_most: Duration) {
    let limit = Timespec {
        tv_sec: i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(at_most.subsec_nanos()),
    };
    // Woken, timed out, interrupted, or the word had changed: the caller looks for itself.
    futex::wait(word, Flags::empty(), seen, Some(&limit)).unwrap_or_default();
}

/// Wakes every thread of every process that waits on the word.
pub(super) fn wake_all(word: &AtomicU32) {
    // Nothing can be refused but an address that is not mapped.
    futex::wake(word, Flags::empty(), i32::MAX as u32).unwrap_or_default();
}

/// Blocks this thread for about `how_long`, or a little less. Nothing ends it early.
pub(crate) fn pause(how_long: Duration) {
    wait(&AtomicU32::new(0), 0, how_long);
}
