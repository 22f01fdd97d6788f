//! The queue between callers and database threads, and between those and the courier: memory and
//! a futex, nothing that owns a descriptor.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::spin::Spin;

/// How long a thread looks before it sleeps: somebody who publishes one after the other has come
/// again by then.
const SPINS: Duration = Duration::from_micros(50);

/// A queue that can be closed, first in first out unless items give way. Its bound is kept by
/// whoever fills it: the store counts what is outstanding from the call until the courier is done
/// with it.
pub(super) struct Inbox<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    length: AtomicUsize,
    takers: Spin,
}

struct State<T> {
    queue: VecDeque<T>,
    sleepers: usize,
    closed: bool,
    /// Some were taken by a thread that has not begun with them.
    in_hand: bool,
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
                in_hand: false,
            }),
            filled: Condvar::new(),
            length: AtomicUsize::new(0),
            takers: Spin::default(),
        }
    }

    /// Adds one; hands it back if the queue is closed.
    pub(super) fn push(&self, item: T) -> Result<(), T> {
        let mut state = self.lock();
        if state.closed {
            return Err(item);
        }
        state.queue.push_back(item);
        self.added(state, true);
        Ok(())
    }

    /// Adds one before those at the queue's end that `give_way` to it.
    pub(super) fn push_before(
        &self,
        item: T,
        mut give_way: impl FnMut(&mut T, &T) -> bool,
    ) -> Result<(), T> {
        let mut state = self.lock();
        if state.closed {
            return Err(item);
        }
        let mut at = state.queue.len();
        while at > 0 && give_way(&mut state.queue[at - 1], &item) {
            at -= 1;
        }
        state.queue.insert(at, item);
        self.added(state, true);
        Ok(())
    }

    /// Adds some, and does `then` to each before anybody can take it; who sleeps is woken once for
    /// all of them, unless that says for each that it is taken care of.
    pub(super) fn push_all(
        &self,
        items: Vec<T>,
        mut then: impl FnMut(&mut T) -> bool,
    ) -> Result<(), Vec<T>> {
        let mut state = self.lock();
        if state.closed {
            return Err(items);
        }
        let mut wake = false;
        for mut item in items {
            wake |= !then(&mut item);
            state.queue.push_back(item);
        }
        self.added(state, wake);
        Ok(())
    }

    fn added(&self, state: MutexGuard<'_, State<T>>, wake: bool) {
        self.length.store(state.queue.len(), Ordering::Release);
        let wake = wake && state.sleepers > 0;
        drop(state);
        if wake {
            self.filled.notify_one();
        }
    }

    /// Takes what is there, at most `max` and as long as `fits` says so (the first always fits),
    /// waiting for the first at most `at_most`.
    pub(super) fn take(
        &self,
        max: usize,
        at_most: Duration,
        fits: impl FnMut(&T) -> bool,
    ) -> Taken<T> {
        self.take_or_rest(max, at_most, || {}, fits)
    }

    /// The same; calls `rest` before it sleeps.
    pub(super) fn take_or_rest(
        &self,
        max: usize,
        at_most: Duration,
        rest: impl FnOnce(),
        fits: impl FnMut(&T) -> bool,
    ) -> Taken<T> {
        if !self.takers.wait(SPINS, || self.is_filled()) {
            rest();
        }
        let mut state = self.until_filled(at_most);
        if state.queue.is_empty() && state.closed {
            return Taken::Closed;
        }
        match self.take_from(&mut state, max, fits) {
            taken if taken.is_empty() => Taken::Nothing,
            taken => {
                state.in_hand = true;
                Taken::Some(taken)
            }
        }
    }

    /// Takes what is there now, within the same bounds.
    pub(super) fn take_now(&self, max: usize, fits: impl FnMut(&T) -> bool) -> Vec<T> {
        self.take_from(&mut self.lock(), max, fits)
    }

    /// Whether something is there, as seen without the lock.
    pub(super) fn is_filled(&self) -> bool {
        self.length.load(Ordering::Acquire) > 0
    }

    /// Whether nothing is there. Asks under the lock: what was put in before is seen.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().queue.is_empty()
    }

    /// The thread that took some has begun with them: what comes now comes after them.
    pub(super) fn begun(&self) {
        self.lock().in_hand = false;
    }

    /// Whether nothing is there, nor taken and not begun with.
    pub(super) fn is_done(&self) -> bool {
        let state = self.lock();
        state.queue.is_empty() && !state.in_hand
    }

    /// Waits for the first, at most so long, and does not spin: who waits like this is woken only
    /// for what nobody else does. Says whether none will come any more.
    pub(super) fn wait(&self, at_most: Duration) -> bool {
        let state = self.until_filled(at_most);
        state.queue.is_empty() && state.closed
    }

    fn until_filled(&self, at_most: Duration) -> MutexGuard<'_, State<T>> {
        let state = self.lock();
        if state.queue.is_empty() && !state.closed {
            return self.sleep(state, at_most);
        }
        state
    }

    fn take_from(
        &self,
        state: &mut State<T>,
        max: usize,
        mut fits: impl FnMut(&T) -> bool,
    ) -> Vec<T> {
        let mut taken = Vec::new();
        while let Some(first) = state.queue.front() {
            if taken.len() >= max || !(fits(first) || taken.is_empty()) {
                break;
            }
            taken.extend(state.queue.pop_front());
        }
        self.length.store(state.queue.len(), Ordering::Release);
        taken
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
    fn those_at_the_end_give_way_as_long_as_they_do() {
        let inbox = Inbox::new();
        for n in [5, 9, 2, 8, 7] {
            inbox.push(n).unwrap();
        }
        let larger = |waiting: &mut i32, new: &i32| *waiting > *new;
        inbox.push_before(3, larger).unwrap();
        inbox.push_before(9, larger).unwrap();
        assert_eq!(inbox.take_now(9, |_| true), [5, 9, 2, 3, 8, 7, 9]);
    }

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
