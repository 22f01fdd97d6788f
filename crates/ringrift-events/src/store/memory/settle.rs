//! Saying what came of a claim.

use serde_json::json;

use super::give_back::not_part;
use super::state::{ClaimRow, Delivery, World};
use crate::event::{ProcessId, Seq};
use crate::store::deliveries::{ClaimToken, Settle, Settlement, Why};
use crate::store::subscriptions::SubscriptionId;
use crate::store::{Error, ErrorCode};
use crate::verdict::{Code, Outcome};

impl World {
    pub(super) fn settle(&mut self, me: ProcessId, settle: Settle) -> Result<bool, Error> {
        if !self.check_claim(me, settle.token)? {
            return Ok(false);
        }
        let number = settle.token.id;
        let claim = &self.claims[&number];
        let (subscription, before) = (claim.subscription, claim.settled_to);
        for result in &settle.results {
            if !claim.events.contains(&result.seq) {
                return Err(not_part(settle.token, result.seq));
            }
        }
        let mut changed = false;
        for result in settle.results.iter().filter(|result| result.seq > before) {
            changed |= self.settle_one(me, subscription, number, result);
        }
        let settled_to = settle.settled_to.min(self.claims[&number].last());
        if settled_to <= before {
            return Ok(changed);
        }
        for seq in self.held_events(number) {
            if seq <= settled_to {
                self.set_delivery(subscription, seq, Delivery::Done);
            }
        }
        if let Some(claim) = self.claims.get_mut(&number) {
            claim.settled_to = settled_to;
        }
        self.close_if_settled(number);
        Ok(true)
    }

    /// `Ok(true)` for an open claim of this process, `Ok(false)` for its settled one.
    pub(super) fn check_claim(&self, me: ProcessId, token: ClaimToken) -> Result<bool, Error> {
        let claim = self.claims.get(&token.id);
        match claim.filter(|c| c.fence == token.fence && c.owner == Some(me)) {
            Some(claim) => Ok(claim.open),
            None => Err(Error::new(
                ErrorCode::LeaseLost,
                format!("claim {} is no longer this process's", token.id),
            )
            .with_next("ringrift processes ls")),
        }
    }

    pub(super) fn close_if_settled(&mut self, number: i64) {
        let settled = |claim: &ClaimRow| claim.settled_to >= claim.last();
        if self.claims.get(&number).is_some_and(settled) {
            self.close(number);
        }
    }

    /// Takes one result; says whether it changed anything.
    fn settle_one(
        &mut self,
        me: ProcessId,
        id: SubscriptionId,
        number: i64,
        result: &Settlement,
    ) -> bool {
        let seq = result.seq;
        let Some(event) = self.log.get(&seq).map(|logged| logged.event.clone()) else {
            return false;
        };
        let hidden = self.hidden(seq);
        if let Some(key) = &result.dedup_key {
            let done = result.outcome == Outcome::Done && !hidden;
            self.end_key(id, key, event.id, done);
        }
        if hidden {
            // It keeps ST_PURGED, whatever its run came to.
            return true;
        }
        if let Outcome::Failed(failure) = &result.outcome {
            if !self.held_events(number).contains(&seq) {
                return false;
            }
            let row = self.row_of(id, seq, Why::Retry);
            self.fail_row(row, me, failure, result.retry_at, result.held);
            return true;
        }
        self.verdict_of(id, seq, me, &result.outcome);
        true
    }

    /// Records what was neither plain success nor failure.
    fn verdict_of(&mut self, id: SubscriptionId, seq: Seq, me: ProcessId, outcome: &Outcome) {
        let (code, evidence) = match outcome {
            Outcome::Done | Outcome::Failed(_) => return,
            Outcome::Skipped { reason } => (Code::HnSkipped, json!({ "reason": reason })),
            Outcome::Duplicate {
                original,
                key,
                window_ends_at,
            } => (
                Code::HnDuplicate,
                json!({ "original": original, "key": key, "window_ends_at": window_ends_at }),
            ),
        };
        if let Some(logged) = self.log.get(&seq) {
            let event = logged.event.clone();
            self.verdict(code, id, &event, Some(me), evidence);
        }
    }

    pub(super) fn set_delivery(&mut self, id: SubscriptionId, seq: Seq, to: Delivery) {
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.deliveries.insert(seq, to);
        }
    }
}
