//! The runbook's statements in the system's own `sqlite3`, on a quiet store.

use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::figure::{Stopwatch, figure};

pub(crate) const PENDING: &str = "SELECT COUNT(*) FROM cross_process_events WHERE acked = 0";

/// What the runbook asks, by what it shows.
pub(crate) const QUERIES: &[(&str, &str)] = &[
    ("count of pending", PENDING),
    (
        "newest ten",
        "SELECT id, event_type, created_at, acked FROM cross_process_events \
         ORDER BY created_at DESC LIMIT 10",
    ),
    (
        "events per minute",
        "SELECT strftime('%Y-%m-%d %H:%M', created_at) as minute, COUNT(*) as count \
         FROM cross_process_events WHERE created_at > datetime('now', '-1 hour') \
         GROUP BY minute ORDER BY minute",
    ),
    (
        "failures by type",
        "SELECT event_type, COUNT(*) as failures FROM dead_letter_queue \
         WHERE created_at > datetime('now', '-24 hours') GROUP BY event_type \
         ORDER BY failures DESC LIMIT 10",
    ),
    (
        "pending by hour",
        "SELECT strftime('%Y-%m-%d %H:00', created_at) as hour, COUNT(*) as pending \
         FROM cross_process_events WHERE acked = 0 GROUP BY hour ORDER BY hour",
    ),
    (
        "one type of one key",
        "SELECT COUNT(*) FROM cross_process_events WHERE event_type = 'type_3' \
         AND payload LIKE '%cfg_3%' AND created_at > datetime('now', '-24 hours')",
    ),
];

pub(crate) const CLEAR: &str = "DELETE FROM cross_process_events WHERE acked = 0";

const DELETES: &[(&str, &str)] = &[
    ("clear the queue", CLEAR),
    (
        "delete old letters",
        "DELETE FROM dead_letter_queue WHERE created_at < datetime('now', '-7 days')",
    ),
];

/// Times each question; the limit is in seconds.
pub(crate) fn queries(database: &Path, state: &str, limit: f64) -> Outcome<()> {
    time_all(database, QUERIES, state, limit)
}

/// Times each delete, on a copy of the file.
pub(crate) fn deletes(database: &Path, state: &str, limit: f64) -> Outcome<()> {
    let copy = database.with_extension("deleting");
    std::fs::copy(database, &copy)?;
    let timed = time_all(&copy, DELETES, state, limit);
    std::fs::remove_file(&copy)?;
    timed
}

fn time_all(database: &Path, statements: &[(&str, &str)], state: &str, limit: f64) -> Outcome<()> {
    for (name, sql) in statements {
        let watch = Stopwatch::start();
        answer(database, sql)?;
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
