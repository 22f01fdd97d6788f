//! A handler's own idea of "the same again": keys of payload fields, kept in memory for live ones.
//!
//! A key is reserved before the run, confirmed by success, released by failure or when the run
//! never starts. Meanwhile an equal key waits for that outcome. Confirmed keys live for a fixed
//! time and are remembered ten times as long, so that a repeat after the window is known as one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::clock::{SharedClock, Time};
use crate::event::{Event, EventId};

/// Most keys of one handler: about 200 MiB at the longest usual keys.
pub const KEYS_MAX: usize = 1_000_000;

/// How much longer than it counts a key is remembered.
pub const REMEMBERED: u32 = 10;

/// Longer keys are replaced by their hash: a payload field may be a mebibyte long.
const KEY_BYTES_MAX: usize = 1_024;

/// A field of the dedup key that the payload does not have, or has as `null`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the dedup key needs the payload field {field}, which this {event_type} lacks")]
pub struct MissingField {
    /// The field, as the policy names it.
    pub field: String,
    /// The event's type.
    pub event_type: String,
}

/// The dedup key of an event: its type and the values of these fields, in their order. The
/// subscription is not in it: keys are kept apart by subscription.
pub fn key(event: &Event, fields: &[String]) -> Result<String, MissingField> {
    let mut key = event.event_type.as_str().to_owned();
    for field in fields {
        let value = value_at(event, field).ok_or_else(|| MissingField {
            field: field.clone(),
            event_type: event.event_type.as_str().to_owned(),
        })?;
        // The value as JSON: 1 and "1" differ, and no text can imitate a border.
        key.push_str(&format!("|{field}={value}"));
    }
    if key.len() > KEY_BYTES_MAX {
        let start = &key[..key.floor_char_boundary(KEY_BYTES_MAX / 2)];
        key = format!("{start}…#{:032x}", fnv1a_128(key.as_bytes()));
    }
    Ok(key)
}

fn value_at<'a>(event: &'a Event, path: &str) -> Option<&'a Value> {
    let fields = event.payload.fields();
    let value = fields.get(path).or_else(|| {
        let mut parts = path.split('.');
        let first = fields.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    });
    value.filter(|value| !value.is_null())
}

/// The same in every process and every build, which the standard library's hashes are not.
fn fnv1a_128(bytes: &[u8]) -> u128 {
    bytes
        .iter()
        .fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
            (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        })
}

/// The dedup keys of one live handler.
#[derive(Debug)]
pub struct Keys {
    ttl: Duration,
    max: usize,
    clock: SharedClockDebug,
    table: Mutex<Table>,
}

struct SharedClockDebug(SharedClock);

impl std::fmt::Debug for SharedClockDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("clock")
    }
}

#[derive(Debug, Default)]
struct Table {
    keys: HashMap<Arc<str>, Entry>,
    /// Confirmed keys, oldest confirmation first. A key that was confirmed again stands in it
    /// twice; the entry's own time says which one counts.
    confirmed: VecDeque<(Duration, Arc<str>)>,
    evicted: u64,
}

#[derive(Debug)]
struct Entry {
    event: EventId,
    state: State,
}

#[derive(Debug)]
enum State {
    Held {
        ended: Arc<Notify>,
        /// What it falls back to if the run fails.
        before: Option<(EventId, Confirmed)>,
    },
    Confirmed(Confirmed),
}

#[derive(Clone, Copy, Debug)]
struct Confirmed {
    /// Monotonic: the wall clock may jump.
    at: Duration,
    window_ends_at: Time,
}

/// What the dedup step learned.
#[derive(Debug)]
pub enum Reserved {
    /// The key is this event's until the reservation is confirmed or dropped.
    Yes(Reservation, Option<RanBefore>),
    /// It ran for another event within the window.
    Duplicate {
        /// That event.
        original: EventId,
        /// When the window ends.
        window_ends_at: Time,
    },
    /// Another event runs with it: ask again when this wait is over.
    Wait(Waiting),
}

/// The same key ran before, but its window had ended (`HN_DEDUP_EXPIRED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RanBefore {
    /// The event that had it.
    pub original: EventId,
    /// When its window ended.
    pub ended_at: Time,
}

/// Waits until the run that holds a key has ended. Safe to drop.
#[derive(Debug)]
pub struct Waiting {
    /// The event that holds the key.
    pub holder: EventId,
    ended: OwnedNotified,
}

impl Waiting {
    /// Returns when the holder has ended; its outcome is learned by asking again.
    pub async fn ended(self) {
        self.ended.await;
    }
}

/// A key held for one run. Dropping it releases the key.
#[derive(Debug)]
pub struct Reservation {
    keys: Arc<Keys>,
    key: Arc<str>,
    event: EventId,
    confirmed: bool,
}

impl Reservation {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The run succeeded: the key counts from now on, for its time to live.
    pub fn confirm(mut self) {
        self.confirmed = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.keys.end(&self.key, self.event, self.confirmed);
    }
}

impl Keys {
    /// No keys yet; at most `max` ([`KEYS_MAX`]).
    #[must_use]
    pub fn new(ttl: Duration, max: usize, clock: SharedClock) -> Arc<Keys> {
        Arc::new(Keys {
            ttl,
            max: max.max(1),
            clock: SharedClockDebug(clock),
            table: Mutex::default(),
        })
    }

    /// Reserves a key for an event. A key that this same event holds or had is its own again: a
    /// retry or a replay is no duplicate of itself.
    pub fn reserve(self: &Arc<Keys>, key: String, event: EventId) -> Reserved {
        let now = self.clock.0.monotonic();
        let mut table = self.lock();
        table.forget(now, self.ttl.saturating_mul(REMEMBERED));
        let mut before = None;
        let mut ran_before = None;
        if let Some(entry) = table.keys.get(key.as_str()) {
            match &entry.state {
                State::Held { ended, .. } if entry.event != event => {
                    return Reserved::Wait(Waiting {
                        holder: entry.event,
                        // Made under the lock: an end that follows cannot be missed.
                        ended: Arc::clone(ended).notified_owned(),
                    });
                }
                State::Held { before: b, .. } => before = *b,
                State::Confirmed(confirmed) => {
                    before = Some((entry.event, *confirmed));
                    let within = now < confirmed.at.saturating_add(self.ttl);
                    if entry.event != event && within {
                        return Reserved::Duplicate {
                            original: entry.event,
                            window_ends_at: confirmed.window_ends_at,
                        };
                    }
                    ran_before = (entry.event != event).then_some(RanBefore {
                        original: entry.event,
                        ended_at: confirmed.window_ends_at,
                    });
                }
            }
        }
        table.make_room(self.max, now, self.ttl);
        let key: Arc<str> = Arc::from(key);
        let state = State::Held {
            ended: Arc::new(Notify::new()),
            before,
        };
        table.keys.insert(Arc::clone(&key), Entry { event, state });
        let reservation = Reservation {
            keys: Arc::clone(self),
            key,
            event,
            confirmed: false,
        };
        Reserved::Yes(reservation, ran_before)
    }

    /// Forgets the keys that `meant` says and no run holds. Answers how many.
    pub fn clear(&self, meant: impl Fn(&str) -> bool) -> usize {
        let mut table = self.lock();
        let known = table.keys.len();
        table.confirmed.retain(|(_, key)| !meant(key));
        table.keys.retain(|key, entry| match &mut entry.state {
            _ if !meant(key) => true,
            State::Held { before, .. } => {
                *before = None;
                true
            }
            State::Confirmed(_) => false,
        });
        known - table.keys.len()
    }

    /// How many keys are held, counted or remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many keys were given up for room although their window had not ended: repeats of them
    /// will run again. Anything above zero is a finding.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.lock().evicted
    }

    fn end(&self, key: &Arc<str>, event: EventId, success: bool) {
        let confirmed = Confirmed {
            at: self.clock.0.monotonic(),
            window_ends_at: self.clock.0.now().after(self.ttl),
        };
        let mut table = self.lock();
        let Some(entry) = table.keys.get_mut(key) else {
            return;
        };
        if entry.event != event {
            return;
        }
        let State::Held { ended, before } = &entry.state else {
            return;
        };
        let (ended, before) = (Arc::clone(ended), *before);
        if success {
            entry.state = State::Confirmed(confirmed);
            table.confirmed.push_back((confirmed.at, Arc::clone(key)));
        } else if let Some((event, confirmed)) = before {
            entry.event = event;
            entry.state = State::Confirmed(confirmed);
        } else {
            table.keys.remove(key);
        }
        drop(table);
        ended.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Most keys forgotten in one step: the next steps take the rest, none of them takes long.
const FORGOTTEN_AT_ONCE: usize = 64;

impl Table {
    fn forget(&mut self, now: Duration, remembered: Duration) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            match self.confirmed.front() {
                Some((at, _)) if at.saturating_add(remembered) <= now => self.drop_oldest(),
                _ => return,
            }
        }
    }

    fn make_room(&mut self, max: usize, now: Duration, ttl: Duration) {
        while self.keys.len() >= max {
            let Some((at, _)) = self.confirmed.front() else {
                // All are held: as many as run, which other bounds limit.
                return;
            };
            let counts = now < at.saturating_add(ttl);
            let before = self.keys.len();
            self.drop_oldest();
            if counts && self.keys.len() < before {
                self.evicted += 1;
            }
        }
    }

    fn drop_oldest(&mut self) {
        let Some((at, key)) = self.confirmed.pop_front() else {
            return;
        };
        let current = self.keys.get(&key).is_some_and(
            |entry| matches!(&entry.state, State::Confirmed(confirmed) if confirmed.at == at),
        );
        if current {
            self.keys.remove(&key);
        }
    }
}

#[cfg(test)]
#[path = "dedup_tests.rs"]
mod tests;
