//! Claiming events for one process, and giving claims back.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::state::{ClaimRow, Delivery, Subscription, World};
use crate::event::{ProcessId, Seq};
use crate::store::deliveries::{CLAIM_EVENTS_MAX, Claim, ClaimToken, Want, Why};
use crate::store::subscriptions::SubscriptionId;
use crate::store::{Error, ErrorCode};

impl World {
    pub(super) fn claim(&mut self, me: ProcessId, want: Want) -> Result<Option<Claim>, Error> {
        let subscription = self.durable(want.subscription, "claim for")?;
        let max = want.max.clamp(1, CLAIM_EVENTS_MAX);
        if subscription.ended_at.is_some() || subscription.paused.is_some() {
            return Ok(None);
        }
        let Some(version) = self.hosted(me, want.subscription) else {
            return Ok(None);
        };
        if subscription.ordered() && self.has_owned_claim(want.subscription) {
            return Ok(None);
        }
        if let Some(claim) = self.adopt(me, want.subscription, version, max) {
            return Ok(Some(claim));
        }
        // What is left ownerless lies beyond this process's border, and keeps its order.
        if self.subscription(want.subscription)?.ordered() && self.has_claim(want.subscription) {
            return Ok(None);
        }
        Ok(self.claim_range(me, want.subscription, version, max))
    }

    /// The version this process hosts.
    pub(super) fn hosted(&self, me: ProcessId, id: SubscriptionId) -> Option<i64> {
        self.members.get(&me)?.hosts.get(&id).copied()
    }

    fn has_owned_claim(&self, id: SubscriptionId) -> bool {
        let mut open = self.open_claims(id);
        open.any(|(_, claim)| claim.owner.is_some())
    }

    fn has_claim(&self, id: SubscriptionId) -> bool {
        self.open_claims(id).next().is_some()
    }

    pub(super) fn open_claims(
        &self,
        id: SubscriptionId,
    ) -> impl Iterator<Item = (i64, &ClaimRow)> + '_ {
        let numbers = self
            .subscriptions
            .get(&id)
            .into_iter()
            .flat_map(|s| &s.open);
        numbers.filter_map(|number| Some((*number, self.claims.get(number)?)))
    }

    /// Takes the oldest claim that nobody owns, the part of it that fits.
    fn adopt(
        &mut self,
        me: ProcessId,
        id: SubscriptionId,
        version: i64,
        max: usize,
    ) -> Option<Claim> {
        loop {
            let mut ownerless: Vec<(Seq, i64)> = self
                .open_claims(id)
                .filter(|(_, claim)| claim.owner.is_none() && claim.version <= version)
                .map(|(number, claim)| (claim.events[0], number))
                .collect();
            ownerless.sort_unstable();
            let (_, number) = *ownerless.first()?;
            self.queue_blocked(number);
            let events = self.held_events(number);
            if events.is_empty() {
                self.close(number);
                continue;
            }
            if events.len() > max {
                self.split(number, events[max - 1]);
            }
            let claim = self.claims.get_mut(&number)?;
            claim.owner = Some(me);
            claim.fence += 1;
            return self.claim_answer(number);
        }
    }

    /// Gives the events of a claim whose key is retrying a way of their own, behind it.
    fn queue_blocked(&mut self, number: i64) {
        let Some(claim) = self.claims.get(&number) else {
            return;
        };
        let id = claim.subscription;
        let Some(subscription) = self.subscriptions.get(&id) else {
            return;
        };
        let keys = self.blocked_keys(subscription);
        for seq in self.held_events(number) {
            let key = self
                .log
                .get(&seq)
                .and_then(|logged| logged.event.key.as_ref());
            if key.is_some_and(|key| keys.contains(key)) {
                self.row_of(id, seq, Why::KeyBlocked);
            }
        }
    }

    /// The events of a claim that are neither settled nor on a way of their own.
    pub(super) fn held_events(&self, number: i64) -> Vec<Seq> {
        let Some(claim) = self.claims.get(&number) else {
            return Vec::new();
        };
        let Some(subscription) = self.subscriptions.get(&claim.subscription) else {
            return Vec::new();
        };
        let held =
            |seq: &&Seq| subscription.deliveries.get(seq) == Some(&Delivery::Claimed(number));
        claim.events.iter().filter(held).copied().collect()
    }

    pub(super) fn close(&mut self, number: i64) {
        if let Some(claim) = self.claims.get_mut(&number) {
            claim.open = false;
            if let Some(subscription) = self.subscriptions.get_mut(&claim.subscription) {
                subscription.open.remove(&number);
            }
        }
    }

    /// Moves the events of a claim after `keep_to` into a claim of their own that nobody owns.
    pub(super) fn split(&mut self, number: i64, keep_to: Seq) {
        let moved: Vec<Seq> = self
            .held_events(number)
            .into_iter()
            .filter(|s| *s > keep_to)
            .collect();
        let Some(claim) = self.claims.get_mut(&number) else {
            return;
        };
        claim.events.retain(|seq| *seq <= keep_to);
        let (subscription, version) = (claim.subscription, claim.version);
        if moved.is_empty() {
            return;
        }
        let row = ClaimRow {
            subscription,
            version,
            owner: None,
            fence: 1,
            settled_to: Seq(moved[0].0 - 1),
            events: moved,
            open: true,
        };
        self.add_claim(row);
    }

    fn add_claim(&mut self, row: ClaimRow) -> i64 {
        self.last_claim += 1;
        let number = self.last_claim;
        if let Some(subscription) = self.subscriptions.get_mut(&row.subscription) {
            subscription.open.insert(number);
            for seq in &row.events {
                subscription
                    .deliveries
                    .insert(*seq, Delivery::Claimed(number));
            }
        }
        self.claims.insert(number, row);
        number
    }

    fn claim_answer(&self, number: i64) -> Option<Claim> {
        let claim = self.claims.get(&number)?;
        let subscription = self.subscriptions.get(&claim.subscription)?;
        let held = self.held_events(number);
        let events = held.iter().filter_map(|seq| self.log.get(seq));
        Some(Claim {
            token: ClaimToken {
                id: number,
                fence: claim.fence,
            },
            subscription: claim.subscription,
            generation: subscription.generation,
            events: events.map(|logged| Arc::clone(&logged.event)).collect(),
            taken_over: claim.fence > 1,
        })
    }

    /// Takes the next range of the log, moving the cursor past what does not match.
    fn claim_range(
        &mut self,
        me: ProcessId,
        id: SubscriptionId,
        version: i64,
        max: usize,
    ) -> Option<Claim> {
        let subscription = self.subscriptions.get(&id)?;
        let Scanned {
            taken,
            blocked,
            deleted,
            cursor,
            version: in_version,
        } = self.scan(subscription, version, max);
        for seq in blocked {
            self.row_of(id, seq, Why::KeyBlocked);
        }
        for seq in deleted {
            self.set_delivery(id, seq, Delivery::Purged(None));
        }
        let subscription = self.subscriptions.get_mut(&id)?;
        let moved = subscription.cursor < cursor;
        subscription.cursor = cursor;
        if taken.is_empty() {
            // Everything it looked at waits for its key: what follows may not.
            return moved.then(|| self.claim_range(me, id, version, max))?;
        }
        let number = self.add_claim(ClaimRow {
            subscription: id,
            version: in_version,
            owner: Some(me),
            fence: 1,
            settled_to: Seq(taken[0].0 - 1),
            events: taken,
            open: true,
        });
        self.claim_answer(number)
    }

    /// Looks at the log after the cursor. No claim crosses a version's border.
    fn scan(&self, subscription: &Subscription, hosted: i64, max: usize) -> Scanned {
        let keys = self.blocked_keys(subscription);
        let mut found = Scanned {
            taken: Vec::new(),
            blocked: Vec::new(),
            deleted: Vec::new(),
            cursor: subscription.cursor,
            version: hosted,
        };
        for (seq, logged) in self.log.range(found.cursor.next()..) {
            let (version, matcher) = subscription.version_at(*seq);
            let crosses = !found.taken.is_empty() && version.number != found.version;
            if version.number > hosted || crosses {
                // Everything before the border has been passed.
                found.cursor = found.cursor.max(Seq(seq.0 - 1));
                return found;
            }
            let known = subscription.deliveries.contains_key(seq);
            if !known && matcher.takes(&logged.event) {
                let key = logged.event.key.as_ref();
                if logged.deleted_at.is_some() {
                    found.deleted.push(*seq);
                } else if subscription.ordered() && key.is_some_and(|key| keys.contains(key)) {
                    found.blocked.push(*seq);
                } else {
                    found.version = version.number;
                    found.taken.push(*seq);
                }
            }
            found.cursor = *seq;
            // What waits for its key counts too: a claim looks at so many events at most.
            if found.taken.len() + found.blocked.len() == max {
                return found;
            }
        }
        found.cursor = found.cursor.max(self.head_for(subscription, hosted));
        found
    }

    /// The last place a process with this version may pass.
    fn head_for(&self, subscription: &Subscription, hosted: i64) -> Seq {
        let mut later = subscription
            .versions
            .iter()
            .filter(|(v, _)| v.number == hosted);
        let border = later.next().and_then(|(version, _)| version.valid_to);
        border.map_or(self.head, |border| self.head.min(Seq(border.0 - 1)))
    }

    /// Keys of an ordered subscription that wait for a redelivery to finish.
    fn blocked_keys(&self, subscription: &Subscription) -> BTreeSet<String> {
        if !subscription.ordered() {
            return BTreeSet::new();
        }
        let unfinished = self.rows.values().filter(|row| {
            row.subscription == subscription.id
                && row.generation == subscription.generation
                && row.is_going()
                && row.why != Why::Replay
        });
        unfinished.filter_map(|row| row.event.key.clone()).collect()
    }

    pub(super) fn hand_back(
        &mut self,
        me: ProcessId,
        token: ClaimToken,
        keep_to: Seq,
    ) -> Result<(), Error> {
        if !self.check_claim(me, token)? {
            return Ok(());
        }
        let claim = &self.claims[&token.id];
        let keep_to = keep_to.max(claim.settled_to);
        if keep_to >= claim.last() {
            return Ok(());
        }
        if keep_to < claim.events[0] {
            // Nothing of it was started: the claim itself waits for the next process.
            self.release_claim(token.id);
            return Ok(());
        }
        self.split(token.id, keep_to);
        self.close_if_settled(token.id);
        Ok(())
    }

    /// Leaves a claim to whoever asks next.
    pub(super) fn release_claim(&mut self, number: i64) {
        if let Some(claim) = self.claims.get_mut(&number) {
            claim.owner = None;
            claim.fence += 1;
        }
    }

    pub(super) fn give_up(
        &mut self,
        me: ProcessId,
        token: ClaimToken,
        seq: Seq,
    ) -> Result<(), Error> {
        if !self.check_claim(me, token)? || !self.held_events(token.id).contains(&seq) {
            return Ok(());
        }
        let id = self.claims[&token.id].subscription;
        let key = self
            .log
            .get(&seq)
            .and_then(|logged| logged.event.key.clone());
        let keys = self.subscriptions.get(&id).map(|s| self.blocked_keys(s));
        let blocked = keys.zip(key).is_some_and(|(keys, key)| keys.contains(&key));
        // Behind an unfinished one of its key it cannot have started.
        let why = if blocked {
            Why::KeyBlocked
        } else {
            Why::HandedBack
        };
        self.row_of(id, seq, why);
        Ok(())
    }
}

/// What a look at the log after the cursor found.
struct Scanned {
    /// Events to take, all of one version.
    taken: Vec<Seq>,
    /// Events whose key waits for a redelivery.
    blocked: Vec<Seq>,
    /// Events that are passed because they are deleted: due if they are restored.
    deleted: Vec<Seq>,
    /// Where the subscription stands afterwards.
    cursor: Seq,
    /// The version that the events taken belong to.
    version: i64,
}

/// The error for a result about an event that the claim does not hold.
pub(super) fn not_part(token: ClaimToken, seq: Seq) -> Error {
    Error::new(
        ErrorCode::WrongState,
        format!("event {seq} is no part of claim {}", token.id),
    )
}
