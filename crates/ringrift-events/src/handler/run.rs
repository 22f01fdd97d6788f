//! One run: the call under its time limit, and what came of it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{self, Poll};
use std::time::Duration;

use tokio::sync::oneshot;

use super::admit::Ticket;
use super::context::Context;
use super::dedup::{MissingField, RanBefore};
use super::function::{Call, PlainFunction};
use super::named::Handler;
use super::policy::TIME_LIMIT_SETTING;
use super::reply::{self, Reply};
use super::series::{Series, Step};
use super::watch::Stay;
use super::{panics, run_blocking};
use crate::clock::Time;
use crate::event::Event;
use crate::store::registry::{Recent, Running};
use crate::store::subscriptions::SubscriptionId;
use crate::trace;
use crate::verdict::{Code, Effort, Failure, FailureKind, Outcome, RetryWish};

/// One event for one handler.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The event.
    pub event: Arc<Event>,
    /// The subscription, as the store names it.
    pub subscription: SubscriptionId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
}

/// What came of a run.
#[derive(Debug)]
pub struct Ran {
    /// The outcome.
    pub outcome: Outcome,
    /// How long it took; at a time-out, the time until it was given up.
    pub took: Duration,
    /// It took longer than the policy's `slow`.
    pub slow: bool,
    /// The step it was in last, as `kind:name`.
    pub step: Option<String>,
    /// A blocking run that was given up and whose thread still runs: how it ends. Its retry must
    /// not be due before that.
    pub late: Option<LateEnd>,
    /// The same dedup key ran before, but its window had ended.
    pub ran_before: Option<RanBefore>,
    /// The dedup key could not be made: the event counted as no duplicate.
    pub missing_field: Option<MissingField>,
    /// The function could not be called: nothing happened, the outcome says nothing, and the
    /// delivery goes back.
    pub not_begun: bool,
}

/// How a given-up run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Late {
    /// What it came to after all.
    pub outcome: Outcome,
    /// How long it took in all.
    pub took: Duration,
}

/// The end of a given-up run, when it comes: its thread cannot be stopped. Safe to drop.
#[derive(Debug)]
pub struct LateEnd(pub(super) oneshot::Receiver<Late>);

impl Future for LateEnd {
    /// `None` if the thread never got to run, or ended without a word.
    type Output = Option<Late>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Option<Late>> {
        Pin::new(&mut self.0).poll(context).map(Result::ok)
    }
}

impl Handler {
    /// Calls the function for one delivery and answers what came of it.
    ///
    /// A panic or an error is an outcome; at the time limit an async function is dropped, a
    /// blocking one given up. Must be polled on the host's runtime. Dropping it drops an async run
    /// and gives up a blocking one, whose thread keeps its slot until it ends.
    pub async fn run(self: &Arc<Self>, delivery: Delivery, mut ticket: Ticket) -> Ran {
        let ran_before = ticket.ran_before.take();
        let missing_field = ticket.missing_field.take();
        let mut ran = match &self.function.0 {
            Call::Blocking(function) => {
                run_blocking::run(self, Arc::clone(function), delivery, ticket).await
            }
            Call::Asynchronous(_) | Call::Immediate(_) => self.run_alone(delivery, ticket).await,
        };
        ran.ran_before = ran_before.or(ran.ran_before);
        ran.missing_field = missing_field.or(ran.missing_field);
        ran
    }

    /// A series of one.
    async fn run_alone(self: &Arc<Self>, delivery: Delivery, mut ticket: Ticket) -> Ran {
        let starts = ticket.take_guard();
        let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
        let step = {
            let mut series = Series::new(self, ticket);
            series.run(delivery, starts, &mut task::Context::from_waker(&waker))
        };
        match step {
            Step::Plain(took) => Ran::of(Outcome::Done, took),
            Step::Ended(ran) => *ran,
            Step::Waits(run) => run.end().await,
        }
    }
}

impl Ran {
    /// Nothing is to be told beside this.
    pub(super) fn of(outcome: Outcome, took: Duration) -> Ran {
        Ran {
            outcome,
            took,
            slow: false,
            step: None,
            late: None,
            ran_before: None,
            missing_field: None,
            not_begun: false,
        }
    }
}

/// A run that has begun. Cheap to clone: a blocking run is known to two threads.
#[derive(Clone)]
pub(super) struct Begun {
    pub(super) context: Context,
    /// By the monotonic clock.
    pub(super) at: Duration,
    /// The same moment by the wall clock: an end is dated by adding what the run took.
    pub(super) since: Time,
}

impl Begun {
    pub(super) fn new(handler: &Arc<Handler>, delivery: Delivery) -> Begun {
        let host = &handler.host;
        let (at, since) = (host.clock.monotonic(), host.clock.now());
        handler.counts.running.fetch_add(1, Ordering::Relaxed);
        handler.counts.begun(&delivery.event, since);
        let slot = host.observer.started(running(&delivery, since));
        Begun {
            context: Context::new(handler, delivery, slot),
            at,
            since,
        }
    }

    pub(super) fn handler(&self) -> &Arc<Handler> {
        self.context.of_handler()
    }

    /// Notes with the watch that this thread calls into the handler from `now` on.
    pub(super) fn enter(&self, now: Duration) -> Stay {
        let Delivery {
            event,
            subscription,
            ..
        } = self.context.delivery();
        let handler = self.handler();
        let whom = (*subscription, &handler.name);
        handler.host.watch.enter(now, whom, event)
    }

    /// Calls a plain function, guarded and within the event's trace; `measure` notes what the call
    /// has used before anything is made of its answer.
    pub(super) fn call_measured(
        &self,
        function: &PlainFunction,
        measure: impl FnOnce(),
    ) -> Outcome {
        let event = self.context.event();
        let called =
            panics::guarded(|| trace::Context::of(event).enter(|| function(&self.context)));
        measure();
        match called {
            Ok(reply) => self.outcome(reply),
            Err(panic) => self.failed(FailureKind::Panic, panic),
        }
    }

    /// What a reply comes to; the user's `Display` may panic as well.
    pub(super) fn outcome(&self, reply: Reply) -> Outcome {
        if reply.is_ok() {
            return Outcome::Done;
        }
        let (took, step) = (self.took(), self.context.current_step());
        match panics::guarded(|| reply::outcome(reply, took, step)) {
            Ok(Outcome::Failed(failure)) => Outcome::Failed(self.found(failure)),
            Ok(outcome) => outcome,
            Err(panic) => self.failed(FailureKind::Panic, panic),
        }
    }

    /// The failure with the circumstances under which it happened.
    fn found(&self, mut failure: Failure) -> Failure {
        let mut found = failure.circumstances.take().unwrap_or_default();
        found.effort = self.context.effort();
        found.steps = self.context.steps();
        found.resources = Some(self.handler().host.vitals.look());
        failure.circumstances = Some(found);
        failure
    }

    pub(super) fn failed(&self, kind: FailureKind, message: String) -> Outcome {
        Outcome::Failed(self.found(Failure {
            kind,
            message,
            took: self.took(),
            step: self.context.current_step(),
            wish: RetryWish::Policy,
            circumstances: None,
        }))
    }

    /// A time-out, whose message names the limit, the step and the setting, and where it was stuck.
    pub(super) fn timed_out(&self, fate: &str, stuck: Option<String>) -> Outcome {
        let limit = self.handler().policy.time_limit.as_secs_f64();
        let step = self.context.current_step();
        let step = step.map_or(String::new(), |step| format!(" in step {step}"));
        let mut message = format!(
            "exceeded its time limit of {limit} s{step}; {fate}; if it needs longer, raise \
             {TIME_LIMIT_SETTING}"
        );
        if let Some(stuck) = stuck {
            message = reply::bounded(format!("{message}\n{stuck}"));
        }
        let mut outcome = self.failed(FailureKind::Timeout, message);
        if let Outcome::Failed(failure) = &mut outcome
            && let Some(found) = &mut failure.circumstances
        {
            found.thread = self.context.thread();
        }
        outcome
    }

    pub(super) fn took(&self) -> Duration {
        let now = self.handler().host.clock.monotonic();
        now.saturating_sub(self.at)
    }

    /// Counts and tells that it was given up and goes on.
    pub(super) fn abandoned(&self) {
        let counts = &self.handler().counts;
        counts.abandoned.fetch_add(1, Ordering::Relaxed);
        if let Some(slot) = self.context.slot() {
            self.handler().host.observer.abandoned(slot);
        }
        self.context.look_at_thread();
    }

    /// Counts and tells how one that was given up has ended.
    pub(super) fn ended_late(&self, outcome: &Outcome, took: Duration) {
        let counts = &self.handler().counts;
        let code = if matches!(outcome, Outcome::Done) {
            counts.late_success.fetch_add(1, Ordering::Relaxed);
            Code::StRecovered
        } else {
            self.remember(outcome, true);
            Code::HnAbandoned
        };
        self.tell(code, took);
        counts.abandoned.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn remember(&self, outcome: &Outcome, late: bool) {
        if let Outcome::Failed(failure) = outcome {
            let Delivery { event, attempt, .. } = self.context.delivery();
            let at = self.since.after(failure.took);
            let counts = &self.handler().counts;
            counts.remember(event, *attempt, failure, at, late);
        }
    }

    /// Tells the observer that the run has really ended.
    pub(super) fn tell(&self, code: Code, took: Duration) {
        let observer = &self.handler().host.observer;
        observer.ended(self.context.slot(), self.recent(code, took));
    }

    /// What is told of its end.
    pub(super) fn recent(&self, code: Code, took: Duration) -> Recent {
        let Delivery {
            event,
            subscription,
            ..
        } = self.context.delivery();
        Recent {
            subscription: *subscription,
            event: event.id,
            code,
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            at: self.since.after(took),
        }
    }

    /// What it came to, with all that its function told.
    pub(super) fn ran(&self, outcome: Outcome, took: Duration) -> Ran {
        let found = self.context.found();
        let event_type = &self.context.event().event_type;
        Ran {
            slow: took > self.handler().policy.slow,
            step: self.context.current_step(),
            ran_before: found.ran_before,
            missing_field: found.missing_field.map(|field| MissingField {
                field,
                event_type: event_type.as_str().to_owned(),
            }),
            ..Ran::of(outcome, took)
        }
    }

    /// It could not be called.
    pub(super) fn not_called(&self, took: Duration) -> Ran {
        let reason = "it could not be called".to_owned();
        Ran {
            not_begun: true,
            ..self.ran(Outcome::Skipped { reason }, took)
        }
    }
}

/// A run as its process's page shows it when it begins.
pub(super) fn running(delivery: &Delivery, since: Time) -> Running {
    Running {
        subscription: delivery.subscription,
        event: delivery.event.id,
        seq: delivery.event.seq,
        since,
        step: None,
        step_since: None,
        abandoned: false,
        effort: Effort::default(),
    }
}

/// The books of a run: they are closed however it ends, also when it is dropped half-way.
pub(super) struct OpenRun {
    pub(super) begun: Begun,
    /// `None` when whoever runs the function keeps it: a thread of its own, or the caller.
    ticket: Option<Ticket>,
    closed: bool,
}

impl OpenRun {
    pub(super) fn begin(
        handler: &Arc<Handler>,
        delivery: Delivery,
        ticket: Option<Ticket>,
    ) -> OpenRun {
        OpenRun::of(Begun::new(handler, delivery), ticket)
    }

    /// The books of a run that has begun already.
    pub(super) fn of(begun: Begun, ticket: Option<Ticket>) -> OpenRun {
        OpenRun {
            begun,
            ticket,
            closed: false,
        }
    }

    /// The run has ended: counted, told, its key settled, its slot free.
    pub(super) fn end(&mut self, outcome: Outcome) -> Ran {
        let took = self.close(&outcome);
        self.begun.tell(outcome.code(), took);
        if let Some(ticket) = self.ticket.take() {
            ticket.settle(&outcome);
        }
        self.begun.ran(outcome, took)
    }

    /// The run is given up at its limit; its thread goes on, and tells when it has ended.
    pub(super) fn give_up(&mut self, outcome: Outcome, late: LateEnd) -> Ran {
        let took = self.close(&outcome);
        Ran {
            late: Some(late),
            ..self.begun.ran(outcome, took)
        }
    }

    /// It could not be called: nothing is counted.
    pub(super) fn not_begun(&mut self) -> Ran {
        self.closed = true;
        let took = self.begun.took();
        let counts = &self.begun.handler().counts;
        counts.running.fetch_sub(1, Ordering::Relaxed);
        self.begun.tell(Code::WtNoProcess, took);
        self.ticket = None;
        self.begun.not_called(took)
    }

    pub(super) fn take_ticket(&mut self) -> Option<Ticket> {
        self.ticket.take()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    fn close(&mut self, outcome: &Outcome) -> Duration {
        self.closed = true;
        let took = self.begun.took();
        let counts = &self.begun.handler().counts;
        counts.running.fetch_sub(1, Ordering::Relaxed);
        counts.ended(outcome, took, self.begun.since.after(took));
        self.begun.remember(outcome, false);
        took
    }
}

impl Drop for OpenRun {
    fn drop(&mut self) {
        if !self.closed {
            let counts = &self.begun.handler().counts;
            counts.running.fetch_sub(1, Ordering::Relaxed);
            // The key and the slots go with the ticket.
            if self.ticket.is_some() {
                self.begun.tell(Code::HnAbandoned, self.begun.took());
            }
        }
    }
}

impl Ticket {
    /// Settles the dedup key by the outcome, then gives the slots back.
    pub(super) fn settle(mut self, outcome: &Outcome) {
        self.settle_key(outcome);
    }

    pub(super) fn settle_key(&mut self, outcome: &Outcome) {
        if let Some(reservation) = self.reservation.take()
            && matches!(outcome, Outcome::Done)
        {
            reservation.confirm();
        }
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
