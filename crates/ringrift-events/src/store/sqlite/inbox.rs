//! The queue between callers and database threads, and between those and the courier: memory and
//! a futex, nothing that owns a descriptor.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a thread looks before it sleeps: a few microseconds. A hand-over through the kernel
/// costs about as much as a commit.
const SPINS: u32 = 400;

/// A first-in-first-out queue that can be closed. Its bound is kept by whoever fills it: the
/// store counts what is outstanding from the call until the courier is done with it.
pub(super) struct Inbox<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    length: AtomicUsize,
}

struct State<T> {
    queue: VecDeque<T>,
    sleepers: usize,
    closed: bool,
}

/// What a wait for work came to.
pub(super) enum Taken<T> {
    /// At least one.
    Some(Vec<T>),
    /// The time passed.
    Nothing,
    /// Closed and empty: no more will come.
    Closed,
}

impl<T> Inbox<T> {
    pub(super) fn new() -> Inbox<T> {
        Inbox {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                sleepers: 0,
                closed: false,
            }),
            filled: Condvar::new(),
            length: AtomicUsize::new(0),
        }
    }

    /// Adds one; hands it back if the queue is closed.
    pub(super) fn push(&self, item: T) -> Result<(), T> {
        let mut state = self.lock();
        if state.closed {
            return Err(item);
        }
        state.queue.push_back(item);
        self.length.store(state.queue.len(), Ordering::Release);
        let wake = state.sleepers > 0;
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Takes what is there, at most `max` and as long as `fits` says so (the first always fits),
    /// waiting for the first at most `at_most`.
    pub(super) fn take(
        &self,
        max: usize,
        at_most: Duration,
        mut fits: impl FnMut(&T) -> bool,
    ) -> Taken<T> {
        for _ in 0..SPINS {
            if self.length.load(Ordering::Acquire) > 0 {
                break;
            }
            std::hint::spin_loop();
        }
        let mut state = self.lock();
        if state.queue.is_empty() {
            if state.closed {
                return Taken::Closed;
            }
            state = self.sleep(state, at_most);
        }
        let mut taken = Vec::new();
        while let Some(first) = state.queue.front() {
            if taken.len() >= max || !(fits(first) || taken.is_empty()) {
                break;
            }
            taken.extend(state.queue.pop_front());
        }
        self.length.store(state.queue.len(), Ordering::Release);
        match (taken.is_empty(), state.closed) {
            (false, _) => Taken::Some(taken),
            (true, true) => Taken::Closed,
            (true, false) => Taken::Nothing,
        }
    }

    /// Lets nothing more in; what is there can still be taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Wakes a thread that waits in [`Inbox::take`], for no item.
    pub(super) fn nudge(&self) {
        self.filled.notify_all();
    }

    fn sleep<'a>(
        &self,
        mut state: MutexGuard<'a, State<T>>,
        at_most: Duration,
    ) -> MutexGuard<'a, State<T>> {
        state.sleepers += 1;
        let (mut state, _) = self
            .filled
            .wait_timeout(state, at_most)
            .unwrap_or_else(PoisonError::into_inner);
        state.sleepers -= 1;
        state
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_before_the_close_still_comes_out_in_order() {
        let inbox = Inbox::new();
        for n in 0..3 {
            inbox.push(n).unwrap();
        }
        inbox.close();
        assert_eq!(inbox.push(9), Err(9));
        let Taken::Some(two) = inbox.take(2, Duration::ZERO, |_| true) else {
            panic!("two were there");
        };
        assert_eq!(two, [0, 1]);
        assert!(matches!(inbox.take(2, Duration::ZERO, |_| false), Taken::Some(v) if v == [2]));
        assert!(matches!(
            inbox.take(2, Duration::ZERO, |_| true),
            Taken::Closed
        ));
    }
}
