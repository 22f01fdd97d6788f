//! How subscriptions stand.

use super::state::{Delivery, Row, Subscription, World};
use crate::event::Seq;
use crate::store::deliveries::Why;
use crate::store::letters::LetterState;
use crate::store::subscriptions::{Kind, SubscriptionState};

impl World {
    pub(super) fn subscription_states(&self) -> Vec<SubscriptionState> {
        let mut states: Vec<SubscriptionState> = self
            .subscriptions
            .values()
            .map(|s| self.state_of(s))
            .collect();
        states.sort_by(|a, b| (&a.current().name, a.id).cmp(&(&b.current().name, b.id)));
        states
    }

    fn state_of(&self, subscription: &Subscription) -> SubscriptionState {
        let letters = || {
            let rows = self.rows.values();
            rows.filter(|row| row.is_of(subscription) && row.is_letter())
        };
        let (cursor, settled) = self.marks(subscription);
        SubscriptionState {
            id: subscription.id,
            versions: subscription
                .versions
                .iter()
                .map(|(v, _)| v.clone())
                .collect(),
            process: subscription.process,
            generation: subscription.generation,
            paused: subscription.paused.clone(),
            cursor,
            settled,
            claimed: self.claimed_events(subscription),
            retrying: letters().filter(|row| row.is_going()).count() as u64,
            dead: letters()
                .filter(|row| row.state == LetterState::Dead)
                .count() as u64,
            again: self
                .going(subscription)
                .filter(|row| !row.is_letter())
                .count() as u64,
            owed_after: self.owed_from(subscription, settled),
            ended_at: subscription.ended_at,
            hosts: self.hosts_of(subscription.id),
        }
    }

    /// What runs again without anybody's help.
    fn going<'a>(&'a self, subscription: &'a Subscription) -> impl Iterator<Item = &'a Row> + 'a {
        self.rows
            .values()
            .filter(|row| row.is_of(subscription) && row.is_going() && !self.is_withdrawn(row))
    }

    /// The place before the oldest delivery of the log that is not settled or comes again.
    fn owed_from(&self, subscription: &Subscription, settled: Seq) -> Seq {
        let of_the_log = |row: &&Row| row.kind == Kind::Durable && row.why != Why::Replay;
        let again = self.going(subscription).filter(of_the_log);
        let oldest = again.filter_map(|row| row.event.seq).min();
        oldest.map_or(settled, |seq| settled.min(Seq(seq.0 - 1)))
    }

    /// The cursor and the settled position, or twice its poller's place for a live one.
    fn marks(&self, subscription: &Subscription) -> (Seq, Seq) {
        if subscription.kind == Kind::Durable {
            return (subscription.cursor, self.settled(subscription));
        }
        let member = subscription.process.and_then(|id| self.members.get(&id));
        let polled = member.map_or(Seq::START, |member| member.polled_to);
        let seen = polled.max(subscription.cursor);
        (seen, seen)
    }

    /// Everything up to here is settled or passed.
    pub(super) fn settled(&self, subscription: &Subscription) -> Seq {
        let open = self.open_claims(subscription.id);
        let lowest = open.map(|(_, claim)| claim.settled_to).min();
        lowest.map_or(subscription.cursor, |seq| seq.min(subscription.cursor))
    }

    fn claimed_events(&self, subscription: &Subscription) -> u64 {
        let owned = |id: &i64| {
            self.claims
                .get(id)
                .is_some_and(|claim| claim.open && claim.owner.is_some())
        };
        let states = subscription.deliveries.values();
        states
            .filter(|state| matches!(state, Delivery::Claimed(id) if owned(id)))
            .count() as u64
    }
}
