//! Deliveries of one handler that are run one after the other on one thread, where they were taken
//! out: what all of them need is had once, and each costs little more than its function.
//!
//! An immediate function is over when it returns, and most async ones answer at the first poll. One
//! that does not goes on by itself ([`Unfinished`]), under its time limit, and ends the series.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{self, Poll};
use std::time::Duration;

use super::admit::Ticket;
use super::context::Context;
use super::function::{AsyncFunction, Call, PlainFunction, Running};
use super::guard::Guarded;
use super::named::Handler;
use super::reply::{NotDone, Reply};
use super::run::{Begun, Delivery, OpenRun, Ran, running};
use super::watch::Stay;
use super::{foreign, panics};
use crate::clock::within;
use crate::event::Event;
use crate::store::registry::Recent;
use crate::trace;
use crate::verdict::{Code, FailureKind, Outcome};

/// What came of the first runs of a series is told at once: in a short one nothing is gained by
/// waiting, and whoever is stuck afterwards tells nothing.
const TOLD_SINGLY: u32 = 16;

/// Of later ones it is told at the latest after so many.
const TOLD_AT_ONCE: usize = 64;

/// And when the first of them ended so long ago.
const TOLD_WITHIN: Duration = Duration::from_millis(1);

/// Runs of one handler, one after the other, on one ticket. It belongs to the thread that runs it and
/// is not to be kept across an `await`.
pub struct Series<'h> {
    handler: &'h Arc<Handler>,
    ticket: Option<Ticket>,
    /// The present run, or the last one; `None` before the first.
    on: Option<On>,
    /// What came of runs and was not told yet.
    recent: Vec<Recent>,
    /// Plain successes among them, and how long these took.
    plain: (u64, Duration),
    /// Runs so far, counted up to [`TOLD_SINGLY`].
    runs: u32,
}

struct On {
    begun: Begun,
    stay: Stay,
    /// The moment at which the last run ended.
    now: Duration,
    told_at: Duration,
}

/// What one run of a series came to.
#[derive(Debug)]
pub enum Step {
    /// It succeeded and told nothing else, in this time and not slowly: what nearly all come to.
    Plain(Duration),
    /// It came to something else.
    Ended(Box<Ran>),
    /// It waits for something: the series is over, and the run is to be awaited.
    Waits(Box<Unfinished>),
}

/// An async run that did not end at its first poll. Dropping it drops the run.
pub struct Unfinished {
    // In this order: the function's own clean-up is part of its run.
    run: Guarded,
    open: OpenRun,
}

enum Called {
    Replied(Reply),
    Panicked(String),
    Waits(Running),
}

impl Handler {
    /// Whether its deliveries may be run in a series: its function needs no thread of its own, and
    /// nothing lets one of them wait while the next could run.
    #[must_use]
    pub fn runs_in_series(&self) -> bool {
        let in_place = match &self.function.0 {
            Call::Immediate(_) => true,
            Call::Asynchronous(_) => self.policy.concurrency <= 1,
            Call::Blocking(_) => false,
        };
        in_place && self.keys.is_none() && self.pace.is_none()
    }

    /// Begins a series, if the limits allow a run at this moment.
    #[must_use]
    pub fn series_now(self: &Arc<Self>) -> Option<Series<'_>> {
        Some(Series::new(self, self.turn_now()?))
    }
}

impl<'h> Series<'h> {
    pub(super) fn new(handler: &'h Arc<Handler>, ticket: Ticket) -> Series<'h> {
        Series {
            handler,
            ticket: Some(ticket),
            on: None,
            recent: Vec::new(),
            plain: (0, Duration::ZERO),
            runs: 0,
        }
    }

    /// The event that was run last.
    #[must_use]
    pub fn event(&self) -> Option<&Arc<Event>> {
        self.on.as_ref().map(|on| on.begun.context.event())
    }

    /// When the last run ended, by the monotonic clock.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.on.as_ref().map_or(Duration::ZERO, |on| on.now)
    }

    /// Calls the function for one delivery. A panic or an error is an outcome. `starts` is dropped
    /// before an async function is called, and after an immediate one, which is over at once: whoever
    /// waits until calls have begun may as well wait for its end. To be called on the host's runtime,
    /// with the waker of the task that awaits what waits.
    pub fn run<S>(&mut self, delivery: Delivery, starts: S, waker: &mut task::Context<'_>) -> Step {
        let handler = self.handler;
        let on = match &mut self.on {
            Some(on) => {
                on.next(delivery);
                on
            }
            None => self.on.insert(On::first(handler, delivery)),
        };
        let called = match &handler.function.0 {
            Call::Immediate(function) => {
                let called = call_plain(function, &on.begun.context);
                drop(starts);
                called
            }
            Call::Asynchronous(function) => {
                drop(starts);
                call_async(function, &on.begun.context, waker)
            }
            // Its host runs it on a thread of its own: nobody begins a series for it.
            Call::Blocking(function) => call_plain(function, &on.begun.context),
        };
        on.now = handler.host.clock.monotonic();
        let took = on.now.saturating_sub(on.begun.at);
        match called {
            Called::Replied(Ok(()))
                if took <= handler.policy.slow && !on.begun.context.has_told() =>
            {
                self.end_plain(took);
                Step::Plain(took)
            }
            Called::Replied(Err(NotDone::NotBegun)) if handler.is_async() => {
                let ran = on.begun.not_called(took);
                let recent = on.begun.recent(Code::WtNoProcess, took);
                self.tell_later(recent);
                Step::Ended(Box::new(ran))
            }
            Called::Replied(reply) => {
                on.note_poll(handler, took);
                let outcome = on.begun.outcome(reply);
                self.ended(outcome, took)
            }
            Called::Panicked(panic) => {
                on.note_poll(handler, took);
                let outcome = on.begun.failed(FailureKind::Panic, panic);
                self.ended(outcome, took)
            }
            Called::Waits(future) => self.suspend(future, took),
        }
    }

    fn ended(&mut self, outcome: Outcome, took: Duration) -> Step {
        self.end(&outcome, took);
        let ran = match &self.on {
            Some(on) => {
                on.begun.remember(&outcome, false);
                on.begun.ran(outcome, took)
            }
            None => Ran::of(outcome, took),
        };
        Step::Ended(Box::new(ran))
    }

    fn end_plain(&mut self, took: Duration) {
        let Some(on) = &self.on else { return };
        let recent = on.begun.recent(Code::HnOk, took);
        if let Some(ticket) = &mut self.ticket {
            ticket.settle_key(&Outcome::Done);
        }
        self.plain.0 += 1;
        self.plain.1 += took;
        self.tell_later(recent);
    }

    /// Counts the end of a run, settles its key, and has it told.
    fn end(&mut self, outcome: &Outcome, took: Duration) {
        let Some(on) = &self.on else { return };
        let recent = on.begun.recent(outcome.code(), took);
        self.handler.counts.ended(outcome, took, recent.at);
        if let Some(ticket) = &mut self.ticket {
            ticket.settle_key(outcome);
        }
        self.tell_later(recent);
    }

    /// Has the end of a run told, with those of others.
    fn tell_later(&mut self, recent: Recent) {
        let Some(on) = &mut self.on else { return };
        let is_due = on.now.saturating_sub(on.told_at) >= TOLD_WITHIN;
        if is_due || self.recent.len() >= TOLD_AT_ONCE {
            on.told_at = on.now;
            self.tell();
        }
        self.recent.push(recent);
        if self.runs < TOLD_SINGLY {
            self.runs += 1;
            self.tell();
        }
    }

    /// Tells what was not told yet.
    fn tell(&mut self) {
        if !self.recent.is_empty() {
            self.handler.host.observer.recent(&self.recent);
            self.recent.clear();
        }
        let (count, took) = std::mem::take(&mut self.plain);
        if count > 0
            && let Some(on) = &self.on
        {
            let at = on.begun.since.after(on.now.saturating_sub(on.begun.at));
            self.handler.counts.succeeded(count, took, at);
        }
    }

    /// The run goes on by itself, with the ticket, and nothing runs in this series any more.
    fn suspend(&mut self, future: Running, busy: Duration) -> Step {
        self.tell();
        let (Some(on), ticket) = (self.on.take(), self.ticket.take()) else {
            return Step::Plain(busy);
        };
        Step::Waits(Box::new(Unfinished {
            run: Guarded::polled(future, on.begun.clone(), busy),
            open: OpenRun::of(on.begun, ticket),
        }))
    }
}

impl Drop for Series<'_> {
    fn drop(&mut self) {
        self.tell();
        let Some(on) = &self.on else { return };
        self.handler.counts.running.fetch_sub(1, Ordering::Relaxed);
        self.handler.host.observer.vacant(on.begun.context.slot());
    }
}

impl On {
    fn first(handler: &Arc<Handler>, delivery: Delivery) -> On {
        let begun = Begun::new(handler, delivery);
        On {
            stay: begun.enter(begun.at),
            now: begun.at,
            told_at: begun.at,
            begun,
        }
    }

    /// The end of the last run is the begin of the next one.
    fn next(&mut self, delivery: Delivery) {
        let begun = &mut self.begun;
        let since = begun.since.after(self.now.saturating_sub(begun.at));
        (begun.at, begun.since) = (self.now, since);
        let handler = begun.handler();
        handler.counts.begun(&delivery.event, since);
        let slot = begun.context.slot();
        let slot = handler.host.observer.next(slot, running(&delivery, since));
        let same_type = begun.context.event().event_type == delivery.event.event_type;
        self.stay.next(self.now, &delivery.event, same_type);
        begun.context.renew(delivery, slot);
    }

    /// Notes the only poll of an async run.
    fn note_poll(&self, handler: &Handler, busy: Duration) {
        let context = &self.begun.context;
        if handler.is_async() && !context.is_measured() {
            context.polled(busy);
        }
    }
}

fn call_plain(function: &PlainFunction, context: &Context) -> Called {
    let trace = trace::Context::of(context.event());
    match panics::guarded(|| trace.enter(|| function(context))) {
        Ok(reply) => Called::Replied(reply),
        Err(panic) => Called::Panicked(panic),
    }
}

/// Calls the function and polls what it answers once.
fn call_async(
    function: &AsyncFunction,
    context: &Context,
    waker: &mut task::Context<'_>,
) -> Called {
    let trace = trace::Context::of(context.event());
    let (mut future, mut reply) = (None, None);
    let called = panics::guarded(|| {
        trace.enter(|| {
            let running: &mut Running = future.insert(function(context.clone()));
            if let Poll::Ready(answer) = running.as_mut().poll(waker) {
                reply = Some(answer);
                future = None;
            }
        });
    });
    match (called, reply, future) {
        // The handler said it was done; that its clean-up panicked does not undo it.
        (Ok(()) | Err(_), Some(reply), _) => Called::Replied(reply),
        (Ok(()), None, Some(future)) => Called::Waits(future),
        (Err(panic), None, future) => {
            drop(panics::guarded(|| trace.enter(|| drop(future))));
            Called::Panicked(panic)
        }
        (Ok(()), None, None) => Called::Panicked("its future went before it was polled".to_owned()),
    }
}

impl Unfinished {
    /// The event.
    #[must_use]
    pub fn event(&self) -> &Arc<Event> {
        self.open.begun.context.event()
    }

    /// Waits until the run ends or its time limit does, which counts from its begin.
    pub async fn end(self) -> Ran {
        let Unfinished { mut run, mut open } = self;
        let begun = open.begun.clone();
        let handler = begun.handler();
        let left = handler.policy.time_limit.saturating_sub(begun.took());
        let mut is_polled = true;
        let answer = poll_fn(|context| {
            // This task has just polled it, and is woken when it may go on.
            match std::mem::take(&mut is_polled) {
                true => Poll::Pending,
                false => Pin::new(&mut run).poll(context),
            }
        });
        let ended = within(&*handler.host.clock, left, answer).await;
        let outcome = match ended {
            Some(Ok(Err(NotDone::NotBegun))) => return open.not_begun(),
            Some(Ok(reply)) => begun.outcome(reply),
            Some(Err(panic)) => begun.failed(FailureKind::Panic, panic),
            None => {
                // Before it is cancelled: what it is at then is its clean-up.
                let stuck = begun.where_stuck().await;
                drop(run);
                if let Some(end) = begun.outlives().await {
                    return foreign::give_up(&mut open, end, stuck);
                }
                begun.timed_out("it was cancelled", stuck)
            }
        };
        open.end(outcome)
    }
}

impl std::fmt::Debug for Unfinished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unfinished({:?})", self.open.begun.context)
    }
}

#[cfg(test)]
#[path = "series_tests.rs"]
mod tests;
