//! What is to be reached, and whether it was.

use super::measured::{Figure, Measured, with_unit};

/// One thing that a row has to reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    /// Which lines of ours, by the beginning of their names.
    of: &'static str,
    figure: Figure,
    bound: f64,
    /// The line that the bound is a multiple of; without one it is a number.
    against: Option<&'static str>,
}

/// A goal of ours that is a multiple of what another line of the row did.
pub(super) const fn times(figure: Figure, bound: f64, against: &'static str) -> Goal {
    Goal {
        of: "ours",
        figure,
        bound,
        against: Some(against),
    }
}

/// A goal of ours that is a number in the figure's unit.
pub(super) const fn number(figure: Figure, bound: f64) -> Goal {
    Goal {
        of: "ours",
        figure,
        bound,
        against: None,
    }
}

impl Goal {
    /// The same of other lines.
    pub(super) const fn of(mut self, of: &'static str) -> Goal {
        self.of = of;
        self
    }

    /// As it is written.
    pub(super) fn text(&self) -> String {
        let sign = if self.figure.less_is_better {
            "≤"
        } else {
            "≥"
        };
        let what = match self.of {
            "ours" => self.figure.key.to_owned(),
            of => format!("{of}: {}", self.figure.key),
        };
        match self.against {
            Some(line) => format!("{what} {sign} {:.2} × {line}", self.bound),
            None => format!("{what} {sign} {}", with_unit(self.bound, self.figure.unit)),
        }
    }

    /// Whether it was reached; nothing, where a side of it was not measured.
    pub(super) fn met(&self, row: &Measured) -> Option<bool> {
        let ours = row.best(self.of, self.figure)?;
        let bound = match self.against {
            Some(line) => self.bound * row.exactly(line, self.figure)?,
            None => self.bound,
        };
        Some(match self.figure.less_is_better {
            true => ours <= bound,
            false => ours >= bound,
        })
    }
}

impl Measured {
    /// The line of this name.
    fn exactly(&self, name: &str, figure: Figure) -> Option<f64> {
        let mut lines = self.lines.iter();
        lines.find(|line| line.contestant.name == name)?.get(figure)
    }

    /// Whether the row reached all: one that was missed says no, whatever was not measured.
    pub(super) fn met(&self) -> Option<bool> {
        let each: Vec<Option<bool>> = self.row.goals.iter().map(|goal| goal.met(self)).collect();
        if each.contains(&Some(false)) {
            return Some(false);
        }
        (!each.is_empty() && !each.contains(&None)).then_some(true)
    }

    /// All goals in one text.
    pub(super) fn goal(&self) -> String {
        let each = self.row.goals.iter().map(Goal::text);
        each.collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::contestants::{Contestant, HONKER, OURS};
    use crate::bench::measured::{Line, P99, RATE, Run};
    use crate::bench::rows::Row;

    /// A row in which everybody has a rate and a p99.
    pub(in crate::bench) fn row(goals: Vec<Goal>, lines: &[(Contestant, f64, f64)]) -> Measured {
        let line = |(contestant, rate, p99): &(Contestant, f64, f64)| Line {
            contestant: *contestant,
            runs: vec![Run::default().with("rate", *rate).with("p99", *p99)],
        };
        Measured {
            row: Row {
                name: "some".to_owned(),
                work: "some work".to_owned(),
                figure: RATE,
                scenes: Vec::new(),
                goals,
                rounds: 1,
            },
            lines: lines.iter().map(line).collect(),
        }
    }

    #[test]
    fn a_goal_is_met_at_its_bound_and_missed_beyond_it() {
        let met = |goal: Goal, rate: f64, p99: f64| {
            row(vec![goal], &[(OURS, rate, p99), (HONKER, 100.0, 10.0)]).met()
        };
        assert_eq!(met(times(RATE, 1.2, "honker"), 120.0, 0.0), Some(true));
        assert_eq!(met(times(RATE, 1.2, "honker"), 119.0, 0.0), Some(false));
        assert_eq!(met(times(P99, 0.5, "honker"), 0.0, 5.0), Some(true));
        assert_eq!(met(times(P99, 0.5, "honker"), 0.0, 5.1), Some(false));
        assert_eq!(met(number(P99, 2_000.0), 0.0, 2_001.0), Some(false));
        assert_eq!(met(number(RATE, 50.0), 51.0, 0.0), Some(true));
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let alone = [(OURS, 100.0, 3.0)];
        let goal = times(RATE, 1.2, "honker");
        assert_eq!(row(vec![goal], &alone).met(), None);
        assert_eq!(row(vec![goal, number(P99, 2.0)], &alone).met(), Some(false));
        assert_eq!(row(vec![goal, number(P99, 4.0)], &alone).met(), None);
        assert_eq!(row(Vec::new(), &alone).met(), None);
    }

    #[test]
    fn the_better_of_our_ways_is_ours() {
        let batches = Contestant {
            name: "ours, batches",
            ..OURS
        };
        let goal = times(RATE, 1.0, "honker");
        let lines = [(OURS, 1.0, 9.0), (batches, 3.0, 9.0), (HONKER, 2.0, 9.0)];
        assert_eq!(row(vec![goal], &lines).met(), Some(true));
        let one = goal.of("ours, batches");
        assert_eq!(row(vec![one], &lines).met(), Some(true));
        assert_eq!(one.text(), "ours, batches: rate ≥ 1.00 × honker");
    }
}
