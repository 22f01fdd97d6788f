//! Dedup keys of durable subscriptions: reserved, confirmed, released.

use std::time::Duration;

use super::state::{DedupRow, World};
use crate::event::{EventId, ProcessId};
use crate::store::Error;
use crate::store::deliveries::{DEDUP_MEMORY_FACTOR, Reserved, is_key};
use crate::store::subscriptions::SubscriptionId;

impl World {
    pub(super) fn reserve(
        &mut self,
        me: ProcessId,
        id: SubscriptionId,
        keys: Vec<(String, EventId)>,
        ttl: Duration,
    ) -> Result<Vec<Reserved>, Error> {
        self.durable(id, "reserve keys for")?;
        let mut reserved = Vec::with_capacity(keys.len());
        for (key, event) in keys {
            let row = DedupRow {
                event,
                owner: me,
                window_ends_at: None,
                ttl,
                earlier: None,
            };
            reserved.push(self.reserve_one(id, key, row));
        }
        Ok(reserved)
    }

    fn reserve_one(&mut self, id: SubscriptionId, key: String, mut row: DedupRow) -> Reserved {
        let mut answer = Reserved::Yes;
        if let Some(known) = self.dedup.get_mut(&(id, key.clone())) {
            if known.event == row.event {
                if known.window_ends_at.is_none() {
                    known.owner = row.owner;
                }
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

    /// Releases what a process that died or left had reserved.
    pub(super) fn release_keys_of(&mut self, process: ProcessId) {
        let reserved = self
            .dedup
            .iter()
            .filter(|(_, row)| row.owner == process && row.window_ends_at.is_none());
        let reserved: Vec<_> = reserved.map(|(at, row)| (at.clone(), row.event)).collect();
        for ((id, key), event) in reserved {
            self.end_key(id, &key, event, false);
        }
    }

    /// Forgets keys at an operator's wish.
    pub(super) fn forget_some_keys(
        &mut self,
        id: SubscriptionId,
        key: Option<&str>,
        by: String,
        dry_run: bool,
    ) -> Result<u64, Error> {
        self.durable(id, "forget keys of")?;
        let meant =
            |of: SubscriptionId, known: &str| of == id && key.is_none_or(|key| is_key(known, key));
        let confirmed = self
            .dedup
            .iter()
            .filter(|((of, known), row)| meant(*of, known) && row.window_ends_at.is_some());
        let count = confirmed.count() as u64;
        if dry_run {
            return Ok(count);
        }
        self.dedup.retain(|(of, known), row| {
            let is_meant = meant(*of, known);
            if is_meant {
                row.earlier = None;
            }
            !(is_meant && row.window_ends_at.is_some())
        });
        self.note_act(id, "dedup.reset", by);
        Ok(count)
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
