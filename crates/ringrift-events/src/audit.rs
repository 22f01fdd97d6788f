//! What happened at each hop of an event: a bounded ring in memory, switched on per process.
//!
//! It is for looking at the flow while one debugs; what must outlast the process is a fact in the
//! store. Off, it costs one atomic load a hop.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::clock::Time;
use crate::event::{EventId, EventType};

/// Hops kept: some hundred events with their handlers, about 2 MB; the oldest go first.
pub const HOPS_MAX: usize = 10_000;

/// One hop of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// When.
    pub at: Time,
    /// The event's type.
    pub event_type: EventType,
    /// The event.
    pub event: EventId,
    /// What came of it: a verdict's code, or a word such as `committed`.
    pub result: Cow<'static, str>,
    /// Where: `publish`, `queue`, `stages`, `bus`, `receive`, or a handler's name.
    pub place: Cow<'static, str>,
}

/// The ring of one process. Off until it is switched on.
#[derive(Debug, Default)]
pub struct Audit {
    enabled: AtomicBool,
    hops: Mutex<VecDeque<Hop>>,
}

impl Audit {
    /// An empty ring, switched off.
    #[must_use]
    pub fn new() -> Audit {
        Audit::default()
    }

    /// Switches it on or off; what was kept stays.
    pub fn set_enabled(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Relaxed);
    }

    /// Whether it is on.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// Keeps a hop if the ring is on; `hop` is called only then.
    ///
    /// ```
    /// use ringrift_events::audit::Audit;
    /// let audit = Audit::new();
    /// audit.push(|| unreachable!("it is off"));
    /// assert!(audit.last(10).is_empty());
    /// ```
    pub fn push(&self, hop: impl FnOnce() -> Hop) {
        if !self.enabled() {
            return;
        }
        let hop = hop();
        let mut hops = self.hops.lock().unwrap_or_else(PoisonError::into_inner);
        if hops.len() == HOPS_MAX {
            hops.pop_front();
        }
        hops.push_back(hop);
    }

    /// The last `n` hops, oldest of them first.
    #[must_use]
    pub fn last(&self, n: usize) -> Vec<Hop> {
        let hops = self.hops.lock().unwrap_or_else(PoisonError::into_inner);
        hops.range(hops.len().saturating_sub(n)..)
            .cloned()
            .collect()
    }

    /// Forgets every hop.
    pub fn clear(&self) {
        self.hops
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    fn hop(clock: &ManualClock, place: String) -> Hop {
        Hop {
            at: clock.now(),
            event_type: EventType::from_canonical("t"),
            event: EventId::new(clock),
            result: "HN_OK".into(),
            place: place.into(),
        }
    }

    #[test]
    fn the_ring_keeps_the_newest_and_is_bounded() {
        let (audit, clock) = (Audit::new(), ManualClock::new(Time(0), 1));
        audit.set_enabled(true);
        for index in 0..HOPS_MAX + 5 {
            audit.push(|| hop(&clock, index.to_string()));
        }
        assert_eq!(audit.last(usize::MAX).len(), HOPS_MAX);
        let places: Vec<_> = audit.last(2).into_iter().map(|hop| hop.place).collect();
        assert_eq!(
            places,
            [(HOPS_MAX + 3).to_string(), (HOPS_MAX + 4).to_string()]
        );
        audit.set_enabled(false);
        audit.push(|| unreachable!("it is off"));
        audit.clear();
        assert!(audit.last(1).is_empty());
    }
}
