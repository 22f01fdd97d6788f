//! Immediate functions of a durable subscription: run in its own loop, one after the other, while
//! the next claim is on its way. A task for each would cost many times what such a function does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{self, Waker};
use std::time::Duration;

use super::Shared;
use super::durable::Durable;
use super::hosted::Hosted;
use crate::event::Event;
use crate::handler::{Delivery, Kind, Step};
use crate::store::Pending;
use crate::store::deliveries::Claim;

/// How long the loop runs functions before it lets others have its thread and tells the store.
pub(super) const AT_MOST: Duration = Duration::from_millis(5);

/// A claim on its way.
pub(super) struct Asked {
    pub(super) claim: Pending<Option<Claim>>,
    pub(super) wanted: usize,
}

/// A claim asked for before the last one has been run.
#[derive(Default)]
pub(super) struct Ahead {
    asked: Option<Asked>,
    /// How many events the last claim was asked for.
    pub(super) wanted: usize,
    /// The last claim got all that it wanted: another one will find something.
    pub(super) more_follows: bool,
}

impl Ahead {
    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    pub(super) fn take(&mut self) -> Option<Asked> {
        self.asked.take()
    }
}

impl Durable {
    /// Runs what waits, as far as its limits allow at this moment; says whether anything ran. What
    /// did not run goes the way of other functions, which waits.
    pub(super) fn run_here(&mut self) -> bool {
        let hosted = Arc::clone(&self.hosted);
        let definition = &hosted.definition;
        let is_plain = !definition.ordered_by_key && definition.dedup.is_empty();
        if hosted.handler.kind() != Kind::Immediate || !is_plain {
            return false;
        }
        // What has a task already, which may still wait, comes first: events start in log order.
        if self.unstarted() == 0 || !self.running.is_empty() {
            return false;
        }
        self.ask_ahead();
        let shared = Arc::clone(&self.shared);
        // A suspect event of another subscription may want to be alone.
        let Ok(_together) = shared.alone.try_read() else {
            return false;
        };
        let Some(mut series) = hosted.handler.series_now() else {
            return false;
        };
        let Some(_calls) = hosted.start_call_now() else {
            return false;
        };
        let mut counted = Counted::by(&shared);
        let mut waker = task::Context::from_waker(Waker::noop());
        let until = shared.clock.monotonic() + AT_MOST;
        for claimed in &mut self.claims {
            while let Some(event) = claimed.start_next(|_| true) {
                let seq = event.seq.unwrap_or_default();
                counted.delivered += 1;
                let step = series.run(hosted.first(event), (), &mut waker);
                match (step, series.event()) {
                    (Step::Plain(took), Some(event)) => {
                        counted.done += 1;
                        shared.account_plain(&hosted, event, took);
                        claimed.end_plain(seq);
                    }
                    (Step::Ended(ran), Some(event)) => {
                        shared.account(&hosted, event, &ran);
                        claimed.end(shared.settlement(&hosted, event, FIRST, *ran));
                    }
                    // No immediate function waits; it would stay unfinished, and go back.
                    (Step::Waits(_), _) | (_, None) => return true,
                }
                self.ended_since.0 += 1;
                if hosted.is_ended() || series.now() >= until {
                    return true;
                }
            }
        }
        true
    }

    fn ask_ahead(&mut self) {
        if self.ahead.more_follows && self.ahead.asked.is_none() {
            self.ahead.asked = self.ask();
        }
    }
}

/// The attempt of an event that was not run before.
const FIRST: u32 = 1;

impl Hosted {
    /// The first run of an event.
    pub(super) fn first(&self, event: Arc<Event>) -> Delivery {
        Delivery {
            event,
            subscription: self.id,
            attempt: FIRST,
        }
    }
}

/// What runs in place came to, told to the counters of the process when this is dropped: each of
/// them is shared by all threads, and asking for it costs as much as a run.
pub(super) struct Counted<'s> {
    shared: &'s Shared,
    pub(super) delivered: u64,
    pub(super) done: u64,
}

impl<'s> Counted<'s> {
    pub(super) fn by(shared: &'s Shared) -> Counted<'s> {
        Counted {
            shared,
            delivered: 0,
            done: 0,
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let counters = &self.shared.counters;
        counters
            .delivered
            .fetch_add(self.delivered, Ordering::Relaxed);
        counters.done.fetch_add(self.done, Ordering::Relaxed);
    }
}
