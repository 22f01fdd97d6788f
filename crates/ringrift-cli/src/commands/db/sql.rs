//! `ringrift db sql`: one statement on the public views. It reads; with `--write` it may delete.

use std::time::Duration;

use clap::Args as ClapArgs;
use serde::Serialize;
use serde_json::Value;

use super::delete;
use crate::call::Call;
use crate::confirm::Confirm;
use crate::failure::{Done, Error};
use crate::input;
use crate::open;
use crate::output::{Cell, Paint, Report, Text, duration_text, one_line, patiently};
use crate::when;

/// Characters of one value that a table shows; `--json` has all of them.
const VALUE_CHARS: usize = 200;

/// How long a statement may read: its read transaction keeps the WAL from shrinking.
const READ_TIME_LIMIT: Duration = Duration::from_secs(30);

/// How long one may delete: nobody else of the home can write meanwhile, and they give up after
/// ten seconds.
const WRITE_TIME_LIMIT: Duration = Duration::from_secs(5);

/// The arguments of `db sql`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift db sql 'SELECT COUNT(*) FROM cross_process_events WHERE acked = 0'\n  ringrift db sql @throughput.sql --json --timeout 2m\n  ringrift db sql --write \"DELETE FROM dead_letter_queue WHERE created_at < datetime('now', '-7 days')\"\n\nThe public tables: cross_process_events, dead_letter_queue, subscriptions, processes, daemons,\nverdicts, audit_log, commands. Rows of the first two can be deleted, with --write, and brought back\nfor seven days; every other statement that writes is refused."
)]
pub(crate) struct Args {
    /// The statement, @FILE, or - for standard input.
    #[arg(value_name = "SQL")]
    sql: String,

    /// Most rows.
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,

    /// How long it may take: 30s, or 5s with --write, since others cannot write meanwhile.
    #[arg(long, value_name = "DURATION", value_parser = when::duration_option)]
    timeout: Option<Duration>,

    /// Let the statement delete from cross_process_events or dead_letter_queue.
    #[arg(long, conflicts_with = "limit")]
    write: bool,

    /// With --write: keep no copy of the database as it was.
    #[arg(long, requires = "write")]
    no_backup: bool,

    #[command(flatten)]
    confirm: Confirm,
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
    if args.write {
        let wanted = delete::Wanted {
            sql,
            time_limit: args.timeout.unwrap_or(WRITE_TIME_LIMIT),
            backup: !args.no_backup,
        };
        return delete::run(call, wanted, &args.confirm);
    }
    if args.confirm.yes.is_some() || args.confirm.dry_run {
        return Err(Error::Input {
            what: "--yes or --dry-run".to_owned(),
            why: "a statement that reads needs neither; --write lets it delete".to_owned(),
            next: "ringrift db sql --help",
        }
        .into());
    }
    let limit = usize::try_from(args.limit).unwrap_or(1);
    let time_limit = args.timeout.unwrap_or(READ_TIME_LIMIT);
    let store = open::reading(call)?;
    let what = format!("the statement runs, at most {}", duration_text(time_limit));
    let (columns, mut rows) = patiently(&what, || store.query(sql, limit + 1, time_limit).wait())?;
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
