//! An answer that is on its way, for blocking and async callers alike.
//!
//! The answering side is split in two, because a database thread may touch nothing that owns a
//! descriptor: [`Answer::fill`] uses memory and a futex only and is what a database thread calls;
//! [`Answer::wake`] wakes async callers and runs the follow-up, and is what the courier calls.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::error::{Error, ErrorCode};

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
}

/// How often a blocking caller looks before it sleeps: a few microseconds, in which most commits
/// are done; a sleep and a wake cost more than the commit.
const SPINS: u32 = 400;

type Then<T> = Box<dyn FnOnce(&Result<T, Error>) + Send>;

struct State<T> {
    result: Option<Result<T, Error>>,
    then: Option<Then<T>>,
    waker: Option<Waker>,
    /// Somebody sleeps: without one the wake-up's system call is saved.
    sleeping: bool,
    /// `wake` has run: async callers may look.
    delivered: bool,
}

impl<T: Clone + Send + 'static> Pending<T> {
    /// An open question and the side that answers it.
    pub fn channel() -> (Answer<T>, Pending<T>) {
        Self::with_then(None)
    }

    /// The same, with a follow-up that the courier runs once, in the order of the answers, before
    /// async callers are woken.
    pub fn channel_then(
        then: impl FnOnce(&Result<T, Error>) + Send + 'static,
    ) -> (Answer<T>, Pending<T>) {
        Self::with_then(Some(Box::new(then)))
    }

    fn with_then(then: Option<Then<T>>) -> (Answer<T>, Pending<T>) {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                result: None,
                then,
                waker: None,
                sleeping: false,
                delivered: false,
            }),
            filled: Condvar::new(),
            is_filled: AtomicBool::new(false),
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
        for _ in 0..SPINS {
            if self.0.is_filled.load(Ordering::Acquire) {
                break;
            }
            std::hint::spin_loop();
        }
        let mut state = self.0.lock();
        loop {
            // The courier's follow-up may not have looked yet: it keeps its own copy.
            if let Some(result) = state.result.clone() {
                return result;
            }
            state.sleeping = true;
            state = self.0.wait(state);
        }
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
    /// Puts the answer in place and wakes a blocking caller: memory and a futex, nothing else.
    pub fn fill(&self, result: Result<T, Error>) {
        let mut state = self.0.lock();
        state.result = Some(result);
        let sleeping = state.sleeping;
        drop(state);
        self.0.is_filled.store(true, Ordering::Release);
        if sleeping {
            self.0.filled.notify_all();
        }
    }

    /// Runs the follow-up and wakes an async caller. Never on a database thread.
    pub fn wake(&self) {
        let (then, result) = {
            let mut state = self.0.lock();
            let then = state.then.take();
            let result = if then.is_some() {
                state.result.clone()
            } else {
                None
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
