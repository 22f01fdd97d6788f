//! One async run as a future that survives its own panics.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use super::function::Running;
use super::panics;
use super::reply::Reply;
use super::watch::Watch;
use crate::event::Event;

/// Polls the user's future under the watch; a panic is an answer.
pub(super) struct Guarded {
    /// Gone once it has answered: a future that panicked must not be polled again.
    future: Option<Running>,
    watch: Arc<Watch>,
    handler: Arc<str>,
    event: Arc<Event>,
}

impl Guarded {
    pub(super) fn new(
        future: Running,
        watch: Arc<Watch>,
        handler: Arc<str>,
        event: Arc<Event>,
    ) -> Guarded {
        Guarded {
            future: Some(future),
            watch,
            handler,
            event,
        }
    }

    fn discard(&mut self) -> Result<(), String> {
        let future = self.future.take();
        panics::guarded(|| drop(future))
    }
}

impl Future for Guarded {
    type Output = Result<Reply, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(future) = this.future.as_mut() else {
            return Poll::Pending;
        };
        let stay = this.watch.enter(&this.handler, &this.event);
        let polled = panics::guarded(|| future.as_mut().poll(context));
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
            let _stay = self.watch.enter(&self.handler, &self.event);
            drop(self.discard());
        }
    }
}
