//! Lines over time, widest first, the many small ones as one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ask::{Ask, By};
use crate::clock::Time;
use crate::store::counting::Window;

/// One line: how many in each slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// What it stands for.
    pub name: String,
    /// Its id, where the name alone may mean several.
    pub id: Option<String>,
    /// How many in all.
    pub total: u64,
    /// How many a second on average, over the time that was counted.
    pub per_second: f64,
    /// How many a second in its fullest slot.
    pub peak_per_second: f64,
    /// How many in each slot, oldest first.
    pub slots: Vec<u64>,
}

/// What a measure was over a stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// What was counted: `throughput` or `failures`.
    pub measure: String,
    /// What the lines stand for.
    pub by: By,
    /// The stretch and its slots.
    pub window: Window,
    /// From here on everything was counted. Later than the window's beginning when time ran out.
    pub counted_since: Time,
    /// Why it was cut, in words; none when the whole window was counted.
    pub cut: Option<String>,
    /// Everything together.
    pub total: Line,
    /// The lines, most first; `other` stands last.
    pub lines: Vec<Line>,
    /// How many lines `other` stands for.
    pub folded: usize,
}

/// Who a line is about: a name and perhaps an id.
pub(super) type Who = (String, Option<String>);

/// A chart that is being counted.
pub(super) struct Sheet {
    window: Window,
    total: Vec<u64>,
    lines: BTreeMap<Who, Vec<u64>>,
}

impl Sheet {
    /// An empty one.
    pub(super) fn of(window: Window) -> Sheet {
        Sheet {
            window,
            total: vec![0; window.slots() as usize],
            lines: BTreeMap::new(),
        }
    }

    /// Counts towards everything.
    pub(super) fn add_total(&mut self, slot: u32, count: u64) {
        if let Some(cell) = self.total.get_mut(slot as usize) {
            *cell += count;
        }
    }

    /// Counts towards one line.
    pub(super) fn add(&mut self, who: Who, slot: u32, count: u64) {
        let slots = self.window.slots() as usize;
        let line = self.lines.entry(who).or_insert_with(|| vec![0; slots]);
        if let Some(cell) = line.get_mut(slot as usize) {
            *cell += count;
        }
    }

    /// The chart, with what was counted since `counted_since`.
    pub(super) fn finish(self, measure: &str, ask: &Ask, counted_since: Time) -> Chart {
        let window = self.window;
        let counted_since = counted_since.max(window.since);
        let line = |(name, id): Who, slots: Vec<u64>| {
            let total = slots.iter().sum();
            let peak = slots.iter().copied().max().unwrap_or(0);
            let slot_s = seconds(window.since, window.until) / f64::from(window.slots());
            Line {
                name,
                id,
                total,
                per_second: rate(total, seconds(counted_since, window.until)),
                peak_per_second: rate(peak, slot_s),
                slots,
            }
        };
        let mut lines: Vec<(Who, Vec<u64>)> = self.lines.into_iter().collect();
        lines.sort_by_key(|(_, slots)| std::cmp::Reverse(slots.iter().sum::<u64>()));
        let most = ask.lines_max.max(1);
        let mut folded = 0;
        if lines.len() > most {
            let rest = lines.split_off(most - 1);
            folded = rest.len();
            let mut other = vec![0; window.slots() as usize];
            for (_, slots) in rest {
                for (cell, count) in other.iter_mut().zip(slots) {
                    *cell += count;
                }
            }
            lines.push((("other".to_owned(), None), other));
        }
        Chart {
            measure: measure.to_owned(),
            by: ask.by,
            window,
            counted_since,
            cut: (counted_since > window.since).then(|| {
                format!(
                    "reading took its time limit of {} s: only what came since {} UTC is counted",
                    ask.time_limit.as_secs_f64(),
                    counted_since.to_sql()
                )
            }),
            total: line(("all".to_owned(), None), self.total),
            lines: lines
                .into_iter()
                .map(|(who, slots)| line(who, slots))
                .collect(),
            folded,
        }
    }
}

fn seconds(from: Time, to: Time) -> f64 {
    to.since(from).as_secs_f64()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate for people; counts stay far below 2^52"
)]
fn rate(count: u64, seconds: f64) -> f64 {
    if seconds <= 0.0 {
        return 0.0;
    }
    count as f64 / seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_lines_become_one_and_nothing_is_lost() {
        let window = Window {
            since: Time(0),
            until: Time(10_000_000),
            slots: 2,
        };
        let mut sheet = Sheet::of(window);
        for (name, count) in [("a", 5), ("b", 1), ("c", 3), ("d", 1)] {
            sheet.add((name.to_owned(), None), 1, count);
            sheet.add_total(1, count);
        }
        let mut ask = Ask::new(window.since, window.until, 2, By::Type);
        ask.lines_max = 3;
        let chart = sheet.finish("throughput", &ask, Time(0));
        let seen: Vec<(&str, u64)> = chart
            .lines
            .iter()
            .map(|line| (line.name.as_str(), line.total))
            .collect();
        assert_eq!(seen, [("a", 5), ("c", 3), ("other", 2)]);
        assert_eq!((chart.folded, chart.total.total), (2, 10));
        assert_eq!(chart.total.per_second, 1.0);
        assert_eq!(chart.total.peak_per_second, 2.0);
        assert_eq!(chart.cut, None);
    }

    #[test]
    fn a_cut_chart_says_since_when_it_counts() {
        let window = Window {
            since: Time(0),
            until: Time(10_000_000),
            slots: 2,
        };
        let ask = Ask::new(window.since, window.until, 2, By::All);
        let chart = Sheet::of(window).finish("throughput", &ask, Time(4_000_000));
        let cut = chart.cut.expect("cut");
        assert!(cut.contains("1970-01-01 00:00:04.000"), "{cut}");
    }
}
