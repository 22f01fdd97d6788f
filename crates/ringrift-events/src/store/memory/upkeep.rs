//! Counting, clearing, restoring and checking.

use serde_json::json;

use super::state::{Delivery, Subscription, World};
use crate::event::{Event, Seq};
use crate::store::deliveries::Why;
use crate::store::registry::Fact;
use crate::store::subscriptions::{Kind, SubscriptionId};
use crate::store::upkeep::{Checked, Figures};
use crate::verdict::Code;

impl World {
    /// The durable subscriptions that stand, each with its settled position.
    pub(super) fn owing(&self) -> Vec<(&Subscription, Seq)> {
        let standing = self.subscriptions.values();
        let standing = standing.filter(|s| s.kind == Kind::Durable && s.ended_at.is_none());
        standing.map(|s| (s, self.settled(s))).collect()
    }

    fn poll_mark(&self) -> Seq {
        let marks = self.members.values().map(|member| member.polled_to);
        marks.max().unwrap_or_default()
    }

    fn pending(&self) -> Vec<Seq> {
        let mark = self.poll_mark();
        let owing = self.owing();
        let kept = self
            .log
            .iter()
            .filter(|(_, logged)| logged.deleted_at.is_none());
        kept.filter(|(seq, logged)| **seq > mark || is_owed(&owing, **seq, &logged.event))
            .map(|(seq, _)| *seq)
            .collect()
    }

    pub(super) fn count_pending(&self) -> u64 {
        self.pending().len() as u64
    }

    pub(super) fn clear_queue(&mut self, by: String, last: Seq, dry_run: bool) -> u64 {
        let mut pending = self.pending();
        pending.retain(|seq| *seq <= last);
        if dry_run {
            return pending.len() as u64;
        }
        for seq in &pending {
            self.hide(*seq);
        }
        self.note_queue_act("queue.clear", by, pending.len());
        pending.len() as u64
    }

    /// Hides one event and ends what is owed of it until it is restored.
    fn hide(&mut self, seq: Seq) {
        let now = self.public_now();
        let Some(logged) = self.log.get_mut(&seq) else {
            return;
        };
        logged.deleted_at = Some(now);
        let event = logged.event.clone();
        let owing: Vec<(SubscriptionId, Option<(i64, i64)>)> = self
            .subscriptions
            .values()
            .filter(|s| s.kind == Kind::Durable && s.ended_at.is_none() && s.owes(seq, &event))
            .filter_map(|s| match s.deliveries.get(&seq) {
                Some(Delivery::Claimed(claim)) => {
                    let fence = self.claims.get(claim).map_or(0, |row| row.fence);
                    Some((s.id, Some((*claim, fence))))
                }
                None if seq > s.cursor => Some((s.id, None)),
                Some(_) | None => None,
            })
            .collect();
        for (id, claim) in owing {
            self.set_delivery(id, seq, Delivery::Purged(claim));
            self.verdict(Code::StPurged, id, &event, None, json!({}));
        }
    }

    pub(super) fn restore_queue(&mut self, by: String, last: Seq, dry_run: bool) -> u64 {
        let hidden = self
            .log
            .range(..=last)
            .filter(|(_, logged)| logged.deleted_at.is_some());
        let hidden: Vec<Seq> = hidden.map(|(seq, _)| *seq).collect();
        if dry_run {
            return hidden.len() as u64;
        }
        for seq in &hidden {
            self.show(*seq);
        }
        self.note_queue_act("queue.restore", by, hidden.len());
        hidden.len() as u64
    }

    /// Shows one event again and makes due exactly what was purged unsettled.
    fn show(&mut self, seq: Seq) {
        if let Some(logged) = self.log.get_mut(&seq) {
            logged.deleted_at = None;
        }
        let purged: Vec<_> = self
            .subscriptions
            .values()
            .filter_map(|s| match s.deliveries.get(&seq) {
                Some(Delivery::Purged(claim)) => Some((s.id, *claim, seq > s.cursor)),
                Some(_) | None => None,
            })
            .collect();
        for (id, claim, ahead) in purged {
            // Still in the hands it was in: its settle decides.
            let open = claim.filter(|(claim, fence)| {
                let row = self.claims.get(claim);
                row.is_some_and(|row| {
                    row.open && row.owner.is_some() && row.fence == *fence && row.settled_to < seq
                })
            });
            match open {
                Some((claim, _)) => self.set_delivery(id, seq, Delivery::Claimed(claim)),
                None if ahead => {
                    if let Some(subscription) = self.subscriptions.get_mut(&id) {
                        subscription.deliveries.remove(&seq);
                    }
                }
                None => {
                    self.row_of(id, seq, Why::Restored);
                }
            }
        }
    }

    fn note_queue_act(&mut self, act: &str, by: String, events: usize) {
        let fact = Fact {
            act: Some((by, act.to_owned())),
            evidence: json!({ "events": events }).to_string(),
            ..self.fact(None)
        };
        self.note(fact);
    }

    pub(super) fn figures(&self) -> Figures {
        Figures {
            head: self.head,
            oldest: self.log.keys().next().copied().unwrap_or_default(),
            file_bytes: 0,
            wal_bytes: 0,
            wal_reader: None,
            letters: self.count_letters(),
            swept: self.swept,
            write_lock: None,
            held_back: Vec::new(),
            notes: vec!["this store is in memory: it ends with its process".to_owned()],
        }
    }

    pub(super) fn check(&self) -> Checked {
        let mut problems = Vec::new();
        for tally in self.tallies() {
            let sum = tally.waiting + tally.claimed + tally.done + tally.retrying + tally.dead;
            let sum = sum + tally.discarded + tally.expired;
            if sum != tally.matching {
                problems.push(format!(
                    "subscription {}: {} deliveries, but their states add up to {sum}",
                    tally.subscription.0, tally.matching
                ));
            }
        }
        for (number, claim) in self.claims.iter().filter(|(_, claim)| claim.open) {
            if claim
                .owner
                .is_some_and(|owner| !self.members.contains_key(&owner))
            {
                problems.push(format!("claim {number} is held by a process nobody knows"));
            }
        }
        Checked {
            problems,
            events: self.log.len() as u64,
            bytes: 0,
        }
    }
}

/// Whether some durable subscription whose version there names the event's type has not settled
/// it. Filters are not looked at.
pub(super) fn is_owed(owing: &[(&Subscription, Seq)], seq: Seq, event: &Event) -> bool {
    owing.iter().any(|(subscription, settled)| {
        *settled < seq && subscription.covers(seq) && subscription.version_at(seq).1.names(event)
    })
}
