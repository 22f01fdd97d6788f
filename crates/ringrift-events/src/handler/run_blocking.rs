//! A run on a thread of its own, which cannot be stopped, only given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::oneshot;

use super::admit::Ticket;
use super::function::PlainFunction;
use super::named::Handler;
use super::run::{Begun, Delivery, Late, LateEnd, OpenRun, Ran};
use crate::clock;
use crate::verdict::{Code, FailureKind};

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
            self.open.begun.abandoned();
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
        let context = &self.begun.context;
        let tid = rustix::thread::gettid().as_raw_nonzero().get();
        let before = clock::thread_cpu();
        context.on_thread(tid.cast_unsigned(), before);
        let outcome = self.begun.call_measured(function, || {
            context.used_cpu(clock::thread_cpu().saturating_sub(before));
        });
        let took = self.begun.took();
        if !self.fate.decide(ENDED) {
            self.begun.ended_late(&outcome, took);
        }
        // Before the answer: whoever hears of the end finds the key settled and the slot free.
        self.ticket.settle(&outcome);
        Some(Late { outcome, took })
    }

    fn uncount(&self) {
        let counts = &self.begun.handler().counts;
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
        match clock::within(&*handler.host.clock, handler.policy.time_limit, &mut ended).await {
            Some(end) => end,
            None if waiter.give_up() => {
                let begun = &waiter.open.begun;
                let stuck = begun.where_stuck().await;
                let outcome = begun.timed_out(
                    "its thread cannot be stopped and keeps its slot until it ends",
                    stuck,
                );
                return waiter.open.give_up(outcome, LateEnd(ended));
            }
            // It ended at the very moment of its limit: its answer is on its way.
            None => ended.await,
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
