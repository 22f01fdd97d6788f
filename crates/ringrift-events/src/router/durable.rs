//! One durable subscription's loop: claims from the log, runs, settles.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Shared;
use super::hosted::Hosted;
use super::runs::Company;
use crate::event::{Event, Seq};
use crate::queue::Claimed;
use crate::store::ErrorCode;
use crate::store::deliveries::{ClaimToken, Settlement, Want};
use crate::verdict::Outcome;

/// When no run ended for this long, what did not start is handed back.
const HAND_BACK_AFTER: Duration = Duration::from_secs(1);

/// The loop's state.
pub(super) struct Durable {
    shared: Arc<Shared>,
    hosted: Arc<Hosted>,
    claims: Vec<Claimed>,
    running: HashMap<Seq, Option<String>>,
    ends: mpsc::Receiver<Ended>,
    end: mpsc::Sender<Ended>,
    /// Runs ended since the pace was measured, and when that was.
    ended_since: (u32, Duration),
    /// Runs that end within `claim_ahead`, lately.
    pace: f64,
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
            running: HashMap::new(),
            ends,
            end,
            ended_since: (0, now),
            pace: 0.0,
        }
    }

    /// Runs until the subscription ends, then finishes or hands back what it holds.
    pub(super) async fn run(mut self) {
        let hosted = Arc::clone(&self.hosted);
        let mut ended = false;
        while !ended {
            self.claim_more().await;
            self.start_some();
            self.settle().await;
            let idle_for = if self.unstarted() > 0 {
                HAND_BACK_AFTER
            } else {
                Duration::MAX
            };
            tokio::select! {
                biased;
                () = hosted.until_ended() => ended = true,
                Some(end) = self.ends.recv() => self.note_all(end).await,
                () = hosted.news.notified() => {}
                () = idle(idle_for) => self.hand_back().await,
            }
        }
        self.finish().await;
    }

    fn unstarted(&self) -> usize {
        self.claims.iter().map(Claimed::unstarted).sum()
    }

    async fn claim_more(&mut self) {
        while self.unstarted() == 0
            && self.hosted.handler.free_slots() > 0
            && self.shared.polling.load(Ordering::SeqCst)
            && self.hosted.has_news.swap(false, Ordering::SeqCst)
        {
            let want = Want {
                subscription: self.hosted.id,
                max: self.wanted(),
            };
            match self.shared.store.claim(want).await {
                Ok(Some(claim)) => {
                    self.hosted.has_news.store(true, Ordering::SeqCst);
                    self.claims.push(Claimed::new(claim));
                }
                Ok(None) => {}
                Err(error) => {
                    // The poller's next round tells news again: that is the retry.
                    self.shared.log.store_failed("claiming events", &error);
                }
            }
        }
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
                    true => self.running.values().filter_map(Option::as_deref).collect(),
                    false => HashSet::new(),
                };
                let may_start =
                    |event: &Event| event.key.as_deref().is_none_or(|key| !busy.contains(key));
                let Some(event) = claimed.start_next(may_start) else {
                    break;
                };
                self.running
                    .insert(event.seq.unwrap_or_default(), event.key.clone());
                self.shared.runtime.spawn(run_one(
                    Arc::clone(&self.shared),
                    Arc::clone(&self.hosted),
                    claimed.token(),
                    event,
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
            let withheld = claimed.withhold_key(key);
            // The failure must be in the store before its followers, or one of them could run.
            self.settle().await;
            for seq in withheld {
                self.give_up(ended.token, seq).await;
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
                    Err(error) if error.is_retryable() => {
                        self.shared.log.store_failed("settling events", &error);
                        claimed.not_told(settle);
                        break;
                    }
                    Err(error) => {
                        // The events are claimed still; a takeover delivers them again.
                        lost.push(claimed.token());
                        self.shared.log.store_failed("settling events", &error);
                        break;
                    }
                }
            }
        }
        self.claims
            .retain(|claimed| !claimed.is_closed() && !lost.contains(&claimed.token()));
    }

    async fn give_up(&mut self, token: ClaimToken, seq: Seq) {
        if let Err(error) = self.shared.store.give_up(token, seq).await {
            self.shared
                .log
                .store_failed("handing an event back", &error);
        }
    }

    /// Gives what did not start to an idle process.
    async fn hand_back(&mut self) {
        for claimed in &mut self.claims {
            let Some(keep_to) = claimed.drop_rest() else {
                continue;
            };
            if let Err(error) = self.shared.store.hand_back(claimed.token(), keep_to).await {
                self.shared.log.store_failed("handing events back", &error);
            }
        }
        self.settle().await;
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
            self.settle().await;
        }
        let held: Vec<(ClaimToken, Seq)> = self
            .claims
            .iter()
            .flat_map(|claimed| claimed.unfinished().map(|seq| (claimed.token(), seq)))
            .collect();
        for (token, seq) in held {
            self.give_up(token, seq).await;
            if let Some(claimed) = self
                .claims
                .iter_mut()
                .find(|claimed| claimed.token() == token)
            {
                claimed.gave_up(seq);
            }
        }
        self.settle().await;
    }
}

fn concurrency(hosted: &Hosted) -> usize {
    usize::try_from(hosted.handler.policy().concurrency.max(1)).unwrap_or(usize::MAX)
}

async fn idle(at_most: Duration) {
    if at_most == Duration::MAX {
        std::future::pending::<()>().await;
    }
    // The time-out is the purpose: nothing else ends this wait.
    drop(tokio::time::timeout(at_most, std::future::pending::<()>()).await);
}

async fn run_one(
    shared: Arc<Shared>,
    hosted: Arc<Hosted>,
    token: ClaimToken,
    event: Arc<Event>,
    end: mpsc::Sender<Ended>,
) {
    let settlement = shared
        .run_stored(&hosted, &event, 1, Company::Welcome)
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
