//! One async run as a future that survives its own panics, and counts what it uses.

use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;

use super::function::Running;
use super::panics;
use super::reply::Reply;
use super::run::Begun;
use crate::{clock, trace};

/// Every so many polls the processor's time is asked for, from the second on: asking is a system
/// call, and most runs are polled once.
const MEASURED_EVERY: u64 = 16;

/// A long run tells its page so often what it has used.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// Polls the user's future under the watch, in the trace of its event; a panic is an answer.
pub(super) struct Guarded {
    /// Gone once it has answered: a future that panicked must not be polled again.
    future: Option<Running>,
    begun: Begun,
    trace: trace::Context,
    polls: u64,
    busy: Duration,
    /// Processor time of the measured polls, and how long they held the thread.
    measured: (Duration, Duration),
    told_at: Duration,
}

impl Guarded {
    /// A future that was polled once, for so long.
    pub(super) fn polled(future: Running, begun: Begun, busy: Duration) -> Guarded {
        if !begun.context.is_measured() {
            begun.context.polled(busy);
        }
        Guarded {
            future: Some(future),
            trace: trace::Context::of(begun.context.event()),
            polls: 1,
            busy,
            measured: (Duration::ZERO, Duration::ZERO),
            told_at: begun.at,
            begun,
        }
    }

    fn discard(&mut self) -> Result<(), String> {
        let (trace, future) = (self.trace, self.future.take());
        panics::guarded(|| trace.enter(|| drop(future)))
    }

    /// Counts one poll that began at `began` and used `cpu`, if that was measured.
    fn count(&mut self, began: Duration, cpu: Option<Duration>) {
        let now = self.begun.handler().host.clock.monotonic();
        let busy = now.saturating_sub(began);
        self.polls += 1;
        self.busy += busy;
        let context = &self.begun.context;
        if context.is_measured() {
            return;
        }
        context.polled(busy);
        if let Some(cpu) = cpu {
            self.measured.0 += cpu;
            self.measured.1 += busy;
            let (cpu, busy) = self.measured;
            if !busy.is_zero() {
                // What was measured stands for the rest.
                let share = (cpu.as_secs_f64() / busy.as_secs_f64()).min(1.0);
                context.used_cpu(self.busy.mul_f64(share));
            }
        }
        if self.polls > 1 && now.saturating_sub(self.told_at) >= TOLD_EVERY {
            self.told_at = now;
            context.tell_effort();
        }
    }
}

impl Future for Guarded {
    type Output = Result<Reply, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(future) = this.future.as_mut() else {
            return Poll::Pending;
        };
        let began = this.begun.handler().host.clock.monotonic();
        let stay = this.begun.enter(began);
        let before = (this.polls % MEASURED_EVERY == 1).then(clock::thread_cpu);
        let trace = this.trace;
        let polled = panics::guarded(|| trace.enter(|| future.as_mut().poll(context)));
        let cpu = before.map(|before| clock::thread_cpu().saturating_sub(before));
        this.count(began, cpu);
        let answer = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(reply)) => match this.discard() {
                // The handler said it was done; that its clean-up panicked does not undo it.
                Ok(()) | Err(_) => Ok(reply),
            },
            Err(panic) => {
                drop(this.discard());
                Err(panic)
            }
        };
        drop(stay);
        Poll::Ready(answer)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if self.future.is_some() {
            let now = self.begun.handler().host.clock.monotonic();
            let _stay = self.begun.enter(now);
            drop(self.discard());
        }
    }
}
