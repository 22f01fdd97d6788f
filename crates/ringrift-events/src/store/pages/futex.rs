//! Waiting on a word of memory that other processes change. Linux; elsewhere a wait is a yield.

use std::num::NonZeroU32;
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

/// The same for a ring that one of the bits of `mask` is concerned by.
pub(super) fn wait_for(word: &AtomicU32, seen: u32, at_most: Duration, mask: NonZeroU32) {
    // This form takes a moment of the monotonic clock instead of a duration.
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let nanos = i64::from(at_most.subsec_nanos()) + now.tv_nsec;
    let secs = i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX);
    let until = Timespec {
        tv_sec: now
            .tv_sec
            .saturating_add(secs)
            .saturating_add(nanos / 1_000_000_000),
        tv_nsec: nanos % 1_000_000_000,
    };
    // As in `wait`.
    futex::wait_bitset(word, Flags::empty(), seen, Some(&until), mask).unwrap_or_default();
}

/// Wakes every thread of every process that waits on the word with one of these bits.
pub(super) fn wake_all_of(word: &AtomicU32, mask: NonZeroU32) {
    // As in `wake_all`.
    futex::wake_bitset(word, Flags::empty(), i32::MAX as u32, mask).unwrap_or_default();
}

/// Blocks this thread for about `how_long`, or a little less. Nothing ends it early.
pub(crate) fn pause(how_long: Duration) {
    wait(&AtomicU32::new(0), 0, how_long);
}
