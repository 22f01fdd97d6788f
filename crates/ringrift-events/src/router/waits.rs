//! Waiting for the first outcome of an event's local handlers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::receipt::Route;
use crate::event::EventId;
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::Code;

/// The waits of this process; empty nearly always, which costs one atomic load a run.
#[derive(Debug, Default)]
pub(super) struct Waits {
    open: AtomicUsize,
    events: Mutex<HashMap<EventId, Arc<Runs>>>,
}

/// The runs that one waiting publisher waits for.
#[derive(Debug, Default)]
pub(super) struct Runs {
    state: Mutex<RunsState>,
    changed: Condvar,
    changed_async: Notify,
}

#[derive(Debug, Default)]
struct RunsState {
    routed: bool,
    /// Runs that ended before routing had told which there are.
    early: Vec<SubscriptionId>,
    left: Vec<(SubscriptionId, Arc<str>)>,
}

impl Waits {
    /// Begins a wait, before the event is delivered.
    pub(super) fn begin(&self, id: EventId) -> Arc<Runs> {
        let runs = Arc::new(Runs::default());
        self.lock().insert(id, Arc::clone(&runs));
        self.open.fetch_add(1, Ordering::SeqCst);
        runs
    }

    /// Says which subscriptions got the event.
    pub(super) fn finish_routing(&self, id: EventId, routes: &[Route]) {
        if self.open.load(Ordering::SeqCst) == 0 {
            return;
        }
        let Some(runs) = self.lock().get(&id).cloned() else {
            return;
        };
        let mut state = runs.lock();
        state.routed = true;
        state.left = routes
            .iter()
            .filter(|route| {
                route.code == Code::RtMatched && !state.early.contains(&route.subscription)
            })
            .map(|route| (route.subscription, Arc::clone(&route.name)))
            .collect();
        let done = state.left.is_empty();
        drop(state);
        self.told(id, &runs, done);
    }

    /// Says that one subscription's run of the event ended, whatever came of it.
    pub(super) fn ended(&self, id: EventId, subscription: SubscriptionId) {
        if self.open.load(Ordering::SeqCst) == 0 {
            return;
        }
        let Some(runs) = self.lock().get(&id).cloned() else {
            return;
        };
        let mut state = runs.lock();
        if state.routed {
            state.left.retain(|(left, _)| *left != subscription);
        } else {
            state.early.push(subscription);
        }
        let done = state.routed && state.left.is_empty();
        drop(state);
        self.told(id, &runs, done);
    }

    fn told(&self, id: EventId, runs: &Runs, done: bool) {
        if done && self.lock().remove(&id).is_some() {
            self.open.fetch_sub(1, Ordering::SeqCst);
        }
        runs.changed.notify_all();
        runs.changed_async.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EventId, Arc<Runs>>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runs {
    /// Waits on this thread; answers the handlers that still run when `at_most` is over.
    pub(super) fn wait(&self, at_most: Duration) -> Vec<Arc<str>> {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), at_most, |state| !state.is_over())
            .unwrap_or_else(PoisonError::into_inner);
        state
            .left
            .iter()
            .map(|(_, name)| Arc::clone(name))
            .collect()
    }

    /// The same in a task.
    pub(super) async fn wait_async(&self, at_most: Duration) -> Vec<Arc<str>> {
        let over = async {
            loop {
                let changed = self.changed_async.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if self.lock().is_over() {
                    return;
                }
                changed.await;
            }
        };
        // Over or not, the answer is who is left.
        drop(tokio::time::timeout(at_most, over).await);
        self.lock()
            .left
            .iter()
            .map(|(_, name)| Arc::clone(name))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, RunsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunsState {
    fn is_over(&self) -> bool {
        self.routed && self.left.is_empty()
    }
}
