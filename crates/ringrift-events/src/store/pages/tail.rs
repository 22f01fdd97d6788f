//! The log's tail in shared memory: what was just appended, for those who wait for it. Who follows the
//! log takes a few events from here instead of asking the database.
//!
//! It is speed, not correctness. Nothing is read from here unless every place from the reader's own up
//! to the end of which a ring told is here, whole, and was committed a moment ago; otherwise the log is
//! read. Two who write the same place at once, or one who dies while it writes, leave bytes whose sum
//! does not fit.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::layout::{SharedCells, TAIL, TAIL_WORDS};
use super::own::micros;
use super::shared::SharedPage;
use super::words;
use crate::clock::{Clock, SystemClock};
use crate::event::Seq;

/// Most bytes of an event in the tail.
pub(crate) const TAIL_BYTES: usize = TAIL_WORDS * 8;

/// What is older is read from the log: it may be deleted by now.
pub(crate) const FRESH_FOR: Duration = Duration::from_millis(100);

/// How long the tail is kept up for somebody who waited for it.
const KEPT_FOR: Duration = Duration::from_secs(5);

/// The tail of one incarnation of the log. Memory only: fit for any thread.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    shared: Arc<SharedPage>,
    incarnation: u64,
}

impl Tail {
    /// The tail on this shared page.
    pub(crate) fn new(shared: Arc<SharedPage>, incarnation: u64) -> Tail {
        Tail {
            shared,
            incarnation,
        }
    }

    /// Of which incarnation.
    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    fn writable(&self) -> Option<&SharedCells> {
        self.shared.cells().filter(|_| self.shared.writable())
    }

    /// Somebody waits for what is appended next.
    pub(crate) fn awaited(&self) {
        if let Some(cells) = self.writable() {
            cells.tail_awaited_us.store(now_us(), Ordering::Release);
        }
    }

    /// Whether somebody has waited lately: what is put here for nobody costs time.
    pub(crate) fn is_awaited(&self) -> bool {
        let awaited = |cells: &SharedCells| cells.tail_awaited_us.load(Ordering::Acquire);
        self.writable()
            .is_some_and(|cells| is_within(awaited(cells), now_us(), KEPT_FOR))
    }

    /// Puts an event here that was committed after `at`, by the boot clock. One of more than
    /// [`TAIL_BYTES`] is left out.
    pub(crate) fn put(&self, seq: Seq, at: Duration, bytes: &[u8]) {
        let (Some(cells), true) = (self.writable(), bytes.len() <= TAIL_BYTES) else {
            return;
        };
        let (at_us, length) = (micros(at), u32::try_from(bytes.len()).unwrap_or(0));
        let place = &cells.tail[place_of(seq.0)];
        words::write(&place.data, bytes);
        place.seq.store(seq.0, Ordering::Relaxed);
        place.at_us.store(at_us, Ordering::Relaxed);
        place.length.store(length, Ordering::Relaxed);
        let sum = self.sum_of(seq.0, at_us, bytes);
        place.sum.store(sum, Ordering::Release);
    }

    /// Begins with the log's end, as whoever opens the store finds it in a write transaction: what was
    /// told of another incarnation, or of a log that was taken back by a copy, holds no more.
    pub(crate) fn begin(&self, end: Seq) {
        let Some(cells) = self.writable() else { return };
        let of = cells.tail_of.swap(self.incarnation, Ordering::AcqRel);
        if of != self.incarnation {
            // A restore is refused while anybody lives: nobody knows the other one.
            cells.tail_end.store(end.0, Ordering::Release);
        }
        cells.tail_end.fetch_min(end.0, Ordering::AcqRel);
    }

    /// Says that the log is committed up to here: before the ring that tells of it.
    pub(crate) fn reached(&self, seq: Seq) {
        if let Some(cells) = self.writable() {
            cells.tail_end.fetch_max(seq.0, Ordering::AcqRel);
        }
    }

    /// What was appended after `after`, at least one and at most `limit`, with its places; none
    /// unless all of it is here.
    pub(crate) fn read(&self, after: Seq, limit: usize) -> Option<Vec<(Seq, Vec<u8>)>> {
        let cells = self.shared.cells()?;
        if cells.tail_of.load(Ordering::Acquire) != self.incarnation {
            return None;
        }
        let end = cells.tail_end.load(Ordering::Acquire);
        let count = usize::try_from(end.checked_sub(after.0)?).ok()?;
        if !(1..=TAIL.min(limit)).contains(&count) {
            return None;
        }
        let now = now_us();
        let place = |seq: i64| Some((Seq(seq), self.read_one(cells, seq, now)?));
        (after.0 + 1..=end).map(place).collect()
    }

    fn read_one(&self, cells: &SharedCells, seq: i64, now_us: u64) -> Option<Vec<u8>> {
        let place = &cells.tail[place_of(seq)];
        let sum = place.sum.load(Ordering::Acquire);
        let at_us = place.at_us.load(Ordering::Relaxed);
        if place.seq.load(Ordering::Relaxed) != seq || !is_within(at_us, now_us, FRESH_FOR) {
            return None;
        }
        let bytes = words::read(&place.data, place.length.load(Ordering::Relaxed))?;
        (self.sum_of(seq, at_us, &bytes) == sum).then_some(bytes)
    }

    fn sum_of(&self, seq: i64, at_us: u64, bytes: &[u8]) -> u64 {
        let sum = words::sum_of(bytes);
        words::mixed(sum, [self.incarnation, seq.cast_unsigned(), at_us])
    }
}

fn place_of(seq: i64) -> usize {
    usize::try_from(seq.rem_euclid(TAIL as i64)).unwrap_or(0)
}

/// Whether `at` lies at most so long before `now`; what lies after it is another clock's.
fn is_within(at_us: u64, now_us: u64, span: Duration) -> bool {
    at_us != 0
        && now_us
            .checked_sub(at_us)
            .is_some_and(|age| age <= micros(span))
}

fn now_us() -> u64 {
    micros(SystemClock.monotonic())
}
