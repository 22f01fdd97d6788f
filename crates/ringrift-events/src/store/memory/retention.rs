//! What time lets go.

use std::collections::BTreeSet;

use serde_json::json;

use super::state::{Delivery, World};
use super::upkeep::is_owed;
use crate::event::Seq;
use crate::store::letters::LetterState;
use crate::store::subscriptions::{Kind, SubscriptionId};
use crate::store::upkeep::{SweepRules, Swept};
use crate::verdict::Code;

impl World {
    pub(super) fn retain(&mut self, rules: &SweepRules) -> Swept {
        let mut swept = Swept::default();
        self.expire_orphans(rules, &mut swept);
        self.end_orphaned_letters(rules);
        self.delete_events(rules, &mut swept);
        self.forget_rows(rules);
        self.forget_keys();
        let now = self.now;
        self.idempotency.retain(|_, (_, ends_at)| *ends_at > now);
        let facts_from = now.before(rules.keep_facts);
        self.facts.retain(|fact| fact.at >= facts_from);
        let pages_from = now.before(rules.keep_pages);
        self.members.retain(|_, member| {
            !member.swept
                || member
                    .ended_at
                    .is_none_or(|ended_at| ended_at >= pages_from)
        });
        swept
    }

    /// Ends what durable subscriptions owe that nobody has hosted for too long.
    fn expire_orphans(&mut self, rules: &SweepRules, swept: &mut Swept) {
        let limit = self.now.before(rules.keep_orphaned);
        let orphans: Vec<SubscriptionId> = self
            .subscriptions
            .values()
            .filter(|s| s.kind == Kind::Durable && s.ended_at.is_none())
            .filter(|s| s.orphaned_since.is_some_and(|since| since < limit))
            .map(|s| s.id)
            .collect();
        for id in orphans {
            self.expire(id, swept);
        }
    }

    fn expire(&mut self, id: SubscriptionId, swept: &mut Swept) {
        let Some(subscription) = self.subscriptions.get(&id) else {
            return;
        };
        let owed = self.unfinished(subscription);
        swept.expired += owed.len() as u64;
        self.end_owed(id, &owed, self.head, Code::StExpired, "retention");
        self.close_claims(id);
        for row in self.rows.values_mut() {
            if row.subscription == id && row.is_unfinished() {
                row.state = LetterState::Expired;
                row.fence += 1;
                row.changed_at = self.now;
            }
        }
        let head = self.head;
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.cursor = head;
            for seq in owed {
                let state = subscription
                    .deliveries
                    .entry(seq)
                    .or_insert(Delivery::Expired);
                if !matches!(state, Delivery::Again(_)) {
                    *state = Delivery::Expired;
                }
            }
        }
        self.release_keys(id, None);
    }

    /// A live handler's letter that no process could run for too long waits for an operator.
    fn end_orphaned_letters(&mut self, rules: &SweepRules) {
        let limit = self.now.before(rules.keep_orphaned_letters);
        let hosted: Vec<&str> = self
            .subscriptions
            .values()
            .filter(|s| s.kind == Kind::Live && !self.hosts_of(s.id).is_empty())
            .map(|s| s.name.as_str())
            .collect();
        let orphaned: Vec<_> = self
            .rows
            .values()
            .filter(|row| row.kind == Kind::Live && row.state == LetterState::Retrying)
            .filter(|row| row.changed_at < limit && !hosted.contains(&row.handler.as_str()))
            .map(|row| row.id)
            .collect();
        for id in orphaned {
            if let Some(row) = self.rows.get_mut(&id) {
                row.state = LetterState::Dead;
                row.due = None;
                row.changed_at = self.now;
                let (subscription, event) = (row.subscription, row.event.clone());
                let evidence = json!({ "letter": id, "why": "no process hosts this handler" });
                self.verdict(Code::StDead, subscription, &event, None, evidence);
            }
        }
    }

    fn delete_events(&mut self, rules: &SweepRules, swept: &mut Swept) {
        let settled_from = self.now.before(rules.keep_settled);
        let deleted_from = self.now.before(rules.keep_deleted);
        let too_many = (self.log.len() as u64).saturating_sub(rules.log_events_max);
        let owing = self.owing();
        let unfinished = self.rows.values().filter(|row| row.is_unfinished());
        let lettered: BTreeSet<Seq> = unfinished.filter_map(|row| row.event.seq).collect();
        let mut going: Vec<Seq> = Vec::new();
        for (seq, logged) in &self.log {
            let old = match logged.deleted_at {
                Some(at) => at < deleted_from,
                None => logged.committed_at < settled_from || (going.len() as u64) < too_many,
            };
            let needed = || is_owed(&owing, *seq, &logged.event) || lettered.contains(seq);
            if !old || (logged.deleted_at.is_none() && needed()) {
                continue;
            }
            if going.len() == rules.rows_max {
                swept.more = true;
                break;
            }
            going.push(*seq);
        }
        swept.events_deleted += going.len() as u64;
        for seq in going {
            self.drop_event(seq);
        }
    }

    fn drop_event(&mut self, seq: Seq) {
        if let Some(logged) = self.log.remove(&seq) {
            self.by_id.remove(&logged.event.id);
        }
        for subscription in self.subscriptions.values_mut() {
            subscription.deliveries.remove(&seq);
        }
        for claim in self.claims.values_mut() {
            claim.events.retain(|other| *other != seq || claim.open);
        }
    }

    /// Drops rows that have come to their end and whose event is gone.
    fn forget_rows(&mut self, rules: &SweepRules) {
        let kept_from = self.now.before(rules.keep_facts);
        let purged_from = self.now.before(rules.keep_deleted);
        let log = &self.log;
        self.rows.retain(|_, row| {
            let from = if row.state == LetterState::Purged {
                purged_from
            } else {
                kept_from
            };
            let in_log = row.event.seq.is_some_and(|seq| log.contains_key(&seq));
            row.is_unfinished() || in_log || row.changed_at >= from
        });
        self.claims
            .retain(|_, claim| claim.open || !claim.events.is_empty());
    }
}
