//! Saying what came of a claim.

use std::collections::BTreeMap;

use serde_json::json;

use super::claims::not_part;
use super::state::{Delivery, World};
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
        let mut results = BTreeMap::new();
        for result in settle.results {
            if !self
                .claims
                .get(&number)
                .is_some_and(|c| c.events.contains(&result.seq))
            {
                return Err(not_part(settle.token, result.seq));
            }
            results.insert(result.seq, result);
        }
        let mut changed = false;
        let subscription = self.claims[&number].subscription;
        for seq in self.held_events(number) {
            let result = results.remove(&seq);
            let settled = seq <= settle.settled_to;
            changed |= self.settle_one(me, number, seq, result, settled);
        }
        // What is left was ended by somebody else meanwhile: its key must not stay reserved.
        for result in results.into_values() {
            if let (Some(key), Some(event)) = (&result.dedup_key, self.log.get(&result.seq)) {
                let event = event.event.id;
                self.end_key(subscription, key, event, result.outcome == Outcome::Done);
            }
        }
        self.raise_settled(number, settle.settled_to);
        self.close_if_settled(number);
        Ok(changed)
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

    fn raise_settled(&mut self, number: i64, settled_to: Seq) {
        if let Some(claim) = self.claims.get_mut(&number) {
            let last = claim.events.last().copied().unwrap_or_default();
            claim.settled_to = claim.settled_to.max(settled_to.min(last));
        }
    }

    pub(super) fn close_if_settled(&mut self, number: i64) {
        if self.held_events(number).is_empty() {
            self.close(number);
        }
    }

    /// Settles one event that the claim still holds; says whether anything changed.
    fn settle_one(
        &mut self,
        me: ProcessId,
        number: i64,
        seq: Seq,
        result: Option<Settlement>,
        settled: bool,
    ) -> bool {
        let id = self.claims[&number].subscription;
        let Some(result) = result else {
            if settled {
                self.set_delivery(id, seq, Delivery::Done);
            }
            return settled;
        };
        let Some(event) = self.log.get(&seq).map(|logged| logged.event.clone()) else {
            return false;
        };
        if let Some(key) = &result.dedup_key {
            self.end_key(id, key, event.id, result.outcome == Outcome::Done);
        }
        if let Outcome::Failed(failure) = &result.outcome {
            let row = self.row_of(id, seq, Why::Retry);
            self.fail_row(row, me, failure, result.retry_at, result.held);
            return true;
        }
        let first = self
            .claims
            .get_mut(&number)
            .is_some_and(|c| c.reported.insert(seq));
        if first {
            self.verdict_of(id, seq, me, &result.outcome);
        }
        if settled {
            self.set_delivery(id, seq, Delivery::Done);
        }
        settled || first
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
