//! One durable subscription's loop: claims from the log and runs. What it tells the store is in
//! [`super::settling`].

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use foldhash::HashMap;
use tokio::sync::mpsc;

use super::Shared;
use super::again::ASK_AGAIN_AFTER;
use super::here::{Ahead, Asked};
use super::hosted::Hosted;
use super::runs::Company;
use super::settling::Told;
use crate::clock::{self, Clock};
use crate::event::{Event, Seq};
use crate::queue::Claimed;
use crate::store::deliveries::{Claim, ClaimToken, Settlement, Want};
use crate::verdict::Outcome;

/// When no run ended for this long, what did not start is handed back.
const HAND_BACK_AFTER: Duration = Duration::from_secs(1);

/// Events in one claim each of a process's durable subscriptions, together: they may stand at different
/// places of the log, and what they hold is in memory. Each takes its share.
const IN_HAND_MAX: usize = 16_384;

/// The loop's state.
pub(super) struct Durable {
    pub(super) shared: Arc<Shared>,
    pub(super) hosted: Arc<Hosted>,
    pub(super) claims: Vec<Claimed>,
    /// The next claim, asked for while the last one runs.
    pub(super) ahead: Ahead,
    pub(super) running: HashMap<Seq, UnderWay>,
    ends: mpsc::Receiver<Ended>,
    end: mpsc::Sender<Ended>,
    /// Runs ended since the pace was measured, and when that was.
    pub(super) ended_since: (u32, Duration),
    /// Runs that end within `claim_ahead`, lately.
    pace: f64,
    /// The store did not take something: it is asked again although nothing new happened.
    pub(super) ask_again: bool,
    /// Events that leave their claim by themselves: they wait for one of their key that failed, once
    /// that is in the store, or did not end in time.
    pub(super) withheld: Vec<Withheld>,
    /// Claims whose unstarted rest goes back, and up to where each is kept.
    pub(super) rests: Vec<(ClaimToken, Seq)>,
    /// What the store was told and has not answered.
    pub(super) told: Vec<Told>,
    /// Since when plain successes wait to be told.
    pub(super) owes_since: Option<Duration>,
}

/// An event on its way to the function, or in it.
pub(super) struct UnderWay {
    key: Option<String>,
    /// The function was called.
    called: Arc<AtomicBool>,
}

/// An event to give up.
pub(super) struct Withheld {
    pub(super) token: ClaimToken,
    pub(super) seq: Seq,
    /// Its function was called: it counts as a run.
    pub(super) started: bool,
}

/// A run that ended, or that never started because the subscription did.
struct Ended {
    token: ClaimToken,
    event: Arc<Event>,
    settlement: Option<Settlement>,
}

impl Durable {
    pub(super) fn new(shared: Arc<Shared>, hosted: Arc<Hosted>) -> Durable {
        let (end, ends) = mpsc::channel(concurrency(&hosted));
        let now = shared.clock.monotonic();
        Durable {
            shared,
            hosted,
            claims: Vec::new(),
            ahead: Ahead::default(),
            running: HashMap::default(),
            ends,
            end,
            ended_since: (0, now),
            pace: 0.0,
            ask_again: false,
            withheld: Vec::new(),
            rests: Vec::new(),
            told: Vec::new(),
            owes_since: None,
        }
    }

    /// Runs until the subscription ends, then finishes or hands back what it holds.
    pub(super) async fn run(mut self) {
        let hosted = Arc::clone(&self.hosted);
        let mut ended = false;
        while !ended {
            self.ask_again = false;
            let asked = hosted.is_asked();
            if asked && self.running.is_empty() && hosted.makes_room() {
                break;
            }
            let mut ran_here = false;
            if !asked {
                self.claim_more().await;
                ran_here = self.run_here();
                if !ran_here {
                    self.start_some();
                }
            }
            let unstarted = self.unstarted() as u64;
            hosted.unstarted.store(unstarted, Ordering::Relaxed);
            self.tell_in_time().await;
            if ran_here && !self.ask_again {
                // There may be more at once; whoever else is due comes first.
                while let Ok(end) = self.ends.try_recv() {
                    self.note(end).await;
                }
                tokio::task::yield_now().await;
                ended = hosted.is_ended();
                continue;
            }
            let idle_for = if self.ask_again {
                ASK_AGAIN_AFTER
            } else if self.unstarted() > 0 || self.ahead.is_asked() {
                HAND_BACK_AFTER
            } else {
                Duration::MAX
            };
            let telling_in = self.telling_in();
            tokio::select! {
                biased;
                () = hosted.until_ended() => ended = true,
                Some(end) = self.ends.recv() => self.note_all(end).await,
                () = hosted.news.notified() => {}
                () = idle(&*self.shared.clock, idle_for.min(telling_in)) => {
                    // What is to be told is told above.
                    if !self.ask_again && idle_for <= telling_in {
                        self.hand_back().await;
                    }
                }
            }
        }
        self.finish().await;
    }

    pub(super) fn unstarted(&self) -> usize {
        self.claims.iter().map(Claimed::unstarted).sum()
    }

    async fn claim_more(&mut self) {
        while self.unstarted() == 0 && self.hosted.handler.free_slots() > 0 {
            let Some(asked) = self.ahead.take().or_else(|| self.ask()) else {
                return;
            };
            let claim = asked.claim.await;
            self.hear().await;
            match claim {
                Ok(Some(claim)) => {
                    if claim.more {
                        self.hosted.has_news.store(true, Ordering::SeqCst);
                    }
                    self.ahead.more_follows = claim.events.len() >= asked.wanted;
                    self.hold(claim);
                }
                Ok(None) => {}
                Err(error) => {
                    self.shared.log.store_failed("claiming events", &error);
                    self.hosted.has_news.store(true, Ordering::SeqCst);
                    self.ask_again = true;
                    return;
                }
            }
        }
    }

    fn hold(&mut self, claim: Claim) {
        let mut held = self.claims.iter_mut();
        match held.find(|claimed| claimed.token() == claim.token) {
            Some(grown) => grown.grow(claim.events),
            None => self.claims.push(Claimed::new(claim)),
        }
    }

    /// Asks for the next claim, if there may be one.
    pub(super) fn ask(&mut self) -> Option<Asked> {
        let may_ask = self.shared.polling.load(Ordering::SeqCst)
            && self.hosted.has_news.swap(false, Ordering::SeqCst);
        may_ask.then(|| {
            let wanted = self.wanted();
            let seen = self.hosted.is_likely.swap(false, Ordering::SeqCst);
            let grows = self.grows();
            if grows.is_none() {
                // So both share a transaction.
                self.send_settles();
            }
            let wanted = grows.map_or(wanted, |(_, room)| wanted.min(room));
            let want = Want {
                subscription: self.hosted.id,
                max: wanted,
                // A backlog is read beside the writer.
                likely: seen && !self.ahead.more_follows,
                grows: grows.map(|(grows, _)| grows),
            };
            Asked {
                claim: self.shared.store.claim(want),
                wanted,
            }
        })
    }

    fn wanted(&mut self) -> usize {
        let now = self.shared.clock.monotonic();
        let ahead = self.shared.settings.claim_ahead;
        let (ended, since) = self.ended_since;
        let elapsed = now.saturating_sub(since);
        if elapsed >= ahead / 10 && ended > 0 {
            let pace = f64::from(ended) / elapsed.as_secs_f64() * ahead.as_secs_f64();
            // Half of the new measure, so that one slow run does not halt a fast handler.
            self.pace = (self.pace + pace) / 2.0;
            self.ended_since = (0, now);
        }
        let share = IN_HAND_MAX / self.shared.hosts.durable().max(1);
        let most = self.shared.settings.claim_events_max.min(share).max(1);
        // Above the bound the exact pace is of no interest, so saturating is right.
        let pace = match self.pace {
            // Not measured yet: as many again as have ended, so that a backlog is soon in full use.
            0.0 if ended as usize >= self.ahead.wanted => self.ahead.wanted * 2,
            pace => pace.min(1e6) as usize,
        };
        self.ahead.wanted = self.hosted.handler.free_slots().max(pace).clamp(1, most);
        self.ahead.wanted
    }

    fn start_some(&mut self) {
        let ordered = self.hosted.definition.ordered_by_key;
        for claimed in &mut self.claims {
            loop {
                let slots = self.hosted.handler.free_slots();
                if self.running.len() >= concurrency(&self.hosted) || slots == 0 {
                    return;
                }
                let busy: HashSet<&str> = match ordered {
                    true => {
                        let keys = self.running.values();
                        keys.filter_map(|run| run.key.as_deref()).collect()
                    }
                    false => HashSet::new(),
                };
                let may_start =
                    |event: &Event| event.key.as_deref().is_none_or(|key| !busy.contains(key));
                let Some(event) = claimed.start_next(may_start) else {
                    break;
                };
                let called = Arc::new(AtomicBool::new(false));
                let under_way = UnderWay {
                    key: event.key.clone(),
                    called: Arc::clone(&called),
                };
                self.running
                    .insert(event.seq.unwrap_or_default(), under_way);
                self.shared.runtime.spawn(run_one(
                    Arc::clone(&self.shared),
                    Arc::clone(&self.hosted),
                    claimed.token(),
                    event,
                    called,
                    self.end.clone(),
                ));
            }
        }
    }

    /// Notes a run that ended, and whatever else ended meanwhile.
    async fn note_all(&mut self, first: Ended) {
        self.note(first).await;
        while let Ok(next) = self.ends.try_recv() {
            self.note(next).await;
        }
    }

    async fn note(&mut self, ended: Ended) {
        self.ended_since.0 += 1;
        self.running.remove(&ended.event.seq.unwrap_or_default());
        let Some(settlement) = ended.settlement else {
            // It stays unfinished, and goes back with what else did not finish.
            return;
        };
        let comes_again =
            matches!(settlement.outcome, Outcome::Failed(_)) && settlement.retry_at.is_some();
        let Some(claimed) = self
            .claims
            .iter_mut()
            .find(|claimed| claimed.token() == ended.token)
        else {
            self.shared
                .log
                .answer_refused(&self.hosted.name, &ended.event);
            return;
        };
        claimed.end(settlement);
        if let (true, true, Some(key)) = (
            comes_again,
            self.hosted.definition.ordered_by_key,
            ended.event.key.as_deref(),
        ) {
            let token = ended.token;
            let withheld = claimed.withhold_key(key).into_iter();
            self.withheld.extend(withheld.map(|seq| Withheld {
                token,
                seq,
                started: false,
            }));
            self.tell().await;
        }
    }

    /// Gives what did not start to an idle process.
    async fn hand_back(&mut self) {
        if let Some(asked) = self.ahead.take()
            && let Ok(Some(claim)) = asked.claim.await
        {
            self.hold(claim);
        }
        for claimed in &mut self.claims {
            let rest = claimed.drop_rest();
            self.rests
                .extend(rest.map(|keep_to| (claimed.token(), keep_to)));
        }
        self.tell().await;
    }

    /// Hands back what did not start, waits for what runs, and gives up what does not end.
    async fn finish(mut self) {
        self.hand_back().await;
        let give_up_at = self.shared.clock.monotonic() + self.hosted.grace();
        while !self.running.is_empty() {
            let left = give_up_at.saturating_sub(self.shared.clock.monotonic());
            match tokio::time::timeout(left, self.ends.recv()).await {
                Ok(Some(ended)) => self.note_all(ended).await,
                Ok(None) | Err(_) => break,
            }
            self.tell().await;
        }
        // What was withheld before and not told is among them.
        let held: Vec<Withheld> = self
            .claims
            .iter()
            .flat_map(|claimed| claimed.unfinished().map(|seq| (claimed.token(), seq)))
            .map(|(token, seq)| Withheld {
                token,
                seq,
                started: self.was_called(seq),
            })
            .collect();
        self.ask_again = false;
        self.withheld = held;
        self.give_up_withheld().await;
        self.settle().await;
    }
}

impl Durable {
    /// Whether the function was called for an event that has not ended.
    fn was_called(&self, seq: Seq) -> bool {
        let under_way = self.running.get(&seq);
        under_way.is_some_and(|run| run.called.load(Ordering::SeqCst))
    }
}

fn concurrency(hosted: &Hosted) -> usize {
    usize::try_from(hosted.handler.policy().concurrency.max(1)).unwrap_or(usize::MAX)
}

async fn idle(clock: &dyn Clock, at_most: Duration) {
    if at_most == Duration::MAX {
        std::future::pending::<()>().await;
    }
    clock::pause(clock, at_most).await;
}

async fn run_one(
    shared: Arc<Shared>,
    hosted: Arc<Hosted>,
    token: ClaimToken,
    event: Arc<Event>,
    called: Arc<AtomicBool>,
    end: mpsc::Sender<Ended>,
) {
    let settlement = shared
        .run_stored(&hosted, &event, 1, Company::Welcome, &called)
        .await
        .ok();
    // The loop is gone only after it gave this event up.
    drop(
        end.send(Ended {
            token,
            event,
            settlement,
        })
        .await,
    );
}
