//! One durable subscription's loop: claims from the log, runs, settles.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::Shared;
use super::again::{ASK_AGAIN_AFTER, may_pass};
use super::here::{Ahead, Asked};
use super::hosted::Hosted;
use super::runs::Company;
use crate::clock::{self, Clock};
use crate::event::{Event, Seq};
use crate::queue::Claimed;
use crate::store::ErrorCode;
use crate::store::deliveries::{ClaimToken, Settlement, Want};
use crate::verdict::Outcome;

/// When no run ended for this long, what did not start is handed back.
const HAND_BACK_AFTER: Duration = Duration::from_secs(1);

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
    ask_again: bool,
    /// Events that leave their claim by themselves: they wait for one of their key that failed, once
    /// that is in the store, or did not end in time.
    withheld: Vec<Withheld>,
    /// Claims whose unstarted rest goes back, and up to where each is kept.
    rests: Vec<(ClaimToken, Seq)>,
}

/// An event on its way to the function, or in it.
pub(super) struct UnderWay {
    key: Option<String>,
    /// The function was called.
    called: Arc<AtomicBool>,
}

/// An event to give up.
struct Withheld {
    token: ClaimToken,
    seq: Seq,
    /// Its function was called: it counts as a run.
    started: bool,
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
            running: HashMap::new(),
            ends,
            end,
            ended_since: (0, now),
            pace: 0.0,
            ask_again: false,
            withheld: Vec::new(),
            rests: Vec::new(),
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
            self.tell().await;
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
            tokio::select! {
                biased;
                () = hosted.until_ended() => ended = true,
                Some(end) = self.ends.recv() => self.note_all(end).await,
                () = hosted.news.notified() => {}
                () = idle(&*self.shared.clock, idle_for) => if !self.ask_again { self.hand_back().await },
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
            match asked.claim.await {
                Ok(Some(claim)) => {
                    self.hosted.has_news.store(true, Ordering::SeqCst);
                    self.ahead.more_follows = claim.events.len() >= asked.wanted;
                    self.claims.push(Claimed::new(claim));
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

    /// Asks for the next claim, if there may be one.
    pub(super) fn ask(&mut self) -> Option<Asked> {
        let may_ask = self.shared.polling.load(Ordering::SeqCst)
            && self.hosted.has_news.swap(false, Ordering::SeqCst);
        may_ask.then(|| {
            let wanted = self.wanted();
            let want = Want {
                subscription: self.hosted.id,
                max: wanted,
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
        let most = self.shared.settings.claim_events_max.max(1);
        // Above the bound the exact pace is of no interest, so saturating is right.
        let pace = self.pace.min(1e6) as usize;
        self.hosted.handler.free_slots().max(pace).clamp(1, most)
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

    /// Tells the store all there is to tell, in the order that keeps its promises.
    async fn tell(&mut self) {
        self.give_back_rests().await;
        self.settle().await;
        // The failure must be in the store before its followers, or one of them could run.
        if !self.ask_again && !self.withheld.is_empty() {
            self.give_up_withheld().await;
            self.settle().await;
        }
    }

    async fn give_up_withheld(&mut self) {
        for withheld in std::mem::take(&mut self.withheld) {
            if self.give_up(&withheld).await {
                let mut claims = self.claims.iter_mut();
                if let Some(claimed) = claims.find(|claimed| claimed.token() == withheld.token) {
                    claimed.gave_up(withheld.seq);
                }
            } else {
                self.withheld.push(withheld);
            }
        }
    }

    async fn give_back_rests(&mut self) {
        for (token, keep_to) in std::mem::take(&mut self.rests) {
            if let Err(error) = self.shared.store.hand_back(token, keep_to).await {
                self.shared.log.store_failed("handing events back", &error);
                if may_pass(error.code) {
                    self.rests.push((token, keep_to));
                    self.ask_again = true;
                }
            }
        }
    }

    /// Tells the store what ended; results stay here until it took them.
    async fn settle(&mut self) {
        let mut lost = Vec::new();
        for claimed in &mut self.claims {
            while let Some(settle) = claimed.to_settle() {
                match self.shared.store.settle(settle.clone()).await {
                    Ok(_) => {}
                    Err(error) if error.code == ErrorCode::LeaseLost => {
                        lost.push(claimed.token());
                        self.shared.log.lease_lost(&self.hosted.name, &error);
                        break;
                    }
                    Err(error) if may_pass(error.code) => {
                        self.shared.log.store_failed("settling events", &error);
                        claimed.not_told(settle);
                        self.ask_again = true;
                        break;
                    }
                    Err(error) => {
                        // Whoever has the store next delivers them again.
                        lost.push(claimed.token());
                        self.shared.log.store_failed("settling events", &error);
                        break;
                    }
                }
            }
        }
        let open = self.claims.len();
        self.claims
            .retain(|claimed| !claimed.is_closed() && !lost.contains(&claimed.token()));
        if self.claims.len() < open && self.hosted.definition.ordered_by_key {
            // It has one open claim at a time: only now can there be a next one.
            self.hosted.tell_news();
        }
    }

    /// Whether the event has left the claim, or the claim this process.
    async fn give_up(&mut self, withheld: &Withheld) -> bool {
        let Withheld {
            token,
            seq,
            started,
        } = *withheld;
        let Err(error) = self.shared.store.give_up(token, seq, started).await else {
            return true;
        };
        self.shared
            .log
            .store_failed("handing an event back", &error);
        let again = may_pass(error.code);
        self.ask_again |= again;
        !again
    }

    /// Gives what did not start to an idle process.
    async fn hand_back(&mut self) {
        if let Some(asked) = self.ahead.take()
            && let Ok(Some(claim)) = asked.claim.await
        {
            self.claims.push(Claimed::new(claim));
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
