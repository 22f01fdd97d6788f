//! Dedup keys of durable subscriptions: reserved, confirmed, released.

use std::time::Duration;

use super::state::{DedupRow, World};
use crate::event::EventId;
use crate::store::Error;
use crate::store::deliveries::{DEDUP_MEMORY_FACTOR, Reserved};
use crate::store::subscriptions::SubscriptionId;

impl World {
    pub(super) fn reserve(
        &mut self,
        id: SubscriptionId,
        keys: Vec<(String, EventId)>,
        ttl: Duration,
    ) -> Result<Vec<Reserved>, Error> {
        self.standing(id, "reserve keys of")?;
        let reserved = keys
            .into_iter()
            .map(|(key, event)| self.reserve_one(id, key, event, ttl));
        Ok(reserved.collect())
    }

    fn reserve_one(
        &mut self,
        id: SubscriptionId,
        key: String,
        event: EventId,
        ttl: Duration,
    ) -> Reserved {
        let mut row = DedupRow {
            event,
            window_ends_at: None,
            ttl,
            earlier: None,
        };
        let mut answer = Reserved::Yes;
        if let Some(known) = self.dedup.get(&(id, key.clone())) {
            if known.event == event {
                return Reserved::Yes;
            }
            let Some(window_ends_at) = known.window_ends_at else {
                return Reserved::Wait {
                    holder: known.event,
                };
            };
            if self.now < window_ends_at {
                return Reserved::Duplicate {
                    original: known.event,
                    window_ends_at,
                };
            }
            let remembered = known.ttl.saturating_mul(DEDUP_MEMORY_FACTOR - 1);
            if self.now < window_ends_at.after(remembered) {
                row.earlier = Some((known.event, window_ends_at));
                answer = Reserved::AfterWindow {
                    original: known.event,
                    ended_at: window_ends_at,
                };
            }
        }
        self.dedup.insert((id, key), row);
        answer
    }

    /// Confirms a key that this event reserved, or releases it. A confirmed key stays as it is.
    pub(super) fn end_key(&mut self, id: SubscriptionId, key: &str, event: EventId, done: bool) {
        let at = (id, key.to_owned());
        let now = self.now;
        let Some(row) = self.dedup.get_mut(&at) else {
            return;
        };
        if row.event != event || row.window_ends_at.is_some() {
            return;
        }
        match (done, row.earlier) {
            (true, _) => row.window_ends_at = Some(now.after(row.ttl)),
            (false, Some((earlier, ended_at))) => {
                row.event = earlier;
                row.window_ends_at = Some(ended_at);
            }
            (false, None) => {
                self.dedup.remove(&at);
            }
        }
    }

    /// Releases every key that one event, or any event, of a subscription has reserved: its run
    /// will not come to an outcome.
    pub(super) fn release_keys(&mut self, id: SubscriptionId, event: Option<EventId>) {
        let reserved: Vec<(String, EventId)> = self
            .dedup
            .iter()
            .filter(|((of, _), row)| {
                *of == id
                    && row.window_ends_at.is_none()
                    && event.is_none_or(|event| event == row.event)
            })
            .map(|((_, key), row)| (key.clone(), row.event))
            .collect();
        for (key, event) in reserved {
            self.end_key(id, &key, event, false);
        }
    }

    /// Forgets keys that nobody needs to know any longer.
    pub(super) fn forget_keys(&mut self) {
        let now = self.now;
        self.dedup.retain(|_, row| match row.window_ends_at {
            Some(ends_at) => now < ends_at.after(row.ttl.saturating_mul(DEDUP_MEMORY_FACTOR - 1)),
            None => true,
        });
    }
}
