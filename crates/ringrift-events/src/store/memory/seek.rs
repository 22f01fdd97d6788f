//! Moving a subscription, and ending what it owed.

use std::sync::Arc;

use serde_json::json;

use super::state::{Delivery, Subscription, World};
use crate::event::Seq;
use crate::store::Error;
use crate::store::subscriptions::{Generation, SeekTo, Sought, SubscriptionId};
use crate::verdict::Code;

impl World {
    pub(super) fn seek(
        &mut self,
        id: SubscriptionId,
        to: SeekTo,
        by: String,
        dry_run: bool,
    ) -> Result<Sought, Error> {
        let subscription = self.standing(id, "seek")?;
        let to = self.place_of(to);
        let from = self.settled(subscription);
        let skipped = self.taken_between(subscription, from, to);
        let again = self.taken_between(subscription, to, from).len();
        let sought = Sought {
            from,
            to,
            generation: Generation(subscription.generation.0 + i64::from(!dry_run)),
            skipped: skipped.len() as u64,
            again: again as u64,
        };
        if dry_run {
            return Ok(sought);
        }
        self.end_owed(id, &skipped, to, Code::StSkippedBySeek, &by);
        self.close_claims(id);
        self.discard_rows(id);
        self.release_keys(id, None);
        let now = self.now;
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.end_generation(now);
            subscription.generation = sought.generation;
            subscription.base = to;
            subscription.cursor = to;
            // Sought before its beginning: the first version is for what lies there, too.
            let first = &mut subscription.versions[0].0;
            first.valid_from = first.valid_from.min(to.next());
        }
        self.note_act(id, "subs.seek", by);
        Ok(sought)
    }

    fn place_of(&self, to: SeekTo) -> Seq {
        match to {
            SeekTo::After(seq) => seq.max(Seq::START).min(self.head),
            SeekTo::Beginning => Seq(self.oldest_kept().0 - 1),
            SeekTo::End => self.head,
            SeekTo::Time(time) => {
                let mut later = self.log.iter().filter(|(_, l)| l.committed_at >= time);
                later.next().map_or(self.head, |(seq, _)| Seq(seq.0 - 1))
            }
        }
    }

    /// The events after `after` and up to `to` that the subscription takes.
    fn taken_between(&self, subscription: &Subscription, after: Seq, to: Seq) -> Vec<Seq> {
        if to <= after {
            return Vec::new();
        }
        let kept = self.log.range(after.next()..=to);
        kept.filter(|(_, logged)| logged.deleted_at.is_none())
            .filter(|(seq, logged)| subscription.version_at(**seq).1.takes(&logged.event))
            .map(|(seq, _)| *seq)
            .collect()
    }

    /// The deliveries of the current generation that have not come to an end.
    pub(super) fn unfinished(&self, subscription: &Subscription) -> Vec<Seq> {
        let open = |seq: &Seq| match subscription.deliveries.get(seq) {
            Some(Delivery::Claimed(_)) => true,
            Some(Delivery::Again(row)) => self.rows[row].is_unfinished(),
            Some(Delivery::Done | Delivery::Expired | Delivery::Purged(_)) => false,
            None => *seq > subscription.cursor && !self.hidden(*seq),
        };
        let owed = self.owed_after(subscription, subscription.base);
        owed.map(|(seq, _)| seq).filter(open).collect()
    }

    /// Keeps one verdict for the range that these deliveries span, and one for each up to `to` that
    /// has a redelivery of its own and has not failed. Call it before the redeliveries end.
    pub(super) fn end_owed(
        &mut self,
        id: SubscriptionId,
        owed: &[Seq],
        to: Seq,
        code: Code,
        by: &str,
    ) {
        let rows = self.rows.values().filter(|row| {
            row.subscription == id
                && row.is_going()
                && !row.is_letter()
                && !self.is_withdrawn(row)
                && row.event.seq.is_none_or(|seq| seq <= to)
        });
        let again: Vec<_> = rows.map(|row| (row.id, Arc::clone(&row.event))).collect();
        for (letter, event) in again {
            let evidence = json!({ "by": by, "redelivery": letter });
            self.verdict(code, id, &event, None, evidence);
        }
        let deliveries = self.subscriptions.get(&id).map(|s| &s.deliveries);
        let plain = owed.iter().filter(|seq| {
            let state = deliveries.and_then(|deliveries| deliveries.get(seq));
            !matches!(state, Some(Delivery::Again(_)))
        });
        let plain: Vec<Seq> = plain.copied().collect();
        if let (Some(first), Some(last)) = (plain.first(), plain.last()) {
            let evidence = json!({ "by": by, "deliveries": plain.len() });
            self.verdict_range(code, id, (*first, *last), evidence);
        }
    }
}
