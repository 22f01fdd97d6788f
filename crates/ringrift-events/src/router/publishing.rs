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
    pub(super) bridged: Vec<bool>,
    pub(super) missing: Vec<Vec<String>>,
    pub(super) appended: Option<Pending<Vec<Appended>>>,
    pub(super) routes: Option<Pending<Vec<Vec<Route>>>>,
    pub(super) awaited: Vec<Awaited>,
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
    pub fn wait(mut self) -> Result<Vec<Receipt>, Error> {
        let appended = self.appended.take().map(Pending::wait).transpose();
        let routes = match &appended {
            Ok(_) => self.routes.take().map(Pending::wait).transpose(),
            Err(_) => Ok(None),
        };
        let mut receipts = self.receipts(appended, routes)?;
        for (receipt, awaited) in receipts.iter_mut().zip(&self.awaited) {
            receipt.running = awaited.runs.wait(awaited.at_most);
        }
        Ok(receipts)
    }

    async fn wait_async(mut self) -> Result<Vec<Receipt>, Error> {
        let appended = match self.appended.take() {
            Some(pending) => pending.await.map(Some),
            None => Ok(None),
        };
        let routes = match (&appended, self.routes.take()) {
            (Ok(_), Some(pending)) => pending.await.map(Some),
            (_, None) | (Err(_), _) => Ok(None),
        };
        let mut receipts = self.receipts(appended, routes)?;
        for (receipt, awaited) in receipts.iter_mut().zip(&self.awaited) {
            receipt.running = awaited.runs.wait_async(awaited.at_most).await;
        }
        Ok(receipts)
    }

    fn receipts(
        &self,
        appended: Result<Option<Vec<Appended>>, crate::store::Error>,
        routes: Result<Option<Vec<Vec<Route>>>, crate::store::Error>,
    ) -> Result<Vec<Receipt>, Error> {
        let failed = |source| Error::PublishFailed {
            id: self.ids[0],
            source,
        };
        let mut appended = appended.map_err(failed)?.unwrap_or_default().into_iter();
        let mut routes = routes.map_err(failed)?.unwrap_or_default().into_iter();
        let each = self.ids.iter().zip(&self.bridged).zip(&self.missing);
        let receipts = each.map(|((id, bridged), missing)| {
            let place = if *bridged { appended.next() } else { None };
            let (matched, skipped) = split(routes.next().unwrap_or_default());
            Receipt {
                id: *id,
                seq: place.as_ref().map(|place| place.seq),
                bridged: *bridged,
                duplicate_of: place.and_then(|place| place.duplicate_of),
                matched,
                skipped,
                missing: missing.clone(),
                running: Vec::new(),
            }
        });
        Ok(receipts.collect())
    }
}

type Name = Arc<str>;

fn split(routes: Vec<Route>) -> (Vec<Name>, Vec<(Name, Code)>) {
    let (matched, skipped): (Vec<Route>, Vec<Route>) = routes
        .into_iter()
        .partition(|route| matches!(route.code, Code::RtMatched | Code::WtLagging));
    (
        matched.into_iter().map(|route| route.name).collect(),
        skipped
            .into_iter()
            .map(|route| (route.name, route.code))
            .collect(),
    )
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
