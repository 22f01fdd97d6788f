//! `ringrift db sql`: one read-only statement on the public views.

use clap::Args as ClapArgs;
use serde::Serialize;
use serde_json::Value;

use crate::call::Call;
use crate::failure::Done;
use crate::input;
use crate::open;
use crate::output::{Cell, Paint, Report, Text, one_line};

/// Characters of one value that a table shows; `--json` has all of them.
const VALUE_CHARS: usize = 200;

/// The arguments of `db sql`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift db sql 'SELECT COUNT(*) FROM cross_process_events WHERE acked = 0'\n  ringrift db sql @throughput.sql --json\n\nThe public tables: cross_process_events, dead_letter_queue, subscriptions, processes, daemons,\nverdicts, audit_log, commands. Statements that write are refused."
)]
pub(crate) struct Args {
    /// The statement, @FILE, or - for standard input.
    #[arg(value_name = "SQL")]
    sql: String,

    /// Most rows.
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

#[derive(Serialize)]
struct Rows {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
    /// The limit cut the answer.
    more: bool,
}

/// Runs it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let sql = input::argument(&args.sql)?;
    let sql = String::from_utf8_lossy(&sql).into_owned();
    let limit = usize::try_from(args.limit).unwrap_or(1);
    let store = open::reading(call)?;
    let (columns, mut rows) = store.query(sql, limit + 1).wait()?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    call.answer(
        "db sql",
        &Rows {
            columns,
            rows,
            more,
        },
    )
}

impl Report for Rows {
    fn write(&self, text: &mut Text) {
        let headings: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        text.table(
            &headings,
            self.rows
                .iter()
                .map(|row| row.iter().map(cell).collect())
                .collect(),
        );
        if self.more {
            let more = text.paint(Paint::Faint, "more rows: --limit");
            text.line(more);
        }
    }
}

fn cell(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::from(""),
        Value::String(text) => one_line(text, VALUE_CHARS).into(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            one_line(&value.to_string(), VALUE_CHARS).into()
        }
    }
}
