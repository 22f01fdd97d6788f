//! Claiming events for one process, and giving claims back.

use std::sync::Arc;

use super::state::{ClaimRow, Delivery, World};
use crate::event::{ProcessId, Seq};
use crate::store::Error;
use crate::store::deliveries::{CLAIM_EVENTS_MAX, Claim, ClaimToken, Want, Why};
use crate::store::subscriptions::SubscriptionId;

impl World {
    pub(super) fn claim(&mut self, me: ProcessId, want: Want) -> Result<Option<Claim>, Error> {
        let subscription = self.durable(want.subscription, "claim for")?;
        let want = Want {
            max: want.max.clamp(1, CLAIM_EVENTS_MAX),
            ..want
        };
        if subscription.ended_at.is_some() || subscription.paused.is_some() {
            return Ok(None);
        }
        let Some(version) = self.hosted(me, want.subscription) else {
            return Ok(None);
        };
        if subscription.ordered() && self.has_owned_claim(want.subscription) {
            return Ok(None);
        }
        if let Some(claim) = self.adopt(me, want.subscription, version, want.max) {
            return Ok(Some(claim));
        }
        // What is left ownerless lies beyond this process's border, and keeps its order.
        if self.subscription(want.subscription)?.ordered() && self.has_claim(want.subscription) {
            return Ok(None);
        }
        Ok(self.claim_range(me, want.subscription, version, want))
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

    pub(super) fn add_claim(&mut self, row: ClaimRow) -> i64 {
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

    pub(super) fn claim_answer(&self, number: i64) -> Option<Claim> {
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
            events: Arc::new(events.map(|logged| Arc::clone(&logged.event)).collect()),
            taken_over: claim.fence > 1,
            // Looking again costs nothing here.
            more: true,
        })
    }
}
