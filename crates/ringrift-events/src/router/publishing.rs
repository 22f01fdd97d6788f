//! A publish on its way: waiting for it, on a thread or in a task.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::Error;
use super::receipt::{Receipt, Route};
use super::waits::Runs;
use crate::event::EventId;
use crate::store::Pending;
use crate::store::log::Appended;
use crate::verdict::Code;

/// One publish on its way. Dropping it loses nothing.
#[must_use = "the event is published without it, but a failed commit would go unseen"]
pub struct Publishing(pub(super) PublishingMany);

/// Several publishes of one transaction on their way. Dropping it loses nothing.
#[must_use = "the events are published without it, but a failed commit would go unseen"]
pub struct PublishingMany {
    pub(super) ids: Vec<EventId>,
    /// The rest, in the same order.
    pub(super) sent: Vec<Sent>,
    pub(super) appended: Option<Pending<Vec<Appended>>>,
    pub(super) routed: Routed,
}

/// What is known of one event before its commit.
pub(super) struct Sent {
    pub(super) bridged: bool,
    pub(super) missing: Vec<String>,
    pub(super) awaited: Option<Awaited>,
}

/// Which live subscriptions of this process got the events: an entry for each, or none at all where
/// nobody is interested.
pub(super) enum Routed {
    Now(Vec<Vec<Route>>),
    AtCommit(Pending<Vec<Vec<Route>>>),
}

/// A wait for the handlers of one event.
pub(super) struct Awaited {
    pub(super) runs: Arc<Runs>,
    pub(super) at_most: Duration,
}

impl Publishing {
    /// The event's id, known before the commit.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.0.ids[0]
    }

    /// Waits on this thread. Never call it on a thread that runs async handlers.
    ///
    /// # Errors
    /// [`Error::PublishFailed`] with the event's id; [`Error::may_have_applied`](crate::coded::Coded::may_have_applied)
    /// says whether the outcome is unknown, and publishing that id again is then safe.
    pub fn wait(self) -> Result<Receipt, Error> {
        // One event was sent, so one receipt comes; its absence would be a stop half-way.
        self.0.wait()?.pop().ok_or(Error::Stopped {
            attempted: "publish",
        })
    }
}

impl PublishingMany {
    /// The events' ids, known before the commit.
    #[must_use]
    pub fn ids(&self) -> &[EventId] {
        &self.ids
    }

    /// Waits on this thread. Never call it on a thread that runs async handlers.
    ///
    /// # Errors
    /// As [`Publishing::wait`]; nothing of it was published then, or all of it.
    pub fn wait(self) -> Result<Vec<Receipt>, Error> {
        let appended = self.appended.map(Pending::wait).transpose();
        let routes = match (&appended, self.routed) {
            (Ok(_), Routed::AtCommit(pending)) => pending.wait(),
            (Ok(_), Routed::Now(routes)) => Ok(routes),
            (Err(_), _) => Ok(Vec::new()),
        };
        let mut receipts = receipts(&self.ids, &self.sent, appended, routes)?;
        for (receipt, sent) in receipts.iter_mut().zip(&self.sent) {
            if let Some(awaited) = &sent.awaited {
                receipt.running = awaited.runs.wait(awaited.at_most);
            }
        }
        Ok(receipts)
    }

    async fn wait_async(self) -> Result<Vec<Receipt>, Error> {
        let appended = match self.appended {
            Some(pending) => pending.await.map(Some),
            None => Ok(None),
        };
        let routes = match (&appended, self.routed) {
            (Ok(_), Routed::AtCommit(pending)) => pending.await,
            (Ok(_), Routed::Now(routes)) => Ok(routes),
            (Err(_), _) => Ok(Vec::new()),
        };
        let mut receipts = receipts(&self.ids, &self.sent, appended, routes)?;
        for (receipt, sent) in receipts.iter_mut().zip(&self.sent) {
            if let Some(awaited) = &sent.awaited {
                receipt.running = awaited.runs.wait_async(awaited.at_most).await;
            }
        }
        Ok(receipts)
    }
}

fn receipts(
    ids: &[EventId],
    sent: &[Sent],
    appended: Result<Option<Vec<Appended>>, crate::store::Error>,
    routes: Result<Vec<Vec<Route>>, crate::store::Error>,
) -> Result<Vec<Receipt>, Error> {
    let failed = |source| Error::PublishFailed { id: ids[0], source };
    let mut appended = appended.map_err(failed)?.unwrap_or_default().into_iter();
    let mut routes = routes.map_err(failed)?.into_iter();
    let receipts = ids.iter().zip(sent).map(|(id, sent)| {
        let place = if sent.bridged { appended.next() } else { None };
        let (matched, skipped) = split(routes.next().unwrap_or_default());
        Receipt {
            id: *id,
            seq: place.as_ref().map(|place| place.seq),
            bridged: sent.bridged,
            duplicate_of: place.and_then(|place| place.duplicate_of),
            matched,
            skipped,
            missing: sent.missing.clone(),
            running: Vec::new(),
        }
    });
    Ok(receipts.collect())
}

type Name = Arc<str>;

fn split(routes: Vec<Route>) -> (Vec<Name>, Vec<(Name, Code)>) {
    let (mut matched, mut skipped) = (Vec::with_capacity(routes.len()), Vec::new());
    for Route { name, code, .. } in routes {
        if matches!(code, Code::RtMatched | Code::WtLagging) {
            matched.push(name);
        } else {
            skipped.push((name, code));
        }
    }
    (matched, skipped)
}

impl IntoFuture for Publishing {
    type Output = Result<Receipt, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut receipts = self.0.wait_async().await?;
            receipts.pop().ok_or(Error::Stopped {
                attempted: "publish",
            })
        })
    }
}

impl IntoFuture for PublishingMany {
    type Output = Result<Vec<Receipt>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.wait_async())
    }
}
