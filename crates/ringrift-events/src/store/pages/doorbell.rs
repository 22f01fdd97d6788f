//! The doorbell: one word that every append raises, so that waiting processes look at once.
//!
//! It only saves time. Whoever waits also looks at the database from time to time, for writers
//! that do not ring.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::futex;
use super::shared::SharedPage;

impl SharedPage {
    /// Wakes whoever waits, in every process. Memory and at most one futex call: fit for a
    /// database thread.
    pub(crate) fn ring(&self) {
        let Some(cells) = self.cells() else { return };
        if !self.writable() {
            return;
        }
        cells.bell.fetch_add(1, Ordering::SeqCst);
        // A listener counts itself before it looks at the bell, so one of the two sees the other.
        if cells.listeners.load(Ordering::SeqCst) > 0 {
            futex::wake_all(&cells.bell);
        }
    }

    /// How often it rang, modulo 2³².
    pub(crate) fn rings(&self) -> u32 {
        self.cells()
            .map_or(0, |cells| cells.bell.load(Ordering::SeqCst))
    }

    /// Blocks while nobody rings, at most `at_most`, and answers how often it rang. Returns at
    /// once if that is not `seen`; may return early for no reason.
    pub(crate) fn listen(&self, seen: u32, at_most: Duration) -> u32 {
        let Some(cells) = self.cells() else {
            return seen;
        };
        let writable = self.writable();
        if writable {
            cells.listeners.fetch_add(1, Ordering::SeqCst);
        }
        if cells.bell.load(Ordering::SeqCst) == seen {
            futex::wait(&cells.bell, seen, at_most);
        }
        if writable {
            cells.listeners.fetch_sub(1, Ordering::SeqCst);
        }
        cells.bell.load(Ordering::SeqCst)
    }
}
