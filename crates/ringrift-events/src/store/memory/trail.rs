//! What is kept of one event's way: positions, claims, redeliveries.

use std::collections::BTreeMap;

use super::state::{ClaimRow, Delivery, Past, Row, Subscription, World};
use crate::clock::Time;
use crate::event::Seq;
use crate::store::deliveries::Why;
use crate::store::letters::LetterState;
use crate::store::subscriptions::{Generation, Kind};
use crate::store::trail::{Again, Passage, Place, Trail};

/// Most generations kept after their end; the oldest go first.
const PAST_MAX: usize = 64;

/// One generation, over or not.
struct Stretch<'a> {
    generation: Generation,
    began_at: Time,
    ended_at: Option<Time>,
    base: Seq,
    cursor: Seq,
    deliveries: &'a BTreeMap<Seq, Delivery>,
}

impl Subscription {
    /// Keeps what the generation came to; the caller begins the next one.
    pub(super) fn end_generation(&mut self, now: Time) {
        if self.past.len() == PAST_MAX {
            self.past.pop_front();
        }
        self.past.push_back(Past {
            generation: self.generation,
            began_at: self.began_at,
            ended_at: now,
            base: self.base,
            cursor: self.cursor,
            deliveries: std::mem::take(&mut self.deliveries),
        });
        self.began_at = now;
    }
}

impl World {
    pub(super) fn trail(&self, seq: Seq) -> Trail {
        let durable = || {
            let all = self.subscriptions.values();
            all.filter(|subscription| subscription.kind == Kind::Durable)
        };
        let rows = self.rows.values();
        Trail {
            passages: durable().flat_map(|one| self.passages(one, seq)).collect(),
            again: rows
                .filter(|row| row.event.seq == Some(seq))
                .map(again)
                .collect(),
            ahead: durable()
                .filter_map(|one| self.ahead(one, seq))
                .map(again)
                .collect(),
        }
    }

    fn passages(&self, subscription: &Subscription, seq: Seq) -> Vec<Passage> {
        let passage = |stretch: Stretch<'_>| Passage {
            subscription: subscription.id,
            generation: stretch.generation,
            began_at: stretch.began_at,
            ended_at: stretch.ended_at,
            place: self.place(subscription, &stretch, seq),
        };
        let past = subscription.past.iter().map(|past| Stretch {
            generation: past.generation,
            began_at: past.began_at,
            ended_at: Some(past.ended_at),
            base: past.base,
            cursor: past.cursor,
            deliveries: &past.deliveries,
        });
        let now = Stretch {
            generation: subscription.generation,
            began_at: subscription.began_at,
            ended_at: subscription.ended_at,
            base: subscription.base,
            cursor: subscription.cursor,
            deliveries: &subscription.deliveries,
        };
        past.chain([now]).map(passage).collect()
    }

    fn place(&self, subscription: &Subscription, stretch: &Stretch<'_>, seq: Seq) -> Place {
        if seq <= stretch.base {
            return Place::Outside;
        }
        let held_by = |claim: &&ClaimRow| {
            claim.subscription == subscription.id
                && claim.generation == stretch.generation
                && claim.events.contains(&seq)
        };
        let logged = self.log.get(&seq);
        let is_deleted = logged.is_some_and(|logged| logged.deleted_at.is_some());
        match stretch.deliveries.get(&seq) {
            Some(Delivery::Claimed(number)) => match self.claims.get(number) {
                Some(claim) if claim.open => Place::Claimed { by: claim.owner },
                // A seek or a removal closed it with this in it.
                Some(_) | None => Place::Ahead,
            },
            Some(Delivery::Purged(claim)) => Place::Deleted {
                taken: claim.is_some(),
            },
            // Deleted in an earlier generation.
            None if stretch.ended_at.is_none() && is_deleted && seq > stretch.cursor => {
                Place::Deleted { taken: false }
            }
            None if seq > stretch.cursor => Place::Ahead,
            Some(Delivery::Done | Delivery::Again(_) | Delivery::Expired) | None => Place::Passed {
                by: self.claims.values().find(held_by).and_then(|c| c.owner),
            },
        }
    }

    /// The earliest unfinished redelivery of an earlier event with the key of the one at `seq`.
    fn ahead(&self, subscription: &Subscription, seq: Seq) -> Option<&Row> {
        let key = self.log.get(&seq)?.event.key.as_ref()?;
        if !subscription.ordered() || subscription.ended_at.is_some() {
            return None;
        }
        let blocks = |row: &&Row| {
            row.subscription == subscription.id
                && row.generation == subscription.generation
                && row.event.key.as_ref() == Some(key)
                && row.event.seq.is_some_and(|other| other < seq)
                && row.is_going()
                && row.why != Why::Replay
                && !self.is_withdrawn(row)
        };
        let rows = self.rows.values().filter(blocks);
        rows.min_by_key(|row| row.event.seq)
    }
}

fn again(row: &Row) -> Again {
    let failed = row.failed.as_ref().map(|failed| &failed.last);
    Again {
        id: row.id,
        subscription: row.subscription,
        generation: row.generation,
        event: row.event.id,
        seq: row.event.seq,
        why: row.why,
        state: row.state,
        failed: row.is_letter(),
        attempts: row.attempts,
        attempts_total: row.attempts_total,
        deaths: row.deaths,
        error: failed.map(|failure| failure.message.clone()),
        error_kind: failed.map(|failure| failure.kind),
        due: row
            .due
            .filter(|_| row.state == LetterState::Retrying && !row.held),
        held: row.held,
        owner: row.owner,
        linked: row.linked,
    }
}
