//! An answer that is on its way, for blocking and async callers alike.
//!
//! The answering side is split in two, because a database thread may touch nothing that owns a
//! descriptor: [`Answer::fill`] uses memory and a futex only and is what a database thread calls;
//! [`Answer::wake`] wakes async callers and runs the follow-up, and is what the courier calls, or a
//! blocking caller in its place.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::error::{Error, ErrorCode};
use super::spin::Spin;

/// Does what follows answers, in their order. A blocking caller does it itself once it has its own
/// answer: waking another thread for it costs as much as the commit.
pub(crate) trait Carrier: Send + Sync {
    /// Does what is to be done now, unless somebody is at it.
    fn carry(&self);

    /// Where its callers wait.
    fn waits(&self) -> &Spin;
}

/// The result of a store verb, when it comes.
///
/// Waiting changes nothing: the verb took effect at the call. Dropping it is safe at any time.
#[must_use = "the verb takes effect without it, but its error would go unseen; say `.forget()`"]
pub struct Pending<T>(Arc<Shared<T>>);

/// The side that answers.
pub struct Answer<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    /// Looked at while spinning, without the lock.
    is_filled: AtomicBool,
    carrier: Option<Arc<dyn Carrier>>,
}

/// How long a blocking caller looks before it sleeps: most commits are done by then.
const SPINS: Duration = Duration::from_micros(150);

type Then<T> = Box<dyn FnOnce(&Result<T, Error>) + Send>;

struct State<T> {
    result: Option<Result<T, Error>>,
    then: Option<Then<T>>,
    waker: Option<Waker>,
    /// A blocking caller is at it, and will carry once it has its answer.
    waiting: bool,
    /// It sleeps: without one the wake-up's system call is saved.
    sleeping: bool,
    /// `wake` has run: async callers may look.
    delivered: bool,
}

impl<T: Clone + Send + 'static> Pending<T> {
    /// An open question and the side that answers it.
    pub fn channel() -> (Answer<T>, Pending<T>) {
        Self::made(None, None)
    }

    /// The same, with a follow-up that the courier runs once, in the order of the answers, before
    /// async callers are woken.
    pub fn channel_then(
        then: impl FnOnce(&Result<T, Error>) + Send + 'static,
    ) -> (Answer<T>, Pending<T>) {
        Self::made(Some(Box::new(then)), None)
    }

    /// The same, for answers whose follow-ups `carrier` does.
    pub(crate) fn channel_carried(
        then: Option<Then<T>>,
        carrier: Arc<dyn Carrier>,
    ) -> (Answer<T>, Pending<T>) {
        Self::made(then, Some(carrier))
    }

    fn made(then: Option<Then<T>>, carrier: Option<Arc<dyn Carrier>>) -> (Answer<T>, Pending<T>) {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                result: None,
                then,
                waker: None,
                waiting: false,
                sleeping: false,
                delivered: false,
            }),
            filled: Condvar::new(),
            is_filled: AtomicBool::new(false),
            carrier,
        });
        (Answer(Arc::clone(&shared)), Pending(shared))
    }

    /// An answer that is already there.
    pub fn ready(result: Result<T, Error>) -> Pending<T> {
        let (answer, pending) = Pending::channel();
        answer.fill(result);
        answer.wake();
        pending
    }

    /// Blocks this thread until the answer is there. Never call it on a thread that runs async
    /// handlers.
    pub fn wait(self) -> Result<T, Error> {
        {
            let mut state = self.0.lock();
            // The follow-up may not have looked yet: it keeps its own copy.
            if let Some(result) = state.result.clone() {
                return result;
            }
            state.waiting = true;
        }
        if let Some(carrier) = &self.0.carrier {
            let is_filled = || self.0.is_filled.load(Ordering::Acquire);
            carrier.waits().wait(SPINS, is_filled);
        }
        let result = {
            let mut state = self.0.lock();
            loop {
                if let Some(result) = state.result.clone() {
                    break result;
                }
                state.sleeping = true;
                state = self.0.wait(state);
            }
        };
        if let Some(carrier) = &self.0.carrier {
            carrier.carry();
        }
        result
    }

    /// Lets the answer come unseen, on purpose.
    pub fn forget(self) {}
}

impl<T> Future for Pending<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        if state.delivered {
            let closed = || {
                Err(Error::new(
                    ErrorCode::Closed,
                    "the answer was taken already",
                ))
            };
            return Poll::Ready(state.result.take().unwrap_or_else(closed));
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<T: Clone> Answer<T> {
    /// Puts the answer in place and wakes a blocking caller: memory and a futex, nothing else. Says
    /// whether one waited, who does what follows then.
    pub fn fill(&self, result: Result<T, Error>) -> bool {
        let mut state = self.0.lock();
        state.result = Some(result);
        let (waiting, sleeping) = (state.waiting, state.sleeping);
        drop(state);
        self.0.is_filled.store(true, Ordering::Release);
        if sleeping {
            self.0.filled.notify_all();
        }
        waiting && self.0.carrier.is_some()
    }

    /// Runs the follow-up and wakes an async caller. Never on a database thread.
    pub fn wake(&self) {
        let (then, result) = {
            let mut state = self.0.lock();
            let then = state.then.take();
            let result = match &then {
                // Nobody waits for it any more.
                Some(_) if Arc::strong_count(&self.0) == 1 => state.result.take(),
                Some(_) => state.result.clone(),
                None => None,
            };
            (then, result)
        };
        if let (Some(then), Some(result)) = (then, result) {
            then(&result);
        }
        let waker = {
            let mut state = self.0.lock();
            state.delivered = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.filled
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }
}
