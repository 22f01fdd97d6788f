//! Keeps a storm of events from becoming a storm of lines.

use std::collections::HashMap;

use crate::event::{EventId, EventType};

/// Lines of one kind and type that are written in one second; the rest become one counted line.
/// A person reads no more, and a disk fills with no less.
pub(super) const LINES_PER_SECOND_MAX: u64 = 100;

/// Counts lines by kind and type within the current second.
#[derive(Debug, Default)]
pub(super) struct Bound {
    second: i64,
    counts: HashMap<(&'static str, EventType), Count>,
}

#[derive(Debug)]
struct Count {
    lines: u64,
    first_left_out: Option<EventId>,
    last_left_out: Option<EventId>,
}

/// What was left out of one second.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) kind: &'static str,
    pub(super) event_type: EventType,
    pub(super) count: u64,
    pub(super) first: EventId,
    pub(super) last: EventId,
}

impl Bound {
    /// Whether this line is written. When a new second begins, also what the last one left out.
    pub(super) fn admit(
        &mut self,
        second: i64,
        kind: &'static str,
        event_type: &EventType,
        id: EventId,
    ) -> (bool, Vec<LeftOut>) {
        let left_out = self.turn(second);
        let count = self
            .counts
            .entry((kind, event_type.clone()))
            .or_insert(Count {
                lines: 0,
                first_left_out: None,
                last_left_out: None,
            });
        count.lines += 1;
        if count.lines <= LINES_PER_SECOND_MAX {
            return (true, left_out);
        }
        count.first_left_out.get_or_insert(id);
        count.last_left_out = Some(id);
        (false, left_out)
    }

    /// Begins a new second; answers what the last one left out.
    pub(super) fn turn(&mut self, second: i64) -> Vec<LeftOut> {
        if second == self.second {
            return Vec::new();
        }
        self.second = second;
        let mut left_out: Vec<LeftOut> = self
            .counts
            .drain()
            .filter_map(|((kind, event_type), count)| {
                Some(LeftOut {
                    kind,
                    event_type,
                    count: count.lines - LINES_PER_SECOND_MAX.min(count.lines),
                    first: count.first_left_out?,
                    last: count.last_left_out?,
                })
            })
            .collect();
        left_out.sort_by(|a, b| (a.kind, &a.event_type).cmp(&(b.kind, &b.event_type)));
        left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Time};

    #[test]
    fn a_storm_is_counted_and_the_first_line_of_each_second_is_written() {
        let clock = ManualClock::new(Time(0), 1);
        let kind = EventType::from_canonical("training_completed");
        let mut bound = Bound::default();
        let ids: Vec<EventId> = (0..250).map(|_| EventId::new(&clock)).collect();
        let written = ids
            .iter()
            .filter(|id| bound.admit(1, "emit", &kind, **id).0)
            .count();
        assert_eq!(written, 100);
        let (admitted, left_out) = bound.admit(2, "emit", &kind, ids[0]);
        assert!(admitted);
        assert_eq!(left_out.len(), 1);
        assert_eq!(
            (left_out[0].count, left_out[0].first, left_out[0].last),
            (150, ids[100], ids[249])
        );
    }

    #[test]
    fn other_types_are_not_held_down_by_a_storm() {
        let clock = ManualClock::new(Time(0), 1);
        let mut bound = Bound::default();
        let loud = EventType::from_canonical("training_progress");
        for _ in 0..1_000 {
            bound.admit(1, "emit", &loud, EventId::new(&clock));
        }
        let quiet = EventType::from_canonical("training_failed");
        assert!(bound.admit(1, "emit", &quiet, EventId::new(&clock)).0);
        assert!(bound.admit(1, "receive", &loud, EventId::new(&clock)).0);
    }
}
