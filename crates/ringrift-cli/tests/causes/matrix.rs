//! The 24 × 24 matrix, and what is wrong with it.

use std::collections::BTreeSet;
use std::fmt;

use crate::cause::{COMPANIONS, NOT_YET, reason};
use crate::doctor::Diagnosis;
use crate::injections;
use crate::run::{Outcome, Trial};

/// What all trials came to.
pub(crate) struct Report {
    rows: Vec<Row>,
    named: usize,
    wanted: usize,
    false_ones: Vec<String>,
    /// Trials of systems in which nothing is to be named, and that did not come to that.
    failed: usize,
    problems: Vec<String>,
}

struct Row {
    name: String,
    own: Option<usize>,
    live: BTreeSet<String>,
    stopped: BTreeSet<String>,
}

impl Report {
    /// Judges them.
    pub(crate) fn of(outcomes: &[Outcome]) -> Report {
        let mut report = Report {
            rows: Vec::new(),
            named: 0,
            wanted: 0,
            false_ones: Vec::new(),
            failed: 0,
            problems: Vec::new(),
        };
        for outcome in outcomes {
            report.judge(outcome);
        }
        report
    }

    fn judge(&mut self, outcome: &Outcome) {
        let name = outcome.trial.name();
        let own = match outcome.trial {
            Trial::Injected(cause) => Some(cause.slug),
            Trial::Below(_) | Trial::Healthy => None,
        };
        let (live, stopped) = (outcome.live.causes(), outcome.stopped.causes());
        let is_awaited = own.is_some_and(|slug| NOT_YET.contains(&slug));
        if !is_awaited {
            let problems = outcome.problems.iter();
            self.problems
                .extend(problems.map(|problem| format!("{name}: {problem}")));
        }
        // Whoever reads the closing line alone must see that nothing was shown of it.
        if own.is_none() && !outcome.problems.is_empty() {
            self.failed += 1;
        }
        for (when, diagnosis) in [("live", &outcome.live), ("stopped", &outcome.stopped)] {
            self.find_false(&name, own, when, diagnosis);
        }
        if let Some(slug) = own {
            self.wanted += 1;
            let is_named = live.contains(slug) && stopped.contains(slug);
            if is_named && outcome.problems.is_empty() {
                self.named += 1;
            }
            if !is_named && !is_awaited {
                let when = if live.contains(slug) {
                    "stopped"
                } else {
                    "live"
                };
                self.problems.push(format!("{name}: not named, {when}"));
            }
        }
        self.rows.push(Row {
            name,
            own: own.and_then(number_of),
            live,
            stopped,
        });
    }

    fn find_false(&mut self, name: &str, own: Option<&str>, when: &str, found: &Diagnosis) {
        for cause in found.causes() {
            let is_right = own.is_some_and(|own| own == cause) || reason(name, &cause).is_some();
            if !is_right {
                let text = found.text_of(&cause);
                self.false_ones
                    .push(format!("{name}, {when}: {cause}: {text}"));
            }
        }
    }

    /// Whether everything is as it must be, but for what is not named yet.
    pub(crate) fn is_good(&self) -> bool {
        self.false_ones.is_empty() && self.problems.is_empty()
    }

    /// What is not, one line each.
    pub(crate) fn what_is_wrong(&self) -> String {
        [self.false_ones.as_slice(), self.problems.as_slice()]
            .concat()
            .join("\n")
    }
}

/// The column of a cause, from 1.
fn number_of(slug: &str) -> Option<usize> {
    let at = injections::ALL
        .iter()
        .position(|cause| cause.slug == slug)?;
    Some(at + 1)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nRows: what was injected. Columns: what was named. # live and after the stop, L live \
             alone, S after the stop alone.\n"
        )?;
        write!(f, "{:>43}", "")?;
        for number in 1..=injections::ALL.len() {
            write!(f, "{number:>3}")?;
        }
        writeln!(f)?;
        for row in &self.rows {
            writeln!(f, "{}", row.line())?;
        }
        let seen = |of: &str, beside: &str| {
            self.rows.iter().any(|row| {
                row.name == of && (row.live.contains(beside) || row.stopped.contains(beside))
            })
        };
        for companion in COMPANIONS {
            if seen(companion.of, companion.beside) {
                let (of, beside) = (companion.of, companion.beside);
                writeln!(f, "{of} brings {beside}: {}", companion.reason)?;
            }
        }
        writeln!(f)?;
        write!(
            f,
            "causes: {}/{} named, {} false",
            self.named,
            self.wanted,
            self.false_ones.len() + self.failed
        )
    }
}

impl Row {
    fn line(&self) -> String {
        let number = self.own.map(|own| own.to_string()).unwrap_or_default();
        let mut line = format!("{number:>2} {:<40}", self.name);
        for cause in injections::ALL {
            let mark = match (
                self.live.contains(cause.slug),
                self.stopped.contains(cause.slug),
            ) {
                (true, true) => '#',
                (true, false) => 'L',
                (false, true) => 'S',
                (false, false) => '.',
            };
            line.push_str(&format!("{mark:>3}"));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_of_nothing_that_failed_is_false_in_the_closing_line() {
        let of = |trial: Trial, problems: &[&str]| Outcome {
            trial,
            live: Diagnosis::default(),
            stopped: Diagnosis::default(),
            problems: problems.iter().map(|one| (*one).to_owned()).collect(),
        };
        let closing = |outcomes: &[Outcome]| {
            let text = Report::of(outcomes).to_string();
            text.lines().last().map(str::to_owned)
        };
        let below = Trial::Below(injections::ALL[0]);
        let zero = Some("causes: 0/0 named, 0 false".to_owned());
        assert_eq!(closing(&[of(below, &[]), of(Trial::Healthy, &[])]), zero);
        let one = Some("causes: 0/0 named, 1 false".to_owned());
        assert_eq!(closing(&[of(below, &["it panicked"])]), one);
        assert_eq!(closing(&[of(Trial::Healthy, &["it panicked"])]), one);
    }
}
