//! Whether the file is whole.

use rusqlite::Connection;

use super::housekeeper::wal_of;
use super::long::Place;
use crate::store::Error;
use crate::store::upkeep::Checked;

/// Problems told of one file: more say nothing new.
const PROBLEMS_MAX: usize = 100;

/// The check itself, on a connection of its own.
pub(super) fn check(place: &Place) -> Result<Checked, Error> {
    let conn = place.reader()?;
    let mut checked = Checked {
        problems: problems(&conn)?,
        ..Checked::default()
    };
    if checked.problems.is_empty() {
        look_at_log(&conn, &mut checked)?;
    }
    let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |file| file.len());
    checked.bytes = size(&place.database) + size(&wal_of(&place.database));
    Ok(checked)
}

/// What SQLite finds wrong with a file; empty when all is well.
pub(super) fn problems(conn: &Connection) -> Result<Vec<String>, Error> {
    let mut statement = conn.prepare(&format!("PRAGMA integrity_check({PROBLEMS_MAX})"))?;
    let mut found = statement
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    found.retain(|problem| problem != "ok");
    Ok(found)
}

fn look_at_log(conn: &Connection, checked: &mut Checked) -> Result<(), Error> {
    let events: i64 = conn.query_row("SELECT COUNT(*) FROM events", [], |row| row.get(0))?;
    checked.events = u64::try_from(events).unwrap_or(0);
    let ends: i64 = conn.query_row("SELECT COUNT(*) FROM log_end", [], |row| row.get(0))?;
    if ends != 1 {
        checked.problems.push(format!(
            "the log's end has {ends} rows instead of one: numbers of deleted events would be given again"
        ));
    }
    let broken: i64 = conn.query_row(
        "SELECT COUNT(*) FROM events WHERE length(id) <> 36 OR NOT json_valid(payload)",
        [],
        |row| row.get(0),
    )?;
    if broken > 0 {
        checked
            .problems
            .push(format!("{broken} events have no id or no JSON payload"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::testing::TestDatabase;

    #[test]
    fn a_log_without_an_end_of_its_own_is_named() {
        let db = TestDatabase::new();
        let look = || {
            let mut checked = Checked::default();
            look_at_log(db.conn(), &mut checked).unwrap();
            checked.problems
        };
        assert!(look().is_empty());
        db.conn().execute("DELETE FROM log_end", []).unwrap();
        let problems = look();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("given again"), "{problems:?}");
    }
}
