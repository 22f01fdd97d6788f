//! The figures for people.

use std::fmt::Write as _;

use super::contestants::Side;
use super::goals::Goal;
use super::measured::{Figure, Line, Measured, P50, P99, RATE, WORST, short, with_unit};

/// What stands where nothing was measured.
const NOTHING: &str = "–";

/// Numbers of a run that have a column or none, as opposed to a note below the table.
const IN_COLUMNS: &[&str] = &["rate", "p50", "p99", "worst"];

/// One row: every contestant, ours in multiples of it, and the goals.
pub(super) fn row(row: &Measured) -> String {
    let mut text = format!("\n{}: {}\n\n", row.row.name, row.row.work);
    text.push_str(
        "| who | outlives | a second | p50 µs | p99 µs | worst µs | ours ÷ it | others |\n",
    );
    text.push_str("|---|---|---|---|---|---|---|---|\n");
    for line in &row.lines {
        let columns = [RATE, P50, P99, WORST].map(|figure| shown(line.get(figure)));
        let is_ours = line.contestant.side() == Side::Ours;
        let ratio = shown(ratio(row, line).filter(|_| !is_ours));
        // Writing to a text cannot fail.
        writeln!(
            text,
            "| {} | {} | {} | {ratio} | {} |",
            line.contestant.name,
            line.contestant.class.name(),
            columns.join(" | "),
            others(line)
        )
        .ok();
    }
    text.push('\n');
    for goal in &row.row.goals {
        writeln!(text, "{}: {}", word(goal.met(row)), Goal::text(goal)).ok();
    }
    text
}

/// One line a row: what to look at.
pub(super) fn closing(rows: &[Measured]) -> String {
    let mut text = "\n| row | ours | goal | |\n|---|---|---|---|\n".to_owned();
    for row in rows {
        let ours = row.best("ours", row.row.figure);
        writeln!(
            text,
            "| {} | {} | {} | {} |",
            row.row.name,
            ours.map_or_else(
                || NOTHING.to_owned(),
                |ours| with_unit(ours, row.row.figure.unit)
            ),
            row.goal(),
            word(row.met())
        )
        .ok();
    }
    text
}

fn word(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "**missed**",
        None => "not compared",
    }
}

fn shown(number: Option<f64>) -> String {
    number.map_or_else(|| NOTHING.to_owned(), short)
}

/// Ours in multiples of this line, by what the row is about.
fn ratio(row: &Measured, line: &Line) -> Option<f64> {
    let figure: Figure = row.row.figure;
    Some(row.best("ours", figure)? / line.get(figure)?)
}

/// Every number without a column.
fn others(line: &Line) -> String {
    let Some(run) = line.runs.last() else {
        return "not measured".to_owned();
    };
    let names = run.names().filter(|name| !IN_COLUMNS.contains(name));
    let numbers = names.filter(|name| !["count", "seconds", "handled"].contains(name));
    let words = numbers.filter_map(|name| Some(format!("{name} {}", short(line.median_of(name)?))));
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::contestants::{HONKER, OURS};
    use crate::bench::goals::tests::row as some;
    use crate::bench::goals::times;

    #[test]
    fn a_row_shows_ratios_and_says_what_was_missed() {
        let goals = vec![times(RATE, 1.2, "honker"), times(RATE, 1.0, "JetStream")];
        let some = some(goals, &[(OURS, 110.0, 7.0), (HONKER, 100.0, 9.0)]);
        let text = row(&some);
        assert!(
            text.contains("| honker | process | 100 | – | 9.00 | – | 1.10 |  |"),
            "{text}"
        );
        assert!(text.contains("**missed**: rate ≥ 1.20 × honker"), "{text}");
        assert!(
            text.contains("not compared: rate ≥ 1.00 × JetStream"),
            "{text}"
        );
        assert!(closing(&[some]).contains("| some | 110 /s |"));
    }
}
