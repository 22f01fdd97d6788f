//! Up to where the poller has read the log for this process's live subscriptions.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::bus::EventBus;
use crate::event::Seq;

/// The poller's place. A live subscription that begins takes the poller back to its beginning:
/// what was read before it joined, or by a read that did not know its types, is read again. The
/// mailboxes pass over what they have, so going back repeats nothing.
#[derive(Debug, Default)]
pub(super) struct Polled(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// `None` until the first subscription begins or the poller starts.
    to: Option<Seq>,
    beginnings: u64,
}

/// The poller's place when it began to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollPlace {
    /// Read the events after this place; `None`: nobody has said yet where to begin.
    pub after: Option<Seq>,
    beginnings: u64,
}

impl PollPlace {
    /// Whether a live subscription has begun since a read from there.
    #[must_use]
    pub fn has_begun_since(self, read: PollPlace) -> bool {
        self.beginnings != read.beginnings
    }
}

impl Polled {
    pub(super) fn place(&self) -> PollPlace {
        let state = self.lock();
        PollPlace {
            after: state.to,
            beginnings: state.beginnings,
        }
    }

    /// Moves on, unless a subscription has begun since `from`; `false`: read again.
    pub(super) fn move_on(&self, from: PollPlace, to: Seq, bus: &EventBus) -> bool {
        let mut state = self.lock();
        let unchanged = state.beginnings == from.beginnings;
        if unchanged {
            state.to = state.to.max(Some(to));
            // Under the lock: a beginning must not be overtaken by an older, higher place.
            bus.reached(to);
        }
        unchanged
    }

    /// A live subscription begins after this place. Called before its mailbox is released.
    pub(super) fn begins_after(&self, place: Seq, bus: &EventBus) {
        let mut state = self.lock();
        state.beginnings += 1;
        let to = state.to.map_or(place, |to| to.min(place));
        state.to = Some(to);
        bus.rewound(to);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ProcessId;

    #[test]
    fn a_subscription_that_begins_during_a_read_has_its_beginning_read_again() {
        let bus = EventBus::new(ProcessId(uuid::Uuid::nil()));
        let polled = Polled::default();
        let place = polled.place();
        assert_eq!(place.after, None);
        // The first subscription begins at 1, in an empty log; others publish; the poller starts.
        polled.begins_after(Seq(0), &bus);
        assert!(
            !polled.move_on(place, Seq(5), &bus),
            "it must not jump to the end"
        );
        let reading = polled.place();
        assert_eq!(reading.after, Some(Seq(0)));
        polled.begins_after(Seq(3), &bus);
        assert!(!polled.move_on(reading, Seq(9), &bus));
        assert!(polled.move_on(polled.place(), Seq(9), &bus));
        assert_eq!(polled.place().after, Some(Seq(9)));
        polled.begins_after(Seq(7), &bus);
        assert_eq!(polled.place().after, Some(Seq(7)));
    }
}
