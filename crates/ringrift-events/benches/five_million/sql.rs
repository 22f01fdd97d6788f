//! The runbook's statements in the system's own `sqlite3`, on a quiet store.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::figure::{Stopwatch, figure};

/// Where the runbook lies, unless the test's usual place is meant.
const RUNBOOK: &str = "RINGRIFT_RUNBOOK";

/// What the runbook asks, by what it shows, each with a part of it that is nowhere else.
const QUERIES: &[(&str, &str)] = &[
    (
        "count of pending",
        "SELECT COUNT(*) FROM cross_process_events WHERE acked = 0",
    ),
    (
        "newest ten",
        "FROM cross_process_events ORDER BY created_at DESC LIMIT 10",
    ),
    ("events per minute", "-- Events per minute in last hour"),
    ("failures by type", "-- Top failing event types"),
    ("pending by hour", "-- Pending events by hour"),
    ("one type of one key", "AND payload LIKE ?"),
];

const CLEAR: &str = "DELETE FROM cross_process_events WHERE acked = 0";

const DELETES: &[(&str, &str)] = &[
    ("clear the queue", CLEAR),
    (
        "delete old letters",
        "DELETE FROM dead_letter_queue WHERE created_at <",
    ),
];

/// The count of what is pending, as the runbook has it.
pub(crate) fn pending() -> Outcome<String> {
    statement(QUERIES[0].1)
}

/// The delete of what is pending, as the runbook has it.
pub(crate) fn clear() -> Outcome<String> {
    statement(CLEAR)
}

/// Every question of the runbook.
pub(crate) fn questions() -> Outcome<Vec<String>> {
    QUERIES.iter().map(|(_, part)| statement(part)).collect()
}

/// The statement of the runbook that holds this part: an argument of the shell, a block, or what its
/// Python asks.
fn statement(part: &str) -> Outcome<String> {
    let path = std::env::var_os(RUNBOOK).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/runbook/EVENT_DEBUGGING.md"),
        PathBuf::from,
    );
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let at = text
        .find(part)
        .ok_or_else(|| format!("{part:?} is not in {}", path.display()))?;
    let fences = ["\"\"\"", "```", "\""];
    // The nearest beginning before it: in a block no quotation mark stands between.
    let (begin, fence) = fences
        .iter()
        .filter_map(|fence| Some((text[..at].rfind(fence)? + fence.len(), *fence)))
        .max_by_key(|(begin, fence)| (*begin, fence.len()))
        .ok_or("no statement begins before it")?;
    let end = at + text[at..].find(fence).ok_or("it has no end")?;
    // The values that its Python gives, and no line that the shell would take for an option.
    let sql = text[begin..end]
        .replace("{hours}", "24")
        .replacen("event_type = ?", "event_type = 'type_3'", 1)
        .replacen("LIKE ?", "LIKE '%cfg_3%'", 1);
    let lines = sql
        .lines()
        .filter(|line| *line != "sql" && !line.trim_start().starts_with("--"));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// Times each question; the limit is in seconds.
pub(crate) fn queries(database: &Path, state: &str, limit: f64) -> Outcome<()> {
    time_all(database, QUERIES, state, limit)
}

/// Times each delete, on a copy of the file.
pub(crate) fn deletes(database: &Path, state: &str, limit: f64) -> Outcome<()> {
    let copy = database.with_extension("deleting");
    std::fs::copy(database, &copy)?;
    // A live store's pages are not on their way to the disk while a statement runs.
    std::fs::File::open(&copy)?.sync_all()?;
    let timed = time_all(&copy, DELETES, state, limit);
    std::fs::remove_file(&copy)?;
    timed
}

fn time_all(database: &Path, statements: &[(&str, &str)], state: &str, limit: f64) -> Outcome<()> {
    for (name, part) in statements {
        let sql = statement(part)?;
        let watch = Stopwatch::start();
        answer(database, &sql)?;
        let took = watch.seconds();
        let what = format!("sqlite3: {name}, {state}");
        figure(&what, format!("{took:.2} s"), &format!("≤ {limit} s"));
    }
    Ok(())
}

/// What the shell answers.
pub(crate) fn answer(database: &Path, sql: &str) -> Outcome<String> {
    let done = Command::new("sqlite3").arg(database).arg(sql).output()?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned().into());
    }
    Ok(String::from_utf8(done.stdout)?.trim_end().to_owned())
}
