//! An operator's own read-only statement.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "SQLite's actions are non-exhaustive: what is not named here is refused"
)]

use std::time::Duration;

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::ValueRef;
use serde_json::Value;

use super::SqliteStore;
use super::long::Place;
use crate::store::{Error, ErrorCode, Pending};

/// Columns, then rows.
pub(crate) type Table = (Vec<String>, Vec<Vec<Value>>);

/// SQLite's steps between two looks at the clock.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// Pragmas that only tell.
const TELLING: &[&str] = &[
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "index_info",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "user_version",
    "application_id",
    "page_count",
    "page_size",
    "freelist_count",
    "journal_mode",
    "compile_options",
    "encoding",
];

impl SqliteStore {
    /// Runs one read-only statement; at most `limit` rows.
    pub(crate) fn ask_sql(
        &self,
        sql: String,
        limit: usize,
        time_limit: Duration,
    ) -> Pending<Table> {
        self.work(move |place| {
            let mut conn = place.reader()?;
            end_after(&mut conn, place, time_limit)?;
            // The connection is this statement's alone, and can do nothing but read this file.
            conn.authorizer(Some(|context: AuthContext<'_>| allowed(&context.action)))?;
            ask(&conn, &sql, limit, time_limit)
        })
    }
}

/// Interrupts what runs on `conn` after `limit`: a read keeps the WAL from shrinking, a write keeps
/// others from writing.
pub(super) fn end_after(
    conn: &mut Connection,
    place: &Place,
    limit: Duration,
) -> Result<(), Error> {
    let end = place.clock.monotonic().saturating_add(limit);
    let (clock, closing) = (std::sync::Arc::clone(&place.clock), place.is_closing());
    conn.progress_handler(
        STEPS_BETWEEN_LOOKS,
        Some(move || closing() || clock.monotonic() >= end),
    )?;
    Ok(())
}

fn allowed(action: &AuthAction<'_>) -> Authorization {
    match action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => {
            Authorization::Allow
        }
        AuthAction::Function { function_name } if *function_name != "load_extension" => {
            Authorization::Allow
        }
        AuthAction::Pragma {
            pragma_name,
            pragma_value,
        } if TELLING.contains(pragma_name)
            && (pragma_value.is_none()
                || pragma_name.contains("_info")
                || pragma_name.ends_with("_list")
                || pragma_name.ends_with("_check")) =>
        {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

fn ask(conn: &Connection, sql: &str, limit: usize, time_limit: Duration) -> Result<Table, Error> {
    let refused = |error: rusqlite::Error| refused(&error, time_limit);
    let mut statement = conn.prepare(sql).map_err(refused)?;
    if !statement.readonly() {
        return Err(Error::new(
            ErrorCode::SqlRefused,
            "the statement would change the store; only reading is allowed here",
        )
        .with_next("ringrift db sql --write SQL"));
    }
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query([])?;
    let mut table = Vec::new();
    while table.len() < limit
        && let Some(row) = rows.next().map_err(refused)?
    {
        let cells = (0..columns.len())
            .map(|column| Ok(json(row.get_ref(column)?)))
            .collect::<rusqlite::Result<Vec<_>>>()?;
        table.push(cells);
    }
    Ok((columns, table))
}

/// The statement is at fault, unless the time, the file or a lock is.
pub(super) fn refused(error: &rusqlite::Error, time_limit: Duration) -> Error {
    let message = error.to_string();
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::OperationInterrupted) => Error::new(
            ErrorCode::TimedOut,
            format!("the statement took longer than its limit of {time_limit:?}, and was ended"),
        )
        .with_next("ringrift db sql --timeout 2m SQL"),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            Error::new(ErrorCode::Corrupt, message).with_next("ringrift db check")
        }
        Some(rusqlite::ErrorCode::DatabaseBusy) => {
            Error::new(ErrorCode::Busy, message).with_next("ringrift status")
        }
        _ => Error::new(
            ErrorCode::SqlRefused,
            format!("the statement was refused: {message}"),
        ),
    }
}

fn json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
        ValueRef::Blob(bytes) => bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::testing::TestStore;

    #[test]
    fn a_statement_reads_and_cannot_change_anything() {
        let home = TestStore::new();
        home.append(3);
        let ask = |sql: &str| {
            home.store
                .ask_sql(sql.to_owned(), 2, Duration::from_secs(10))
                .wait()
        };
        let (columns, rows) = ask("SELECT seq, event_type FROM events ORDER BY seq").unwrap();
        assert_eq!(columns, ["seq", "event_type"]);
        assert_eq!(rows.len(), 2, "the limit holds");
        assert_eq!(rows[0][1], "training_completed");
        assert!(ask("PRAGMA table_info(events)").is_ok());
        for refused in [
            "DELETE FROM events",
            "PRAGMA query_only = 0",
            "PRAGMA journal_mode = DELETE",
            "ATTACH '/tmp/x.db' AS x",
            "SELECT 1; DELETE FROM events",
            "SELECT nonsense FROM nowhere",
            "BEGIN IMMEDIATE",
            "VACUUM INTO '/tmp/copy-of-it.db'",
        ] {
            assert_eq!(
                ask(refused).unwrap_err().code,
                ErrorCode::SqlRefused,
                "{refused}"
            );
        }
        assert_eq!(ask("SELECT COUNT(*) FROM events").unwrap().1[0][0], 3);
    }

    #[test]
    fn a_statement_that_takes_too_long_is_ended_and_says_its_limit() {
        let home = TestStore::new();
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                       SELECT COUNT(*) FROM n";
        let limit = Duration::from_millis(50);
        let error = home.store.ask_sql(endless.to_owned(), 1, limit).wait();
        let error = error.unwrap_err();
        assert_eq!(error.code, ErrorCode::TimedOut);
        assert!(error.message.contains("50ms"), "{error}");
    }
}
