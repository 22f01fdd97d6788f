//! What a durable subscription's loop tells the store, and when.
//!
//! A claim and a settlement are a transaction each, of which a machine makes some ten thousand a
//! second for all processes together. So plain successes wait: for [`GROW_WITHIN`] their claim grows by
//! what comes next, then they go with the next claim, or alone after [`SETTLE_WITHIN`]. A process that
//! is killed meanwhile has them delivered again, as everything it ran. Whatever is more than a plain
//! success is told at once, and everything is where the order of a key, a dedup key or an end waits.

use std::time::Duration;

use super::again::may_pass;
use super::durable::{Durable, Withheld};
use crate::queue::Claimed;
use crate::store::deliveries::{Grows, Settle};
use crate::store::{ErrorCode, Pending};

/// Longest that a plain success waits to be told: too short to be seen by an operator, and many
/// claims long at a rate at which sparing a transaction matters.
const SETTLE_WITHIN: Duration = Duration::from_millis(20);

/// From then on it goes with the next claim; before that the claim itself grows.
const GROW_WITHIN: Duration = Duration::from_millis(10);

/// Most events of a claim that has grown: who takes over from a process that died begins with all of
/// them that were not settled.
const GROWN_MAX: usize = 256;

/// A settlement on its way.
pub(super) struct Told {
    settle: Settle,
    answer: Pending<bool>,
}

impl Durable {
    /// Tells the store what may not wait, and what has waited long enough.
    pub(super) async fn tell_in_time(&mut self) {
        let now = self.shared.clock.monotonic();
        if self.claims.iter().any(Claimed::owes) {
            self.owes_since.get_or_insert(now);
        } else {
            self.owes_since = None;
        }
        if !self.may_wait() || self.telling_in().is_zero() {
            self.tell().await;
        }
    }

    /// When plain successes are to be told at the latest; for ever while there are none.
    pub(super) fn telling_in(&self) -> Duration {
        let now = self.shared.clock.monotonic();
        self.owes_since.map_or(Duration::MAX, |since| {
            (since + SETTLE_WITHIN).saturating_sub(now)
        })
    }

    /// The claim that is to grow by what comes next, and by how many events at most, where nothing
    /// asks for a settlement yet.
    pub(super) fn grows(&self) -> Option<(Grows, usize)> {
        let now = self.shared.clock.monotonic();
        let since = self.owes_since.unwrap_or(now);
        let newest = self.claims.last()?;
        let grows = newest.grows()?;
        let room = GROWN_MAX.saturating_sub(newest.events());
        let may = self.may_wait() && now.saturating_sub(since) < GROW_WITHIN && room > 0;
        may.then_some((grows, room))
    }

    fn may_wait(&self) -> bool {
        self.rests.is_empty()
            && self.withheld.is_empty()
            && !self.hosted.definition.ordered_by_key
            && !self.claims.iter().any(Claimed::has_results)
    }

    /// Tells the store all there is to tell, in the order that keeps its promises.
    pub(super) async fn tell(&mut self) {
        self.give_back_rests().await;
        self.settle().await;
        // The failure must be in the store before its followers, or one of them could run.
        if !self.ask_again && !self.withheld.is_empty() {
            self.give_up_withheld().await;
            self.settle().await;
        }
    }

    pub(super) async fn give_up_withheld(&mut self) {
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
    pub(super) async fn settle(&mut self) {
        self.hear().await;
        self.send_settles();
        self.hear().await;
        self.owes_since = None;
    }

    /// Sends what ended on its way, of each claim one settlement at a time.
    pub(super) fn send_settles(&mut self) {
        for claimed in &mut self.claims {
            let token = claimed.token();
            if self.told.iter().any(|told| told.settle.token == token) {
                continue;
            }
            if let Some(settle) = claimed.to_settle() {
                self.told.push(Told {
                    answer: self.shared.store.settle(settle.clone()),
                    settle,
                });
            }
        }
    }

    /// Hears what became of what was sent. Claims that are told wholly are gone then, and so are
    /// those that went elsewhere.
    pub(super) async fn hear(&mut self) {
        if self.told.is_empty() {
            return;
        }
        let mut lost = Vec::new();
        for Told { settle, answer } in std::mem::take(&mut self.told) {
            let token = settle.token;
            match answer.await {
                Ok(_) => {}
                Err(error) if error.code == ErrorCode::LeaseLost => {
                    lost.push(token);
                    self.shared.log.lease_lost(&self.hosted.name, &error);
                }
                Err(error) if may_pass(error.code) => {
                    self.shared.log.store_failed("settling events", &error);
                    let mut claims = self.claims.iter_mut();
                    if let Some(claimed) = claims.find(|claimed| claimed.token() == token) {
                        claimed.not_told(settle);
                    }
                    self.ask_again = true;
                }
                Err(error) => {
                    // Whoever has the store next delivers them again.
                    lost.push(token);
                    self.shared.log.store_failed("settling events", &error);
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
}
