//! What the host of another language's functions can say and do of one run, beside its answer.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::oneshot;

use super::admit::Ticket;
use super::reply::Reply;
use super::run::{Begun, Late, LateEnd, OpenRun, Ran};
use crate::verdict::FailureKind;

/// How long a look at a run that is beyond its limit may take: a time-out must not wait for whoever
/// is stuck himself.
const LOOK_MAX: Duration = Duration::from_millis(500);

/// How long a run that was cancelled may take to end: it may have to clean up. One that takes longer
/// goes on, as far as anybody can tell.
const CANCEL_PATIENCE: Duration = Duration::from_millis(250);

/// A look at a run, on its way.
pub type Looking = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// Runs one function of another language for us. Told to a run by [`super::Context::run_by`].
pub trait Foreign: Send + Sync + 'static {
    /// Where the run stands: its stack, in its language's words; `None` when that cannot be told. Is
    /// given up after half a second. Never waits on the thread that asks.
    fn look(&self) -> Looking;

    /// The answer of a run whose future was dropped, which may take its time. `None`: it ends with
    /// its future, or is looked after otherwise. Answered once.
    fn end(&self) -> Option<oneshot::Receiver<Reply>>;
}

impl Begun {
    /// Where a run of another language stands, if its host can tell in time.
    pub(super) async fn where_stuck(&self) -> Option<String> {
        let looking = self.context.foreign()?.look();
        tokio::time::timeout(LOOK_MAX, looking).await.ok().flatten()
    }

    /// Waits a moment for the end of a run that was cancelled; answers the end if it has not come.
    pub(super) async fn outlives(&self) -> Option<oneshot::Receiver<Reply>> {
        let mut end = self.context.foreign()?.end()?;
        let ended = tokio::time::timeout(CANCEL_PATIENCE, &mut end).await;
        ended.is_err().then_some(end)
    }
}

/// Gives up a run that did not end when it was cancelled. It keeps its slot until it does.
pub(super) fn give_up(
    open: &mut OpenRun,
    end: oneshot::Receiver<Reply>,
    stuck: Option<String>,
) -> Ran {
    let begun = open.begun.clone();
    begun.abandoned();
    let outcome = begun.timed_out(
        "it did not end when it was cancelled, and keeps its slot until it does",
        stuck,
    );
    let (tell, late) = oneshot::channel();
    let ticket = open.take_ticket();
    let runtime = begun.handler().host.runtime.clone();
    runtime.spawn(async move {
        let late = follow(&begun, end, ticket).await;
        // Nobody may be there any more to hear it.
        drop(tell.send(late));
    });
    open.give_up(outcome, LateEnd(late))
}

async fn follow(begun: &Begun, end: oneshot::Receiver<Reply>, ticket: Option<Ticket>) -> Late {
    let outcome = match end.await {
        Ok(reply) => begun.outcome(reply),
        Err(_) => begun.failed(
            FailureKind::Error,
            "its host ended before it did".to_owned(),
        ),
    };
    let took = begun.took();
    begun.ended_late(&outcome, took);
    if let Some(ticket) = ticket {
        ticket.settle(&outcome);
    }
    Late { outcome, took }
}

#[cfg(test)]
#[path = "foreign_tests.rs"]
mod tests;
