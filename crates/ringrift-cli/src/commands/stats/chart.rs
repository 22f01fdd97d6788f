//! `ringrift stats throughput` and `failures`; `depth` and `lag` over time.

use std::time::Duration;

use ringrift_events::metrics::{self, Ask, By, Chart, Line};
use serde::Serialize;

use super::{Now, Over, answer, warn_cut};
use crate::call::Call;
use crate::failure::{Done, Error, Stop};
use crate::open;
use crate::output::{Cell, Csv, Moment, Paint, Report, Style, Text, duration_text, spark};

/// Columns that the cells beside the plot take, and the longest name.
const BESIDE: usize = 72;

/// Columns of a plot at least, and where no terminal says how wide it is.
const PLOT_MIN: usize = 10;
const PLOT_USUAL: usize = 40;

#[derive(Serialize)]
struct Shown {
    measure: String,
    by: By,
    since: Moment,
    until: Moment,
    slot_seconds: f64,
    counted_since: Moment,
    cut: Option<String>,
    total: Line,
    lines: Vec<Line>,
    folded: usize,
}

/// Counts what came.
pub(super) fn throughput(call: &Call, over: &Over) -> Done {
    let ask = over.ask(call, By::All)?;
    let store = open::reading(call)?;
    let chart = metrics::throughput(&*store, &*call.clock, &ask)?;
    show(call, "stats throughput", chart, &over.how)
}

/// Counts what failed.
pub(super) fn failures(call: &Call, over: &Over) -> Done {
    let ask = over.ask(call, By::Code)?;
    let store = open::reading(call)?;
    let chart = metrics::failures(&*store, &*call.clock, &ask)?;
    show(call, "stats failures", chart, &over.how)
}

/// Counts what is owed, by when it came.
pub(super) fn depth(call: &Call, how: &Now, ask: &Ask) -> Done {
    if ask.by == By::Process {
        return Err(no_past("depth"));
    }
    let store = open::reading(call)?;
    let chart = metrics::depth_over(&*store, &*call.clock, ask)?;
    show(call, "stats depth", chart, how)
}

/// Says from when on each subscription is behind.
pub(super) fn lag(call: &Call, how: &Now, ask: &Ask) -> Done {
    if matches!(ask.by, By::Process | By::Type) {
        return Err(no_past("lag"));
    }
    let store = open::reading(call)?;
    let chart = metrics::lag_over(&*store, ask)?;
    show(call, "stats lag", chart, how)
}

/// What is known of now alone.
fn no_past(measure: &str) -> Stop {
    Stop::from(Error::Input {
        what: format!("{measure} over time, by that"),
        why: "of the past it is known by subscription, and depth by type".to_owned(),
        next: "ringrift stats depth --since 24h --by subscription",
    })
}

fn show(call: &Call, command: &str, chart: Chart, how: &Now) -> Done {
    warn_cut(call, chart.cut.as_ref());
    let csv = how.csv.then(|| csv(call, &chart));
    let window = chart.window;
    let span = window.until.since(window.since).as_secs_f64();
    let shown = Shown {
        measure: chart.measure,
        by: chart.by,
        since: call.show(window.since),
        until: call.show(window.until),
        slot_seconds: span / f64::from(window.slots()),
        counted_since: call.show(chart.counted_since),
        cut: chart.cut,
        total: chart.total,
        lines: chart.lines,
        folded: chart.folded,
    };
    answer(call, command, &shown, csv)
}

/// A row a slot and line: what a spreadsheet or a plotting program takes.
fn csv(call: &Call, chart: &Chart) -> Csv {
    let mut csv = Csv::new(&["slot_begins", "name", "id", chart.measure.as_str()]);
    let lines = match chart.by {
        By::All => std::slice::from_ref(&chart.total),
        By::Code | By::Type | By::Subscription | By::Process => &chart.lines,
    };
    for line in lines {
        for (slot, count) in (0..).zip(&line.slots) {
            csv.row([
                call.show(chart.window.slot_begins(slot)).to_string(),
                line.name.clone(),
                line.id.clone().unwrap_or_default(),
                count.to_string(),
            ]);
        }
    }
    csv
}

impl Report for Shown {
    fn write(&self, text: &mut Text) {
        let title = match self.measure.as_str() {
            "failures" => "Failed attempts",
            "depth" => "Events that are owed now, by when they came,",
            "lag" => "Seconds that the oldest event owed now had waited,",
            _ => "Events",
        };
        text.title(&format!("{title} from {} to {}", self.since, self.until));
        let style = text.style();
        let width = plot_width(style);
        let columns = columns(&self.measure);
        let row = |line: &Line, paint| {
            let mut row = cells(line, style, width, paint);
            if self.measure == "lag" {
                let waits = line.slots.last().copied().unwrap_or(0);
                row[2] = duration_text(Duration::from_secs(waits)).into();
            }
            row.truncate(columns.len());
            row
        };
        let mut rows = vec![row(&self.total, Some(Paint::Title))];
        rows.extend(self.lines.iter().map(|line| row(line, None)));
        text.table(columns, rows);
        let columns = width.min(self.total.slots.len()).max(1);
        let slots = self.total.slots.len().max(1);
        #[expect(clippy::cast_precision_loss, reason = "a few hundred columns at most")]
        let column = self.slot_seconds * (slots as f64 / columns as f64);
        let column = Duration::try_from_secs_f64(column).unwrap_or_default();
        let note = format!(
            "a column is {}; each line is drawn to its own peak",
            duration_text(column)
        );
        let note = text.paint(Paint::Faint, &note);
        text.line(note);
        if self.folded > 0 {
            let note = format!("other stands for {} lines; --limit shows more", self.folded);
            let note = text.paint(Paint::Faint, &note);
            text.line(note);
        }
    }
}

/// A sum of waits means nothing, nor does a rate of what stands.
fn columns(measure: &str) -> &'static [&'static str] {
    match measure {
        "lag" => &["", "over time", "now"],
        "depth" => &["", "over time", "in all"],
        _ => &["", "over time", "in all", "a second", "peak"],
    }
}

fn plot_width(style: Style) -> usize {
    match style.width {
        None => PLOT_USUAL,
        Some(width) => usize::from(width).saturating_sub(BESIDE).max(PLOT_MIN),
    }
}

fn cells(line: &Line, style: Style, width: usize, paint: Option<Paint>) -> Vec<Cell> {
    let most = line.slots.iter().copied().max().unwrap_or(0);
    let name = match paint {
        Some(paint) => Cell::painted(paint, &line.name),
        None => Cell::from(&line.name),
    };
    vec![
        name,
        spark(style, &line.slots, most, width).into(),
        line.total.into(),
        rate_text(line.per_second).into(),
        rate_text(line.peak_per_second).into(),
    ]
}

/// `0`, `0.02`, `3.4`, `120`: as many digits as matter.
fn rate_text(rate: f64) -> String {
    match rate {
        rate if rate <= 0.0 => "0".to_owned(),
        rate if rate < 0.01 => "<0.01".to_owned(),
        rate if rate < 1.0 => format!("{rate:.2}"),
        rate if rate < 100.0 => format!("{rate:.1}"),
        rate => format!("{rate:.0}"),
    }
}
