//! What a daemon is, and what it is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use crate::clock::{SharedClock, Signal, Time};

/// A background task with a loop.
pub trait Daemon: Send {
    /// Checks what must be there before the first cycle; a failure is the start's failure.
    ///
    /// # Errors
    /// In words, for the operator.
    fn prepare(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// Runs cycles until [`DaemonContext::wait`] says stop. Returning before that, an error and a
    /// panic are all failures: the supervisor restarts it.
    ///
    /// # Errors
    /// In words, for the operator.
    fn run(&mut self, context: &DaemonContext) -> Result<(), String>;

    /// Called on the daemon's thread once it has stopped for good.
    fn stopped(&mut self) {}
}

/// What a running daemon is given: the stop signal, the clock, and where it tells its progress.
pub struct DaemonContext {
    pub(super) clock: SharedClock,
    stop: Arc<Signal<bool>>,
    cycle_at: AtomicI64,
    standby: AtomicBool,
}

impl DaemonContext {
    pub(super) fn new(clock: SharedClock) -> Arc<DaemonContext> {
        Arc::new(DaemonContext {
            clock,
            stop: Signal::new(false),
            cycle_at: AtomicI64::new(0),
            standby: AtomicBool::new(false),
        })
    }

    /// Waits at most so long. `false` means stop.
    #[must_use]
    pub fn wait(&self, at_most: Duration) -> bool {
        !*self.stop.wait_while(&*self.clock, at_most, |stop| !*stop)
    }

    /// Whether it should stop now.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.stop.lock()
    }

    /// The wall clock.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Tells that a cycle ended: a daemon without progress is a finding, whatever it occupies.
    pub fn cycle(&self) {
        self.cycle_at.store(self.clock.now().0, Ordering::Relaxed);
    }

    /// Tells that another process does the work for now.
    pub fn standby(&self, standby: bool) {
        self.standby.store(standby, Ordering::Relaxed);
    }

    pub(super) fn is_standby(&self) -> bool {
        self.standby.load(Ordering::Relaxed)
    }

    pub(super) fn last_cycle(&self) -> Option<Time> {
        match self.cycle_at.load(Ordering::Relaxed) {
            0 => None,
            at => Some(Time(at)),
        }
    }

    pub(super) fn stop(&self) {
        *self.stop.lock() = true;
        self.stop.notify();
    }
}
