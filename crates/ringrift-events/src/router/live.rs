//! One live subscription's loop: from its mailbox, or from the log while it lags, to its handler.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{self, Poll, Waker};
use std::time::Duration;

use super::Shared;
use super::here::{AT_MOST, Counted};
use super::hosted::Hosted;
use super::runs::Company;
use crate::bus::{Lag, Mailbox, Spent};
use crate::clock::{Time, within};
use crate::event::{Event, Seq};
use crate::handler::{Admission, Kind, Ran, Step, Ticket, Unfinished};
use crate::store::spin::Spin;
use crate::verdict::{Failure, Outcome};

/// Events taken from the mailbox at once: enough to share one lock among many, few enough that an
/// unsubscribe is seen soon.
const TAKE_MAX: usize = 256;

/// How long a lagging reader waits for the log to show what was offered already.
const LOG_BEHIND: Duration = Duration::from_millis(20);

/// Tries to keep a dead letter before it is given up loudly: with the store's own busy limit this
/// spans minutes.
const PARK_TRIES: u32 = 5;

/// How long a loop looks for the next event before it sleeps, where that pays: waking it costs its
/// publisher more than a publish.
const LOOKS_FOR: Duration = Duration::from_micros(20);

/// One loop of a live subscription that does not wait for events.
struct Awake<'c>(&'c AtomicUsize);

impl<'c> Awake<'c> {
    fn one_of(count: &'c AtomicUsize) -> Awake<'c> {
        count.fetch_add(1, Ordering::Relaxed);
        Awake(count)
    }

    /// No other loop has anything to do with this thread.
    fn is_alone(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 1
    }
}

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How far events were run in place.
enum Went {
    /// The limits allow no run at this moment: the first event waits for them.
    Nowhere,
    /// All, or until others are to have the thread.
    On,
    /// The subscription ended.
    Over,
    /// Up to this event, which came to something else.
    Ended(Arc<Event>, Box<Ran>),
    /// Up to this run, which is not over.
    Waits(Box<Unfinished>),
}

impl Hosted {
    /// Takes out the first event, and notes how many it leaves.
    fn next_of(&self, events: &mut VecDeque<Arc<Event>>) -> Option<Arc<Event>> {
        let event = events.pop_front()?;
        self.unstarted.store(events.len() as u64, Ordering::Relaxed);
        Some(event)
    }
}

/// Waits until there is something to take or to end for.
async fn wait_for_work(hosted: &Hosted, mailbox: &Mailbox) {
    tokio::select! {
        biased;
        () = hosted.until_ended() => {}
        () = hosted.until_asked() => {}
        () = mailbox.ready() => {}
    }
}

impl Shared {
    /// Runs until the subscription ends; with [`Hosted::finish`] until its mailbox is empty too.
    pub(super) async fn live_loop(self: Arc<Self>, hosted: Arc<Hosted>, mailbox: Arc<Mailbox>) {
        let (mut events, mut spent) = (VecDeque::new(), Spent::default());
        let mut until = self.clock.monotonic() + AT_MOST;
        let spin = Spin::default();
        let mut awake = Awake::one_of(&self.live_awake);
        while !hosted.is_ended() {
            // What was taken has been started, and the mailbox keeps the rest.
            if hosted.is_asked() && hosted.makes_room() {
                break;
            }
            if mailbox.take_into(&mut events, TAKE_MAX, &mut spent) == 0 {
                if mailbox.is_closed() {
                    break;
                }
                if let Some(lag) = mailbox.lag() {
                    self.read_lag(&hosted, &mailbox, lag, &mut spent, &mut until)
                        .await;
                } else if !awake.is_alone()
                    || !spin.wait(LOOKS_FOR, || mailbox.has_news() || !awake.is_alone())
                {
                    drop(awake);
                    wait_for_work(&hosted, &mailbox).await;
                    awake = Awake::one_of(&self.live_awake);
                }
                until = self.clock.monotonic() + AT_MOST;
                continue;
            }
            if !self
                .start_all(&hosted, &mut events, &mut spent, &mut until)
                .await
            {
                break;
            }
        }
        // Taken and not begun: nobody is to wait for them.
        for event in events {
            self.waits.ended(event.id, hosted.id);
        }
    }

    /// Starts events one after the other, and lets others have the thread at `until` and from then on
    /// as often. `false` when the subscription ended meanwhile.
    async fn start_all(
        self: &Arc<Self>,
        hosted: &Arc<Hosted>,
        events: &mut VecDeque<Arc<Event>>,
        spent: &mut Spent,
        until: &mut Duration,
    ) -> bool {
        while !events.is_empty() {
            if !self.start_some(hosted, events, spent, *until).await {
                return false;
            }
            let now = self.clock.monotonic();
            if now >= *until {
                tokio::task::yield_now().await;
                *until = now + AT_MOST;
            }
        }
        true
    }

    /// Starts the first events, in place as far as that goes, else one. `false` when the
    /// subscription ended meanwhile.
    async fn start_some(
        self: &Arc<Self>,
        hosted: &Arc<Hosted>,
        events: &mut VecDeque<Arc<Event>>,
        spent: &mut Spent,
        until: Duration,
    ) -> bool {
        // A suspect event of another subscription may want to be alone.
        if hosted.handler.runs_in_series()
            && let Ok(together) = self.alone.try_read()
        {
            let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
            let ended = match self.run_in_place(hosted, events, spent, until, &waker) {
                Went::Nowhere => None,
                Went::On => return true,
                Went::Over => return false,
                Went::Ended(event, ran) => Some((event, ran)),
                Went::Waits(run) => Some((Arc::clone(run.event()), Box::new(run.end().await))),
            };
            drop(together);
            if let Some((event, ran)) = ended {
                self.ended_live(hosted, &event, *ran).await;
                return true;
            }
        }
        self.start_first(hosted, events).await
    }

    async fn start_first(
        self: &Arc<Self>,
        hosted: &Arc<Hosted>,
        events: &mut VecDeque<Arc<Event>>,
    ) -> bool {
        match hosted.next_of(events) {
            Some(event) => self.start_live(hosted, event).await,
            None => true,
        }
    }

    /// Runs events one after the other on this thread until one comes to more than a plain success.
    fn run_in_place(
        &self,
        hosted: &Arc<Hosted>,
        events: &mut VecDeque<Arc<Event>>,
        spent: &mut Spent,
        until: Duration,
        waker: &Waker,
    ) -> Went {
        let Some(mut series) = hosted.handler.series_now() else {
            return Went::Nowhere;
        };
        // An immediate function is over when it returns: one guard serves all, and an end that waits
        // for it waits no longer than for one function, since it is seen after each.
        let is_immediate = hosted.handler.kind() == Kind::Immediate;
        let calls = is_immediate.then(|| hosted.start_call_now());
        if let Some(None) = calls {
            return Went::Over;
        }
        let mut counted = Counted::by(self);
        let mut waker = task::Context::from_waker(waker);
        while let Some(event) = hosted.next_of(events) {
            let starts = match is_immediate {
                true => None,
                false => hosted.start_call_now(),
            };
            if starts.is_none() && hosted.is_ended() {
                self.waits.ended(event.id, hosted.id);
                return Went::Over;
            }
            counted.delivered += 1;
            let step = series.run(hosted.first(event), starts, &mut waker);
            let event = series.event();
            match (step, event) {
                (Step::Plain(took), Some(event)) => {
                    counted.done += 1;
                    self.account_plain(hosted, event, took);
                    self.waits.ended(event.id, hosted.id);
                    spent.note(event);
                }
                (Step::Ended(ran), Some(event)) => return Went::Ended(Arc::clone(event), ran),
                (Step::Waits(run), _) => return Went::Waits(run),
                (Step::Plain(_) | Step::Ended(_), None) => return Went::On,
            }
            if series.now() >= until {
                break;
            }
        }
        Went::On
    }

    /// Reads from the log what a full mailbox could not take, and rejoins.
    async fn read_lag(
        self: &Arc<Self>,
        hosted: &Arc<Hosted>,
        mailbox: &Mailbox,
        lag: Lag,
        spent: &mut Spent,
        until: &mut Duration,
    ) {
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
            let is_owed = |event: &Arc<Event>| lag.owes(event) && hosted.takes(event);
            let mut owed = events.into_iter().filter(is_owed).collect();
            if !self.start_all(hosted, &mut owed, spent, until).await {
                return;
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
            () = hosted.until_ended() => {
                self.waits.ended(event.id, hosted.id);
                return false;
            }
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
        match ran.await {
            Some(ran) => self.follow_live(&hosted, &event, ran).await,
            None => self.waits.ended(event.id, hosted.id),
        }
    }

    /// Accounts for a run in place that came to more than a plain success, and does what follows.
    async fn ended_live(self: &Arc<Self>, hosted: &Arc<Hosted>, event: &Arc<Event>, ran: Ran) {
        if ran.not_begun {
            self.counters.delivered.fetch_sub(1, Ordering::Relaxed);
            self.waits.ended(event.id, hosted.id);
            return;
        }
        self.account(hosted, event, &ran);
        self.follow_live(hosted, event, ran).await;
    }

    /// Does what follows the end of a run.
    async fn follow_live(self: &Arc<Self>, hosted: &Arc<Hosted>, event: &Arc<Event>, ran: Ran) {
        if let Outcome::Failed(failure) = &ran.outcome {
            let retry_at = self.retry_at(hosted, 1, failure);
            self.park(hosted, event, failure, retry_at, ran.late.is_some())
                .await;
        }
        self.note_live_ending(hosted, event, &ran.outcome);
        self.follow_late(hosted, event, ran.late);
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
