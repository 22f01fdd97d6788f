//! What goes wrong, and how often.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock as _, ManualClock, Time};
use crate::store::{Error, ErrorCode, Pending, Store};

/// Late answers that may wait at once; with more, answers come in time.
const LATE_MAX: usize = 64;

/// How often each fault strikes, in thousandths of the calls. Their sum is at most 1,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// Refused with [`ErrorCode::Io`]; nothing happened.
    pub refused: u32,
    /// Applied, but the caller learns only that it may have been. Writing calls alone.
    pub lost: u32,
    /// Applied; the answer comes after `delay`.
    pub late: u32,
    /// [`ErrorCode::Busy`]; nothing happened.
    pub busy: u32,
    /// [`ErrorCode::Full`]; nothing happened. Writing calls alone.
    pub full: u32,
    /// How late a late answer is.
    pub delay: Duration,
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// See [`FaultPlan::refused`].
    Refused,
    /// See [`FaultPlan::lost`].
    Lost,
    /// See [`FaultPlan::late`].
    Late,
    /// See [`FaultPlan::busy`].
    Busy,
    /// See [`FaultPlan::full`].
    Full,
}

/// Whether a call changes the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Reads,
    Writes,
}

/// A store with seeded faults in front of it.
pub struct FaultyStore {
    pub(super) inner: Arc<dyn Store>,
    plan: FaultPlan,
    draws: ManualClock,
    calm: AtomicBool,
    struck: AtomicU64,
    postman: SyncSender<Box<dyn FnOnce() + Send>>,
}

impl FaultyStore {
    /// Puts faults by `plan`, drawn from `seed`, in front of `inner`.
    ///
    /// A lost answer waits for the inner store's: on a store with threads of its own, the call
    /// blocks that long.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, seed: u64, plan: FaultPlan) -> FaultyStore {
        let (postman, letters) = sync_channel::<Box<dyn FnOnce() + Send>>(LATE_MAX);
        let delay = plan.delay;
        // Ends when the store is dropped: nobody holds the other end then.
        std::thread::spawn(move || {
            while let Ok(deliver) = letters.recv() {
                pause(delay);
                deliver();
            }
        });
        FaultyStore {
            inner,
            plan,
            draws: ManualClock::new(Time(0), seed),
            calm: AtomicBool::new(false),
            struck: AtomicU64::new(0),
            postman,
        }
    }

    /// From now on nothing goes wrong (`true`), or again as planned (`false`).
    pub fn calm(&self, calm: bool) {
        self.calm.store(calm, Ordering::SeqCst);
    }

    /// How many calls went wrong so far.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.struck.load(Ordering::SeqCst)
    }

    /// Draws what goes wrong with the next call.
    pub(super) fn draw(&self, effect: Effect) -> Option<Fault> {
        if self.calm.load(Ordering::SeqCst) {
            return None;
        }
        let plan = &self.plan;
        let chances = [
            (Fault::Refused, plan.refused),
            (Fault::Lost, plan.lost),
            (Fault::Late, plan.late),
            (Fault::Busy, plan.busy),
            (Fault::Full, plan.full),
        ];
        let mut draw = u32::try_from(self.draws.random() % 1_000).unwrap_or(0);
        for (fault, chance) in chances {
            if draw < chance {
                let writes_only = matches!(fault, Fault::Lost | Fault::Full);
                let strikes = effect == Effect::Writes || !writes_only;
                self.struck.fetch_add(u64::from(strikes), Ordering::SeqCst);
                return strikes.then_some(fault);
            }
            draw -= chance;
        }
        None
    }

    /// Makes a call, or lets it fail as drawn.
    pub(super) fn through<T: Clone + Send + 'static>(
        &self,
        effect: Effect,
        verb: &str,
        call: impl FnOnce(&dyn Store) -> Pending<T>,
    ) -> Pending<T> {
        match self.draw(effect) {
            None => call(&*self.inner),
            Some(Fault::Late) => self.late(call(&*self.inner)),
            Some(Fault::Lost) => {
                // What it answered is nobody's to know.
                drop(call(&*self.inner).wait());
                Pending::ready(Err(error_of(Fault::Lost, verb)))
            }
            Some(fault @ (Fault::Refused | Fault::Busy | Fault::Full)) => {
                Pending::ready(Err(error_of(fault, verb)))
            }
        }
    }

    /// Keeps an answer back for a while; if too many are kept already, it goes through.
    pub(super) fn late<T: Clone + Send + 'static>(&self, pending: Pending<T>) -> Pending<T> {
        let (answer, late) = Pending::channel();
        let pending = Arc::new(Mutex::new(Some(pending)));
        let kept = Arc::clone(&pending);
        let deliver = move || {
            let pending = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(pending) = pending {
                answer.fill(pending.wait());
                answer.wake();
            }
        };
        if self.postman.try_send(Box::new(deliver)).is_ok() {
            return late;
        }
        let pending = pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        pending.unwrap_or(late)
    }
}

/// What a caller is told of a fault.
pub(super) fn error_of(fault: Fault, verb: &str) -> Error {
    match fault {
        Fault::Refused => Error::new(ErrorCode::Io, format!("cannot {verb}: injected failure")),
        Fault::Lost | Fault::Late => {
            let text = format!("the answer to {verb} was lost: injected failure");
            Error::new(ErrorCode::Io, text).unknown_outcome()
        }
        Fault::Busy => Error::new(ErrorCode::Busy, format!("cannot {verb}: injected lock")),
        Fault::Full => Error::new(
            ErrorCode::Full,
            format!("cannot {verb}: injected full disk"),
        ),
    }
}

/// Waits on a signal that never comes.
fn pause(time: Duration) {
    let (never, signal) = (Mutex::new(()), Condvar::new());
    let guard = never.lock().unwrap_or_else(PoisonError::into_inner);
    drop(signal.wait_timeout_while(guard, time, |()| true));
}
