//! Taking the next range of the log.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::state::{ClaimRow, Delivery, Subscription, World};
use crate::event::{Event, ProcessId, Seq};
use crate::store::deliveries::{CLAIM_PLACES_MAX, Claim, Grows, Want, Why};
use crate::store::subscriptions::SubscriptionId;

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

impl World {
    /// Takes the next range of the log, moving the cursor past what does not match.
    pub(super) fn claim_range(
        &mut self,
        me: ProcessId,
        id: SubscriptionId,
        version: i64,
        want: Want,
    ) -> Option<Claim> {
        let subscription = self.subscriptions.get(&id)?;
        let Scanned {
            taken,
            blocked,
            deleted,
            cursor,
            version: in_version,
        } = self.scan(subscription, version, want.max);
        for seq in blocked {
            self.row_of(id, seq, Why::KeyBlocked);
        }
        for seq in deleted {
            self.set_delivery(id, seq, Delivery::Purged(None));
        }
        let subscription = self.subscriptions.get_mut(&id)?;
        let moved = subscription.cursor < cursor;
        subscription.cursor = cursor;
        let generation = subscription.generation;
        if taken.is_empty() {
            // Everything it looked at waits for its key: what follows may not.
            return moved.then(|| self.claim_range(me, id, version, want))?;
        }
        if let Some(number) = self.grow(me, want, in_version, &taken) {
            let mut answer = self.claim_answer(number)?;
            let new = |event: &Arc<Event>| event.seq >= Some(taken[0]);
            Arc::make_mut(&mut answer.events).retain(new);
            return Some(answer);
        }
        let number = self.add_claim(ClaimRow {
            subscription: id,
            generation,
            version: in_version,
            owner: Some(me),
            fence: 1,
            settled_to: Seq(taken[0].0 - 1),
            events: taken,
            open: true,
            is_cut: false,
        });
        self.claim_answer(number)
    }

    /// Lets the claim that may grow do so.
    fn grow(&mut self, me: ProcessId, want: Want, version: i64, taken: &[Seq]) -> Option<i64> {
        let Grows { token, last } = want.grows?;
        let claim = self.claims.get(&token.id)?;
        let later = |other: &ClaimRow| {
            other.subscription == claim.subscription
                && other.generation == claim.generation
                && other.last() > claim.last()
        };
        let span = taken.last()?.0 - claim.events.first()?.0;
        let may = claim.open
            && !claim.is_cut
            && claim.subscription == want.subscription
            && (claim.fence, token.fence) == (1, 1)
            && claim.owner == Some(me)
            && claim.version == version
            && claim.last() == last
            && span < CLAIM_PLACES_MAX
            && !self.claims.values().any(later);
        if !may {
            return None;
        }
        let claim = self.claims.get_mut(&token.id)?;
        claim.events.extend(taken);
        for seq in taken {
            self.set_delivery(want.subscription, *seq, Delivery::Claimed(token.id));
        }
        Some(token.id)
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
    pub(super) fn blocked_keys(&self, subscription: &Subscription) -> BTreeSet<String> {
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
}
