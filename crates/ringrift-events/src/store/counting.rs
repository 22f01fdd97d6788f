//! Counting what went through the log and what failed, a bounded stretch at a time.
//!
//! Each verb is one short read: whoever asks about millions of events asks again from where the
//! last answer ended, so that no read transaction keeps the WAL from shrinking for long.

use serde::{Deserialize, Serialize};

use super::Pending;
use super::subscriptions::SubscriptionId;
use crate::clock::Time;
use crate::event::{EventType, ProcessId, Seq};
use crate::verdict::Code;

/// Most places of the log that one [`Counting::count_places`] looks at.
pub const PLACES_MAX: i64 = 500_000;

/// Most rows that one [`Counting::count_arrivals`] or [`Counting::count_facts`] looks at.
pub const ROWS_MAX: usize = 200_000;

/// Most slots of one window: as many columns as a wide terminal has.
pub const SLOTS_MAX: u32 = 400;

/// Facts are kept in the order in which they were written, which may be this much later than they
/// happened: a count looks back this much further.
pub const FACTS_LATE_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// How many events of one type stand in a stretch of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceCount {
    /// The type.
    pub event_type: EventType,
    /// How many; deleted ones are left out.
    pub events: u64,
    /// The first of them.
    pub first: Seq,
}

/// A stretch of the log, counted by type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceCounts {
    /// By type, sorted.
    pub counts: Vec<PlaceCount>,
    /// Up to where was counted; the stretch's end unless it has more than [`PLACES_MAX`] places.
    pub read_to: Seq,
}

/// A stretch of time, cut into equal slots. Its borders are looked at to the millisecond, which is
/// what the log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its beginning.
    pub since: Time,
    /// Its end; what happened then still belongs to the last slot.
    pub until: Time,
    /// How many slots, 1 to [`SLOTS_MAX`].
    pub slots: u32,
}

impl Window {
    /// The beginning of slot `slot`; of the one after the last, the window's end.
    #[must_use]
    pub fn slot_begins(&self, slot: u32) -> Time {
        let span = i128::from(self.until.0) - i128::from(self.since.0);
        let offset = span.max(0) * i128::from(slot) / i128::from(self.slots());
        let begins = self.since.0 + i64::try_from(offset).unwrap_or(i64::MAX);
        Time(begins - begins.rem_euclid(1_000))
    }

    /// The slot of a moment, if it lies in the window.
    #[must_use]
    pub fn slot_of(&self, at: Time) -> Option<u32> {
        if at < self.slot_begins(0) || at > self.until {
            return None;
        }
        let mut slot = self.slots() - 1;
        // Slots are few, and their borders are rounded: comparing them is the definition.
        while slot > 0 && at < self.slot_begins(slot) {
            slot -= 1;
        }
        Some(slot)
    }

    /// How many slots it really has: at least one, at most [`SLOTS_MAX`].
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.slots.clamp(1, SLOTS_MAX)
    }
}

/// How many events of one type, published by one process, were committed in one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrivals {
    /// The type.
    pub event_type: EventType,
    /// The publishing process, if it was asked for and its row is still there.
    pub origin: Option<ProcessId>,
    /// The slot.
    pub slot: u32,
    /// How many, deleted ones included: they arrived.
    pub events: u64,
}

/// The newest part of a window of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArrivalCounts {
    /// By slot, type and process.
    pub counts: Vec<Arrivals>,
    /// Where to go on: the last row counted. None once the window was counted wholly.
    pub rest: Option<(Time, Seq)>,
}

/// How many facts of one kind about one thing were recorded in one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactCount {
    /// The verdict.
    pub code: Code,
    /// The event's type, where the fact names one.
    pub event_type: Option<EventType>,
    /// The subscription, where the fact names one.
    pub subscription: Option<SubscriptionId>,
    /// The process, where the fact names one.
    pub process: Option<ProcessId>,
    /// The slot.
    pub slot: u32,
    /// How many.
    pub facts: u64,
}

/// The newest part of a window of the facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FactCounts {
    /// By slot, code and what they are about.
    pub counts: Vec<FactCount>,
    /// Where to go on, and the time of the last fact looked at. None once the window was counted
    /// wholly.
    pub rest: Option<(i64, Time)>,
}

/// The verbs that count. Each is one read transaction, bounded in rows; none writes.
pub trait Counting: Send + Sync {
    /// Counts the events after `after` up to `to` by type, deleted ones left out: at most
    /// [`PLACES_MAX`] places, oldest first.
    fn count_places(&self, after: Seq, to: Seq) -> Pending<PlaceCounts>;

    /// Counts the events committed in `window`, newest first, at most [`ROWS_MAX`]; `rest` is where
    /// the last answer ended. Their processes are told apart only `by_process`.
    fn count_arrivals(
        &self,
        window: Window,
        by_process: bool,
        rest: Option<(Time, Seq)>,
    ) -> Pending<ArrivalCounts>;

    /// Counts the facts with one of these codes in `window`, newest first, looking at no more than
    /// [`ROWS_MAX`]; `rest` is where the last answer ended.
    fn count_facts(
        &self,
        window: Window,
        codes: Vec<Code>,
        rest: Option<i64>,
    ) -> Pending<FactCounts>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_of_a_window_lies_in_one_slot() {
        let window = Window {
            since: Time(100_400),
            until: Time(200_000),
            slots: 7,
        };
        for at in (100_000..=200_000).step_by(100) {
            let slot = window.slot_of(Time(at)).expect("inside");
            assert!(window.slot_begins(slot).0 <= at, "{at}");
            assert!(slot == 6 || at < window.slot_begins(slot + 1).0, "{at}");
        }
        assert_eq!(window.slot_of(Time(99_999)), None);
        assert_eq!(window.slot_of(Time(200_001)), None);
        assert_eq!(window.slot_begins(7), Time(200_000));
    }

    #[test]
    fn a_window_of_no_length_has_one_moment() {
        let window = Window {
            since: Time(5_000),
            until: Time(5_000),
            slots: 0,
        };
        assert_eq!((window.slots(), window.slot_of(Time(5_000))), (1, Some(0)));
    }
}
