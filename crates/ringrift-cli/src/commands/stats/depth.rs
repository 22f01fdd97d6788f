//! `ringrift stats depth`.

use ringrift_events::event::Seq;
use ringrift_events::metrics::{self, By, Depth, DepthRow};
use serde::Serialize;

use super::{Now, answer, warn_cut};
use crate::call::Call;
use crate::failure::Done;
use crate::open;
use crate::output::{Cell, Csv, Moment, Paint, Report, Text, bar};

/// Columns of the longest bar.
const BAR: usize = 12;

#[derive(Serialize)]
struct Shown {
    measure: String,
    by: By,
    at: Moment,
    head: Seq,
    cut: Option<String>,
    lines: Vec<DepthRow>,
    folded: usize,
}

/// Looks at what stands in line.
pub(super) fn run(call: &Call, now: &Now) -> Done {
    let ask = now.ask(call)?;
    let store = open::reading(call)?;
    let depth = metrics::depth(&*store, &*call.clock, &ask)?;
    warn_cut(call, depth.cut.as_ref());
    let csv = now.csv.then(|| csv(&depth));
    let shown = Shown {
        measure: depth.measure,
        by: depth.by,
        at: call.show(depth.at),
        head: depth.head,
        cut: depth.cut,
        lines: depth.lines,
        folded: depth.folded,
    };
    answer(call, "stats depth", &shown, csv)
}

const COUNTS: [&str; 6] = ["waiting", "claimed", "running", "again", "retrying", "dead"];

fn counts(row: &DepthRow) -> [Option<u64>; 6] {
    [
        row.waiting,
        row.claimed,
        row.running,
        row.again,
        row.retrying,
        row.dead,
    ]
}

fn csv(depth: &Depth) -> Csv {
    let mut headings = vec!["name", "id"];
    headings.extend(COUNTS);
    headings.extend(["exact", "paused", "hosts"]);
    let mut csv = Csv::new(&headings);
    let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    for row in &depth.lines {
        let mut cells = vec![row.name.clone(), row.id.clone().unwrap_or_default()];
        cells.extend(counts(row).map(number));
        cells.push(row.exact.to_string());
        cells.push(row.paused.to_string());
        cells.push(row.hosts.map(|hosts| hosts.to_string()).unwrap_or_default());
        csv.row(cells);
    }
    csv
}

impl Report for Shown {
    fn write(&self, text: &mut Text) {
        text.title(&format!(
            "Depth at {}, the log's end is {}",
            self.at, self.head
        ));
        let style = text.style();
        let most = self.lines.iter().map(DepthRow::total).max().unwrap_or(0);
        // Only the columns that this question can fill.
        let used: Vec<usize> = (0..COUNTS.len())
            .filter(|at| self.lines.iter().any(|row| counts(row)[*at].is_some()))
            .collect();
        let of_subscriptions = self.lines.iter().any(|row| row.hosts.is_some());
        let mut headings = vec!["", "in line"];
        headings.extend(used.iter().map(|at| COUNTS[*at]));
        if of_subscriptions {
            headings.extend(["hosts", "state"]);
        }
        let rows = self.lines.iter().map(|row| {
            let mut cells: Vec<Cell> = vec![
                Cell::from(&row.name),
                bar(style, row.total(), most, BAR).into(),
            ];
            cells.extend(used.iter().map(|at| number(row, *at)));
            if let Some(hosts) = row.hosts {
                cells.push(hosts.into());
                cells.push(state(row));
            }
            cells
        });
        let rows = rows.collect();
        text.table(&headings, rows);
        if self.folded > 0 {
            let note = format!("{} more lines; --limit shows them", self.folded);
            let note = text.paint(Paint::Faint, &note);
            text.line(note);
        }
    }
}

fn number(row: &DepthRow, at: usize) -> Cell {
    match counts(row)[at] {
        None => Cell::from(""),
        Some(value) if at == 0 && !row.exact => Cell::from(format!("≥ {value}")),
        Some(value) if value > 0 && COUNTS[at] == "dead" => {
            Cell::painted(Paint::Bad, value.to_string())
        }
        Some(value) => Cell::from(value),
    }
}

fn state(row: &DepthRow) -> Cell {
    if row.paused {
        return Cell::painted(Paint::Odd, "paused");
    }
    if row.hosts == Some(0) {
        return Cell::painted(Paint::Odd, "no process");
    }
    Cell::from("")
}
