//! `ringrift stats lag`.

use std::time::Duration;

use ringrift_events::event::Seq;
use ringrift_events::metrics::{self, By, Lag, LagRow};
use serde::Serialize;

use super::{Now, answer, warn_cut};
use crate::call::Call;
use crate::failure::Done;
use crate::open;
use crate::output::{Cell, Csv, Moment, Paint, Report, Text, bar, duration_text};

/// Columns of the longest bar.
const BAR: usize = 12;

#[derive(Serialize)]
struct Shown {
    measure: String,
    by: By,
    at: Moment,
    head: Seq,
    cut: Option<String>,
    lines: Vec<Row>,
    folded: usize,
}

#[derive(Serialize)]
struct Row {
    name: String,
    id: Option<String>,
    events: u64,
    exact: bool,
    seconds: f64,
    oldest: Option<Moment>,
    position: Option<Seq>,
    paused: bool,
    hosts: Option<usize>,
}

impl Row {
    fn of(call: &Call, row: LagRow) -> Row {
        Row {
            name: row.name,
            id: row.id,
            events: row.events,
            exact: row.exact,
            seconds: row.seconds,
            oldest: row.oldest.map(|at| call.show(at)),
            position: row.position,
            paused: row.paused,
            hosts: row.hosts,
        }
    }

    fn behind(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or_default()
    }
}

/// Looks at who is behind.
pub(super) fn run(call: &Call, now: &Now) -> Done {
    let ask = now.ask(call)?;
    let store = open::reading(call)?;
    let lag = metrics::lag(&*store, &*call.clock, &ask)?;
    warn_cut(call, lag.cut.as_ref());
    let csv = now.csv.then(|| csv(call, &lag));
    let shown = Shown {
        measure: lag.measure,
        by: lag.by,
        at: call.show(lag.at),
        head: lag.head,
        cut: lag.cut,
        lines: lag
            .lines
            .into_iter()
            .map(|row| Row::of(call, row))
            .collect(),
        folded: lag.folded,
    };
    answer(call, "stats lag", &shown, csv)
}

fn csv(call: &Call, lag: &Lag) -> Csv {
    let mut csv = Csv::new(&[
        "name", "id", "events", "exact", "seconds", "oldest", "position", "paused", "hosts",
    ]);
    for row in &lag.lines {
        let text = |value: Option<String>| value.unwrap_or_default();
        csv.row([
            row.name.clone(),
            text(row.id.clone()),
            row.events.to_string(),
            row.exact.to_string(),
            format!("{:.3}", row.seconds),
            text(row.oldest.map(|at| call.show(at).to_string())),
            text(row.position.map(|at| at.to_string())),
            row.paused.to_string(),
            text(row.hosts.map(|hosts| hosts.to_string())),
        ]);
    }
    csv
}

impl Report for Shown {
    fn write(&self, text: &mut Text) {
        text.title(&format!(
            "Lag at {}, the log's end is {}",
            self.at, self.head
        ));
        let style = text.style();
        let ms = |row: &Row| u64::try_from(row.behind().as_millis()).unwrap_or(u64::MAX);
        let most = self.lines.iter().map(ms).max().unwrap_or(0);
        let rows = self.lines.iter().map(|row| {
            let events = match row.exact {
                true => row.events.to_string(),
                false => format!("≥ {}", row.events),
            };
            let behind = match row.oldest {
                Some(_) => duration_text(row.behind()),
                None => "-".to_owned(),
            };
            let at = row.position.map(|at| at.to_string());
            let hosts = row.hosts.map(|hosts| hosts.to_string());
            vec![
                Cell::from(&row.name),
                bar(style, ms(row), most, BAR).into(),
                events.into(),
                behind.into(),
                at.unwrap_or_default().into(),
                hosts.unwrap_or_default().into(),
                state(row),
            ]
        });
        let rows = rows.collect();
        let headings = ["", "behind", "events", "for", "position", "hosts", "state"];
        text.table(&headings, rows);
        if self.folded > 0 {
            let note = format!("{} more lines; --limit shows them", self.folded);
            let note = text.paint(Paint::Faint, &note);
            text.line(note);
        }
    }
}

fn state(row: &Row) -> Cell {
    if row.paused {
        return Cell::painted(Paint::Odd, "paused");
    }
    if row.hosts == Some(0) {
        return Cell::painted(Paint::Odd, "no process");
    }
    Cell::from("")
}
