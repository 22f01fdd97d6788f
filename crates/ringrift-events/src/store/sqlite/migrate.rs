//! Brings a file's schema to this version: numbered `.sql` files, each applied once, in order.

use rusqlite::{Connection, TransactionBehavior};

use crate::store::{Error, ErrorCode};

/// Marks a SQLite file as a RingRift store (`RRft`).
pub(crate) const APPLICATION_ID: i32 = 0x5252_6674;

/// One step of the schema. A step that was released never changes.
pub(crate) struct Migration {
    /// Its number: `user_version` once it has been applied.
    pub(crate) number: i32,
    /// Its statements.
    pub(crate) sql: &'static str,
}

/// Every step, by number.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        number: 1,
        sql: include_str!("migrations/0001_log.sql"),
    },
    Migration {
        number: 2,
        sql: include_str!("migrations/0002_deliveries.sql"),
    },
    Migration {
        number: 3,
        sql: include_str!("migrations/0003_registry.sql"),
    },
    Migration {
        number: 4,
        sql: include_str!("migrations/0004_views.sql"),
    },
    Migration {
        number: 5,
        sql: include_str!("migrations/0005_records.sql"),
    },
    Migration {
        number: 6,
        sql: include_str!("migrations/0006_watching.sql"),
    },
    Migration {
        number: 7,
        sql: include_str!("migrations/0007_log_numbers.sql"),
    },
    Migration {
        number: 8,
        sql: include_str!("migrations/0008_log_changes.sql"),
    },
    Migration {
        number: 9,
        sql: include_str!("migrations/0009_shorter_rows.sql"),
    },
    Migration {
        number: 10,
        sql: include_str!("migrations/0010_claims_grow.sql"),
    },
];

/// The schema's version that this program writes.
#[must_use]
pub(crate) fn newest() -> i32 {
    MIGRATIONS.last().map_or(0, |step| step.number)
}

/// What a file says of itself before anything of it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// No table yet.
    Empty,
    /// A store of this or an older version.
    Ours(i32),
}

/// Reads whose file it is and of which version; refuses others' and newer ones.
pub(crate) fn inspect(conn: &Connection, shown: &str) -> Result<Found, Error> {
    // One snapshot: a neighbour that makes the store between two reads must not look like a
    // database of something else. A savepoint also stands within the transaction of `migrate`.
    conn.execute_batch("SAVEPOINT inspect")?;
    let found = inspect_snapshot(conn, shown);
    let released = conn.execute_batch("RELEASE inspect");
    let found = found?;
    released?;
    Ok(found)
}

fn inspect_snapshot(conn: &Connection, shown: &str) -> Result<Found, Error> {
    let application: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let version: i32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT COUNT(*) FROM sqlite_master", [], |row| row.get(0))?;
    if application == 0 && version == 0 && tables == 0 {
        return Ok(Found::Empty);
    }
    if application != APPLICATION_ID {
        return Err(Error::new(
            ErrorCode::NotOurs,
            format!(
                "{shown} is a SQLite database of something else (application id {application:#x})"
            ),
        )
        .with_next("ringrift init --home DIR"));
    }
    if version > newest() {
        return Err(Error::new(
            ErrorCode::Newer,
            format!(
                "{shown} has schema version {version}, this program knows up to {}",
                newest()
            ),
        )
        .with_next("ringrift --version"));
    }
    Ok(Found::Ours(version))
}

/// Applies every step the file lacks, in one transaction. Safe from many processes at once: the
/// loser of the race finds nothing left to do. Says whether anything was applied.
pub(crate) fn migrate(conn: &mut Connection, shown: &str) -> Result<bool, Error> {
    if inspect(conn, shown)? == Found::Ours(newest()) {
        return Ok(false);
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have migrated between the look and the lock.
    let version = match inspect(&tx, shown)? {
        Found::Empty => {
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            0
        }
        Found::Ours(version) => version,
    };
    for step in MIGRATIONS.iter().filter(|step| step.number > version) {
        tx.execute_batch(step.sql)?;
        tx.pragma_update(None, "user_version", step.number)?;
    }
    tx.commit()?;
    Ok(version < newest())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_upwards() {
        assert!(
            MIGRATIONS
                .windows(2)
                .all(|two| two[0].number < two[1].number)
        );
    }

    #[test]
    fn a_second_run_changes_nothing() {
        let mut conn = Connection::open_in_memory().unwrap();
        assert!(migrate(&mut conn, "test").unwrap());
        assert!(!migrate(&mut conn, "test").unwrap());
        assert_eq!(inspect(&conn, "test").unwrap(), Found::Ours(newest()));
    }

    #[test]
    fn a_log_that_sqlite_numbered_keeps_the_numbers_of_what_was_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("coordination.db");
        let mut conn = Connection::open(&path).unwrap();
        for step in MIGRATIONS.iter().filter(|step| step.number <= 6) {
            conn.execute_batch(step.sql).unwrap();
        }
        conn.pragma_update(None, "application_id", APPLICATION_ID)
            .unwrap();
        conn.execute_batch(
            "PRAGMA user_version = 6;
             INSERT INTO events (id, event_type, payload, source, published_at, created_at,
                 trace_id, depth, origin)
             VALUES ('a', 't', '{}', '', 0, '', '', 0, 0), ('b', 't', '{}', '', 0, '', '', 0, 0);
             DELETE FROM events WHERE seq = 2",
        )
        .unwrap();
        let other = Connection::open(&path).unwrap();
        let ends = "SELECT deleted FROM log_end";
        let rows = "SELECT COUNT(*) FROM events WHERE id = 'a' AND seq = 1";
        let ask =
            |conn: &Connection, sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
        assert_eq!(ask(&other, rows).unwrap(), 1);
        assert!(migrate(&mut conn, "test").unwrap());
        for conn in [&conn, &other] {
            assert_eq!(ask(conn, ends).unwrap(), 2);
            assert_eq!(ask(conn, rows).unwrap(), 1);
            let counted = "SELECT COUNT(*) FROM sqlite_sequence WHERE name = 'events'";
            assert_eq!(ask(conn, counted).unwrap(), 0);
            conn.execute_batch(
                "INSERT INTO events (seq, id, event_type, payload, source, published_at,
                     created_at, trace_id, depth, origin)
                 VALUES (9, 'c', 't', '{}', '', 0, '', '', 0, 0);
                 DELETE FROM events WHERE seq = 9",
            )
            .unwrap();
            assert_eq!(ask(conn, counted).unwrap(), 0);
            assert_eq!(ask(conn, ends).unwrap(), 9);
            conn.execute_batch("UPDATE log_end SET deleted = 2")
                .unwrap();
        }
        let sound: String = other
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sound, "ok");
    }

    #[test]
    fn open_claims_are_found_and_numbers_go_on_after_the_counter_went() {
        let mut conn = Connection::open_in_memory().unwrap();
        for step in MIGRATIONS.iter().filter(|step| step.number <= 9) {
            conn.execute_batch(step.sql).unwrap();
        }
        conn.pragma_update(None, "application_id", APPLICATION_ID)
            .unwrap();
        conn.execute_batch(
            "PRAGMA user_version = 9;
             INSERT INTO subscription_rows (id, name, kind, version, generation, ordered, cursor,
                 settled, created_at) VALUES (1, 's', 'durable', 1, 1, 0, 9, 4, '');
             INSERT INTO claims (subscription, generation, first_seq, last_seq, settled_to, owner,
                 fence, opened_us, settled_us)
             VALUES (1, 1, 1, 4, 4, 1, 1, 0, 5), (1, 1, 5, 9, 6, 1, 1, 0, NULL),
                 (1, 1, 10, 12, 12, 1, 1, 0, 5);
             DELETE FROM claims WHERE id = 3",
        )
        .unwrap();
        assert!(migrate(&mut conn, "test").unwrap());
        let ask = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
        let open = "SELECT id FROM claims INDEXED BY claims_open \
                    WHERE subscription = 1 AND generation = 1 AND settled_us IS NULL";
        assert_eq!(ask(open).unwrap(), 2);
        let next = "INSERT INTO claims (subscription, generation, first_seq, last_seq, settled_to, \
                    fence, opened_us) VALUES (1, 1, 10, 11, 9, 1, 0) RETURNING id";
        assert_eq!(ask(next).unwrap(), 4, "three was given before");
        assert_eq!(
            ask("SELECT COUNT(*) FROM sqlite_sequence WHERE name = 'claims'").unwrap(),
            0
        );
        // A deletion keeps what was open at its moment.
        conn.execute_batch("INSERT INTO deletions (at, until_s) VALUES ('', 0)")
            .unwrap();
        assert_eq!(ask("SELECT SUM(claim) FROM deletion_claims").unwrap(), 6);
        let sound: String = conn
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sound, "ok");
    }

    #[test]
    fn a_store_that_another_process_is_just_making_is_no_database_of_something_else() {
        for _ in 0..60 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("coordination.db");
            let connect = || {
                let conn = Connection::open(&path).unwrap();
                conn.busy_timeout(std::time::Duration::from_secs(10))
                    .unwrap();
                conn
            };
            let mut making = connect();
            let wal = "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF";
            making.execute_batch(wal).unwrap();
            std::thread::scope(|scope| {
                let looking = scope.spawn(|| {
                    let conn = connect();
                    while inspect(&conn, "test").unwrap() == Found::Empty {}
                });
                assert!(migrate(&mut making, "test").unwrap());
                looking.join().unwrap();
            });
        }
    }

    #[test]
    fn others_files_and_newer_ones_are_refused() {
        let mut conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert_eq!(
            migrate(&mut conn, "f").unwrap_err().code,
            ErrorCode::NotOurs
        );
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, "f").unwrap();
        conn.pragma_update(None, "user_version", newest() + 1)
            .unwrap();
        let error = migrate(&mut conn, "f").unwrap_err();
        assert_eq!(error.code, ErrorCode::Newer);
        assert!(error.next.is_some());
    }
}
