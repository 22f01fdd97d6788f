//! Waiting for time, by whichever clock: of a task, and of a thread.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use super::Clock;
use super::virtual_clock::{Alarm, Sleeper};

/// Runs a future for at most so long; `None` when the time was over first. Safe to drop, as the
/// future is.
pub async fn within<F: Future>(
    clock: &dyn Clock,
    at_most: Duration,
    future: F,
) -> Option<F::Output> {
    let Some(timers) = clock.timers() else {
        return tokio::time::timeout(at_most, future).await.ok();
    };
    let alarm = Alarm::new(timers, clock.monotonic(), at_most, Sleeper::Task);
    let mut future = pin!(future);
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        // In this order: a clock that moves now either finds the waker or is seen to have moved.
        alarm.set(context.waker());
        if alarm.is_over(clock.monotonic()) {
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}

/// Waits so long. Safe to drop.
pub async fn pause(clock: &dyn Clock, length: Duration) {
    // The time-out is the purpose: nothing else ends this wait.
    let _never = within(clock, length, pending::<()>()).await;
}

/// A value that threads wait to see changed.
#[derive(Debug, Default)]
pub struct Signal<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T: Send + 'static> Signal<T> {
    /// A value that nobody waits for yet.
    #[must_use]
    pub fn new(value: T) -> Arc<Signal<T>> {
        Arc::new(Signal {
            value: Mutex::new(value),
            changed: Condvar::new(),
        })
    }

    /// The value, for this thread alone.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has everybody who waits look again.
    pub fn notify(&self) {
        self.changed.notify_all();
    }

    /// Waits on this thread while the condition holds, at most so long by this clock.
    pub fn wait_while<'a>(
        self: &'a Arc<Self>,
        clock: &dyn Clock,
        at_most: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        let value = self.lock();
        let Some(timers) = clock.timers() else {
            let (value, _timed_out) = self
                .changed
                .wait_timeout_while(value, at_most, condition)
                .unwrap_or_else(PoisonError::into_inner);
            return value;
        };
        let alarm = Alarm::new(timers, clock.monotonic(), at_most, Sleeper::Thread);
        // Before the clock is asked, as in `within`.
        alarm.set(&Waker::from(Arc::clone(self)));
        self.changed
            .wait_while(value, |value| {
                condition(value) && !alarm.is_over(clock.monotonic())
            })
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Wake for Signal<T> {
    fn wake(self: Arc<Self>) {
        // Under the lock: a thread that has looked at the clock and not begun to wait holds it.
        let value = self.lock();
        self.changed.notify_all();
        drop(value);
    }
}
