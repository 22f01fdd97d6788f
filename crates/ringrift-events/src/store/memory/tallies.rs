//! The sums: every delivery in exactly one state.

use super::state::{Delivery, Row, Subscription, World};
use crate::event::Seq;
use crate::store::letters::LetterState;
use crate::store::subscriptions::Kind;
use crate::store::upkeep::Tally;

impl World {
    pub(super) fn tallies(&self) -> Vec<Tally> {
        let standing = self
            .subscriptions
            .values()
            .filter(|s| s.kind == Kind::Durable && s.ended_at.is_none());
        standing
            .map(|subscription| self.tally(subscription))
            .collect()
    }

    fn tally(&self, subscription: &Subscription) -> Tally {
        let mut tally = Tally::of(subscription.id, subscription.generation);
        for (seq, _) in self.owed_after(subscription, subscription.base) {
            tally.matching += 1;
            *self.count_of(&mut tally, subscription, seq) += 1;
        }
        tally
    }

    /// The one count that a delivery belongs to.
    fn count_of<'a>(
        &self,
        tally: &'a mut Tally,
        subscription: &Subscription,
        seq: Seq,
    ) -> &'a mut u64 {
        match subscription.deliveries.get(&seq) {
            // Also one that was passed while it was deleted.
            None if self.hidden(seq) || seq <= subscription.cursor => &mut tally.expired,
            None => &mut tally.waiting,
            Some(Delivery::Done) => &mut tally.done,
            Some(Delivery::Expired | Delivery::Purged(_)) => &mut tally.expired,
            Some(Delivery::Claimed(claim)) => match self.claims[claim].owner {
                Some(_) => &mut tally.claimed,
                None => &mut tally.waiting,
            },
            Some(Delivery::Again(row)) => match &self.rows[row] {
                // It went with its event, and comes back with it.
                row if row.state == LetterState::Retrying && self.is_withdrawn(row) => {
                    &mut tally.expired
                }
                row => count_of_row(tally, row),
            },
        }
    }
}

fn count_of_row<'a>(tally: &'a mut Tally, row: &Row) -> &'a mut u64 {
    match row.state {
        LetterState::Retrying if row.is_letter() => &mut tally.retrying,
        LetterState::Retrying => &mut tally.waiting,
        LetterState::Running => &mut tally.claimed,
        LetterState::Dead => &mut tally.dead,
        LetterState::Recovered => &mut tally.done,
        LetterState::Discarded => &mut tally.discarded,
        LetterState::Expired | LetterState::Purged => &mut tally.expired,
    }
}
