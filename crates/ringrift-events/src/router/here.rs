//! Immediate functions of a durable subscription: run in its own loop, one after the other, while
//! the next claim is on its way. A task for each would cost many times what such a function does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Shared;
use super::durable::Durable;
use super::hosted::Hosted;
use crate::event::Event;
use crate::handler::{Delivery, Immediate, Ticket};
use crate::store::Pending;
use crate::store::deliveries::{Claim, Settlement};

/// How long the loop runs functions before it lets others have its thread and tells the store.
const AT_MOST: Duration = Duration::from_millis(5);

/// A claim on its way.
pub(super) struct Asked {
    pub(super) claim: Pending<Option<Claim>>,
    pub(super) wanted: usize,
}

/// A claim asked for before the last one has been run.
#[derive(Default)]
pub(super) struct Ahead {
    asked: Option<Asked>,
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
        let Some(function) = hosted.handler.immediate() else {
            return false;
        };
        let is_plain = !hosted.definition.ordered_by_key && hosted.definition.dedup.is_empty();
        // What has a task already, which may still wait, comes first: events start in log order.
        if !is_plain || self.unstarted() == 0 || !self.running.is_empty() {
            return false;
        }
        self.ask_ahead();
        let shared = Arc::clone(&self.shared);
        // A suspect event of another subscription may want to be alone.
        let Ok(_together) = shared.alone.try_read() else {
            return false;
        };
        let Some(mut ticket) = hosted.handler.turn_now() else {
            return false;
        };
        let called = AtomicBool::new(false);
        let Some(_calls) = hosted.start_call(&called) else {
            return false;
        };
        let until = shared.clock.monotonic() + AT_MOST;
        for claimed in &mut self.claims {
            while let Some(event) = claimed.start_next(|_| true) {
                claimed.end(shared.run_in_place(&function, &hosted, &event, &mut ticket));
                self.ended_since.0 += 1;
                if hosted.is_ended() || shared.clock.monotonic() >= until {
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

impl Shared {
    /// Runs one event of an immediate function and says what the store is to keep of it.
    fn run_in_place(
        self: &Arc<Self>,
        function: &Immediate<'_>,
        hosted: &Arc<Hosted>,
        event: &Arc<Event>,
        ticket: &mut Ticket,
    ) -> Settlement {
        const FIRST: u32 = 1;
        let delivery = Delivery {
            event: Arc::clone(event),
            subscription: hosted.id,
            attempt: FIRST,
        };
        self.counters.delivered.fetch_add(1, Ordering::Relaxed);
        let ran = function.run(delivery, ticket);
        self.account(hosted, event, &ran);
        self.settlement(hosted, event, FIRST, ran)
    }
}
