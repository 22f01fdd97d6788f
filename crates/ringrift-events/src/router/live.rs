//! One live subscription's loop: from its mailbox, or from the log while it lags, to its handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Shared;
use super::hosted::Hosted;
use super::runs::Company;
use crate::bus::{Lag, Mailbox};
use crate::clock::{Time, within};
use crate::event::{Event, Seq};
use crate::handler::{Admission, Ticket};
use crate::verdict::{Failure, Outcome};

/// Events taken from the mailbox at once: enough to share one lock among many, few enough that an
/// unsubscribe is seen soon.
const TAKE_MAX: usize = 256;

/// How long a lagging reader waits for the log to show what was offered already.
const LOG_BEHIND: Duration = Duration::from_millis(20);

/// Tries to keep a dead letter before it is given up loudly: with the store's own busy limit this
/// spans minutes.
const PARK_TRIES: u32 = 5;

impl Shared {
    /// Runs until the subscription ends; with [`Hosted::finish`] until its mailbox is empty too.
    pub(super) async fn live_loop(self: Arc<Self>, hosted: Arc<Hosted>, mailbox: Arc<Mailbox>) {
        loop {
            tokio::select! {
                biased;
                () = hosted.until_ended() => break,
                // What was taken has been started, and the mailbox keeps the rest.
                () = hosted.until_asked() => {
                    if hosted.makes_room() {
                        break;
                    }
                    continue;
                }
                () = mailbox.ready() => {}
            }
            let events = mailbox.take(TAKE_MAX);
            if events.is_empty() {
                if mailbox.is_closed() {
                    break;
                }
                if let Some(lag) = mailbox.lag() {
                    self.read_lag(&hosted, &mailbox, lag).await;
                }
                continue;
            }
            let mut left = events.len() as u64;
            for event in events {
                left -= 1;
                hosted.unstarted.store(left, Ordering::Relaxed);
                if !self.start_live(&hosted, event).await {
                    return;
                }
            }
        }
    }

    /// Reads from the log what a full mailbox could not take, and rejoins.
    async fn read_lag(self: &Arc<Self>, hosted: &Arc<Hosted>, mailbox: &Mailbox, lag: Lag) {
        self.log.lagging(&hosted.name, lag.after);
        let mut after = lag.after;
        loop {
            let types = hosted.definition.types.clone();
            let read = self.store.read(after, types, TAKE_MAX).await;
            let (events, read_to) = match read {
                Ok(read) => read,
                Err(error) => {
                    self.log
                        .store_failed("reading the log for a lagging subscription", &error);
                    (Vec::new(), after)
                }
            };
            for event in events {
                let owed = lag.owes(&event) && hosted.takes(&event);
                if owed && !self.start_live(hosted, event).await {
                    return;
                }
            }
            if mailbox.caught_up(read_to) || mailbox.is_closed() {
                return;
            }
            if read_to == after && !self.wait_for_log(hosted).await {
                return;
            }
            after = Seq::max(after, read_to);
        }
    }

    /// Waits a moment for the log to go on; `false` when the subscription ended.
    async fn wait_for_log(&self, hosted: &Hosted) -> bool {
        within(&*self.clock, LOG_BEHIND, hosted.until_ended())
            .await
            .is_none()
    }

    /// Takes one event through the policies and runs it. `false` when the subscription ended
    /// meanwhile.
    async fn start_live(self: &Arc<Self>, hosted: &Arc<Hosted>, event: Arc<Event>) -> bool {
        let admission = tokio::select! {
            biased;
            () = hosted.until_ended() => return false,
            admission = hosted.handler.admit(&event) => admission,
        };
        let ticket = match admission {
            Admission::Run(ticket) => ticket,
            Admission::Duplicate(outcome) => {
                self.duplicate(hosted, &event, &outcome);
                self.note_live_ending(hosted, &event, &outcome);
                self.waits.ended(event.id, hosted.id);
                return true;
            }
        };
        let run = Arc::clone(self).run_live(Arc::clone(hosted), event, ticket);
        if hosted.handler.policy().concurrency == 1 {
            // Nothing of this subscription could run beside it: no task of its own is needed.
            run.await;
        } else {
            self.runtime.spawn(run);
        }
        true
    }

    async fn run_live(self: Arc<Self>, hosted: Arc<Hosted>, event: Arc<Event>, ticket: Ticket) {
        let called = AtomicBool::new(false);
        let ran = self.run(&hosted, &event, 1, ticket, Company::Welcome, &called);
        let Some(ran) = ran.await else {
            self.waits.ended(event.id, hosted.id);
            return;
        };
        if let Outcome::Failed(failure) = &ran.outcome {
            let retry_at = self.retry_at(&hosted, 1, failure);
            self.park(&hosted, &event, failure, retry_at, ran.late.is_some())
                .await;
        }
        self.note_live_ending(&hosted, &event, &ran.outcome);
        self.follow_late(&hosted, &event, ran.late);
        self.waits.ended(event.id, hosted.id);
    }

    /// Keeps a live handler's failure as a dead letter.
    async fn park(
        &self,
        hosted: &Hosted,
        event: &Arc<Event>,
        failure: &Failure,
        retry_at: Option<Time>,
        held: bool,
    ) {
        for tries in 1.. {
            let (event, failure) = (Arc::clone(event), failure.clone());
            let kept = self
                .store
                .park(hosted.id, event, failure.clone(), retry_at, held)
                .await;
            let Err(error) = kept else { return };
            if tries == PARK_TRIES || !error.is_retryable() {
                self.log.letter_lost(&hosted.name, &failure, &error);
                return;
            }
        }
    }
}
