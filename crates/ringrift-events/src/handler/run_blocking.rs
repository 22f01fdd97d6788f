//! A run on a thread of its own, which cannot be stopped, only given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::oneshot;

use super::admit::Ticket;
use super::function::PlainFunction;
use super::named::Handler;
use super::run::{Begun, Delivery, Late, LateEnd, OpenRun, Ran};
use crate::verdict::{Code, FailureKind, Outcome};

const RUNNING: u8 = 0;
const ENDED: u8 = 1;
const GIVEN_UP: u8 = 2;

/// Said by the thread when it begins.
#[derive(Debug)]
struct Started;

/// Which came first: the run's end or its being given up.
#[derive(Debug, Default)]
struct Fate(AtomicU8);

impl Fate {
    /// `false` when the other side was first.
    fn decide(&self, fate: u8) -> bool {
        self.0
            .compare_exchange(RUNNING, fate, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    fn is_given_up(&self) -> bool {
        self.0.load(Ordering::Acquire) == GIVEN_UP
    }
}

/// Whoever waits for the run. Dropped half-way it gives the run up.
struct Waiter {
    fate: Arc<Fate>,
    open: OpenRun,
}

impl Waiter {
    fn give_up(&self) -> bool {
        let given_up = self.fate.decide(GIVEN_UP);
        if given_up {
            let begun = &self.open.begun;
            let counts = &begun.handler.counts;
            counts.abandoned.fetch_add(1, Ordering::Relaxed);
            if let Some(slot) = begun.context.slot() {
                begun.handler.host.observer.abandoned(slot);
            }
        }
        given_up
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if !self.open.is_closed() && !self.give_up() {
            // The thread has ended and leaves the telling to a waiter that goes away.
            let begun = &self.open.begun;
            begun.tell(Code::HnAbandoned, begun.took());
        }
    }
}

/// The thread's side: it holds the ticket until it really ends.
struct Worker {
    begun: Begun,
    fate: Arc<Fate>,
    ticket: Ticket,
}

impl Worker {
    fn work(mut self, function: &PlainFunction) -> Option<Late> {
        if self.fate.is_given_up() {
            // Nobody waits any more, and it has not begun.
            self.begun.tell(Code::HnAbandoned, self.begun.took());
            self.uncount();
            return None;
        }
        self.ticket.called();
        let outcome = self.begun.call(function);
        let took = self.begun.took();
        if !self.fate.decide(ENDED) {
            self.end_late(&outcome, took);
        }
        // Before the answer: whoever hears of the end finds the key settled and the slot free.
        self.ticket.settle(&outcome);
        Some(Late { outcome, took })
    }

    fn end_late(&self, outcome: &Outcome, took: std::time::Duration) {
        let code = if matches!(outcome, Outcome::Done) {
            let counts = &self.begun.handler.counts;
            counts.late_success.fetch_add(1, Ordering::Relaxed);
            Code::StRecovered
        } else {
            self.begun.remember(outcome, true);
            Code::HnAbandoned
        };
        self.begun.tell(code, took);
        self.uncount();
    }

    fn uncount(&self) {
        let counts = &self.begun.handler.counts;
        counts.abandoned.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs a blocking function on a thread of the host's runtime.
pub(super) async fn run(
    handler: &Arc<Handler>,
    function: PlainFunction,
    delivery: Delivery,
    ticket: Ticket,
) -> Ran {
    let mut waiter = Waiter {
        fate: Arc::default(),
        open: OpenRun::begin(handler, delivery, None),
    };
    let worker = Worker {
        begun: waiter.open.begun.clone(),
        fate: Arc::clone(&waiter.fate),
        ticket,
    };
    let (started_tx, started) = oneshot::channel();
    let (ended_tx, mut ended) = oneshot::channel();
    // The thread answers by itself; nobody may be there any more to hear it.
    drop(handler.host.runtime.spawn_blocking(move || {
        drop(started_tx.send(Started));
        if let Some(late) = worker.work(&function) {
            drop(ended_tx.send(late));
        }
    }));
    // The limit counts from the thread's start, not from the moment it was asked for.
    let end = if started.await.is_err() {
        ended.await
    } else {
        match tokio::time::timeout(handler.policy.time_limit, &mut ended).await {
            Ok(end) => end,
            Err(_) if waiter.give_up() => {
                let begun = &waiter.open.begun;
                let outcome = begun.timed_out("its thread still runs and keeps its slot");
                return waiter.open.give_up(outcome, LateEnd(ended));
            }
            // It ended at the very moment of its limit: its answer is on its way.
            Err(_) => ended.await,
        }
    };
    let outcome = match end {
        Ok(late) => late.outcome,
        Err(_) => waiter.open.begun.failed(
            FailureKind::Error,
            "the runtime ended before the handler could run".to_owned(),
        ),
    };
    waiter.open.end(outcome)
}
