//! The doorbell: words that every append raises, so that waiting processes look at once.
//!
//! It only saves time. Whoever waits also looks at the database from time to time, for writers
//! that do not ring.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::bells::Bells;
use super::futex;
use super::layout::SharedCells;
use super::shared::SharedPage;

impl SharedPage {
    /// Wakes whoever listens to one of these bells, in every process. Memory and at most one futex
    /// call: fit for a database thread.
    pub(crate) fn ring(&self, bells: Bells) {
        let Some(cells) = self.cells().filter(|_| self.writable()) else {
            return;
        };
        let Some(mask) = bells.mask() else {
            cells.unrung.fetch_add(1, Ordering::SeqCst);
            return;
        };
        for place in bells.places() {
            cells.rung[place].fetch_add(1, Ordering::SeqCst);
        }
        // After the counts: who saw the old word and old counts sleeps only if the word stands.
        cells.bell.fetch_add(1, Ordering::SeqCst);
        // A listener counts itself before it looks at the bell, so one of the two sees the other.
        if cells.listeners.load(Ordering::SeqCst) > 0 {
            futex::wake_all_of(&cells.bell, mask);
        }
    }

    /// How often anything was committed that the doorbell knows of, whether a bell rang or not,
    /// modulo 2³².
    pub(crate) fn told(&self) -> u32 {
        let unrung = |cells: &SharedCells| cells.unrung.load(Ordering::SeqCst);
        self.rings(Bells::ALL)
            .wrapping_add(self.cells().map_or(0, unrung))
    }

    /// Has everybody who waits look again, though no bell rang.
    pub(crate) fn nudge(&self) {
        if let (Some(cells), true) = (self.cells(), self.writable()) {
            cells.bell.fetch_add(1, Ordering::SeqCst);
            futex::wake_all(&cells.bell);
        }
    }

    /// How often these bells rang, all together, modulo 2³².
    pub(crate) fn rings(&self, bells: Bells) -> u32 {
        let Some(cells) = self.cells() else { return 0 };
        let counts = bells
            .places()
            .map(|place| cells.rung[place].load(Ordering::SeqCst));
        counts.fold(0, u32::wrapping_add)
    }

    /// Blocks while none of these bells rings and nobody is nudged, at most `at_most`; not at all where
    /// `is_new` says so, which is asked so late that no ring is missed after it. May return early for
    /// no reason.
    pub(crate) fn listen(&self, bells: Bells, at_most: Duration, is_new: impl FnOnce() -> bool) {
        let (Some(cells), Some(mask)) = (self.cells(), bells.mask()) else {
            return;
        };
        let writable = self.writable();
        if writable {
            cells.listeners.fetch_add(1, Ordering::SeqCst);
        }
        let word = cells.bell.load(Ordering::SeqCst);
        if !is_new() {
            futex::wait_for(&cells.bell, word, at_most, mask);
        }
        if writable {
            // The page may have begun anew under a handle that only reads.
            let one_less = |listeners: u32| listeners.checked_sub(1);
            let (set, fetch) = (Ordering::SeqCst, Ordering::SeqCst);
            let listeners = cells.listeners.fetch_update(set, fetch, one_less);
            listeners.unwrap_or_default();
        }
    }
}
