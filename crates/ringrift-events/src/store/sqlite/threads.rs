//! Counts the running threads of one store, so that its close can wait for their end.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How many run.
#[derive(Clone, Default)]
pub(super) struct Threads(Arc<Counted>);

#[derive(Default)]
struct Counted {
    running: Mutex<usize>,
    ended: Condvar,
}

/// One running thread; dropped at its end, also by a panic.
pub(super) struct Running(Arc<Counted>);

impl Threads {
    /// Counts a thread that is about to start.
    pub(super) fn enter(&self) -> Running {
        *self
            .0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner) += 1;
        Running(Arc::clone(&self.0))
    }

    /// Waits until at most `left` run, or the time passed. Says whether it came so far.
    pub(super) fn wait(&self, left: usize, at_most: Duration) -> bool {
        let running = self
            .0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (running, _) = self
            .0
            .ended
            .wait_timeout_while(running, at_most, |running| *running > left)
            .unwrap_or_else(PoisonError::into_inner);
        *running <= left
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        *self
            .0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.ended.notify_all();
    }
}
