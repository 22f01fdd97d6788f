//! An operator's own deleting statement: through the public views alone, in a transaction of its
//! own, and rolled back when it was only asked what it would touch.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "SQLite's actions are non-exhaustive: what is not named here is refused"
)]

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use rusqlite::hooks::{Action, AuthAction, AuthContext, Authorization};

use super::SqliteStore;
use super::connection::{Use, connect};
use super::long::Place;
use super::sql::{end_after, refused};
use super::verb::Tx;
use super::verbs::record::{About, act};
use crate::event::Seq;
use crate::store::deliveries::LetterId;
use crate::store::upkeep::{Deletion, Touched};
use crate::store::{Error, ErrorCode, Pending};

/// Views whose rows may be deleted; their triggers hide, and `restore` brings back.
const DELETABLE: [&str; 2] = ["cross_process_events", "dead_letter_queue"];

/// Of each kind so many rows are named.
const NAMED_MAX: usize = 10;

/// What a statement wanted and may not, and what it touched. Plain memory: SQLite's callbacks, on
/// a database thread, hold it.
#[derive(Debug, Default)]
struct Seen(Mutex<(Option<String>, Touched)>);

impl Seen {
    fn lock(&self) -> MutexGuard<'_, (Option<String>, Touched)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SqliteStore {
    /// See [`crate::store::Upkeep::delete_by_sql`].
    pub(crate) fn run_deletion(&self, deletion: Deletion) -> Pending<Touched> {
        if self.is_read_only() {
            let error = Error::new(ErrorCode::ReadOnly, "this handle only reads");
            return Pending::ready(Err(error));
        }
        let process = self.process_id();
        let process_row = self.line.process_row.load(Ordering::Acquire);
        self.work(move |place| {
            let mut conn = connect(&place.database, Use::Write, place.busy)?;
            conn.execute_batch("BEGIN IMMEDIATE")?;
            let touched = touch(&mut conn, place, &deletion)?;
            if deletion.dry_run {
                conn.execute_batch("ROLLBACK")?;
                return Ok(touched);
            }
            let tx = Tx::new(&conn, place.clock.now(), process, process_row);
            let evidence = serde_json::json!({
                "sql": deletion.sql, "events": touched.events, "letters": touched.letters,
            });
            act(&tx, "db.sql", &deletion.by, About::default(), &evidence)?;
            conn.execute_batch("COMMIT")?;
            Ok(touched)
        })
    }
}

/// Runs the statement inside the open transaction. An error leaves it to be rolled back with the
/// connection.
fn touch(conn: &mut Connection, place: &Place, deletion: &Deletion) -> Result<Touched, Error> {
    let seen = Arc::new(Seen::default());
    fence(conn, place, deletion, &seen)?;
    let ran = run(conn, deletion, &seen);
    conn.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?;
    conn.update_hook(None::<fn(Action, &str, &str, i64)>)?;
    conn.progress_handler(0, None::<fn() -> bool>)?;
    ran?;
    let touched = seen.lock().1.clone();
    Ok(touched)
}

fn fence(
    conn: &mut Connection,
    place: &Place,
    deletion: &Deletion,
    seen: &Arc<Seen>,
) -> Result<(), Error> {
    end_after(conn, place, deletion.time_limit)?;
    let refusing = Arc::clone(seen);
    conn.authorizer(Some(move |context: AuthContext<'_>| {
        match forbidden(&context) {
            None => Authorization::Allow,
            Some(why) => {
                refusing.lock().0.get_or_insert(why);
                Authorization::Deny
            }
        }
    }))?;
    let counting = Arc::clone(seen);
    conn.update_hook(Some(move |action, _: &str, table: &str, row| {
        let touched = &mut counting.lock().1;
        match (action, table) {
            (Action::SQLITE_INSERT, "deleted_events") => {
                touched.events += 1;
                if touched.first_events.len() < NAMED_MAX {
                    touched.first_events.push(Seq(row));
                }
            }
            (Action::SQLITE_UPDATE, "redeliveries") => {
                touched.letters += 1;
                if touched.first_letters.len() < NAMED_MAX {
                    touched.first_letters.push(LetterId(row));
                }
            }
            _ => {}
        }
    }))?;
    Ok(())
}

/// What the statement may not do, in words; none when it may.
fn forbidden(context: &AuthContext<'_>) -> Option<String> {
    // A trigger or a view of this file: nobody can make one through here.
    let ours = context.accessor.is_some();
    match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => None,
        AuthAction::Function { function_name } if function_name != "load_extension" => None,
        AuthAction::Delete { table_name } if DELETABLE.contains(&table_name) => None,
        AuthAction::Insert { .. } | AuthAction::Update { .. } | AuthAction::Delete { .. }
            if ours =>
        {
            None
        }
        AuthAction::Insert { table_name } => Some(instead("inserting into", table_name)),
        AuthAction::Update { table_name, .. } => Some(instead("changing", table_name)),
        AuthAction::Delete { table_name } => Some(instead("deleting from", table_name)),
        AuthAction::DropTable { table_name }
        | AuthAction::AlterTable { table_name, .. }
        | AuthAction::CreateTable { table_name } => {
            Some(instead("changing the shape of", table_name))
        }
        _ => Some("anything but DELETE is refused; next: ringrift db sql --help".to_owned()),
    }
}

fn instead(what: &str, table: &str) -> String {
    format!("{what} {table} is refused; next: {}", proper(table))
}

/// The verb that does properly what somebody wanted to do to `table`.
fn proper(table: &str) -> &'static str {
    match table {
        "events" | "cross_process_events" | "deleted_events" | "idempotency_keys" => {
            "ringrift publish, ringrift queue clear"
        }
        "redeliveries" | "dead_letter_queue" => {
            "ringrift dlq retry, ringrift dlq edit, ringrift dlq purge"
        }
        "subscriptions"
        | "subscription_rows"
        | "subscription_versions"
        | "subscription_types"
        | "generations"
        | "claims"
        | "hosts"
        | "poll_mark" => "ringrift subs seek, ringrift subs pause, ringrift subs rm",
        "daemons" | "commands" => "ringrift daemons restart",
        "processes" => "ringrift processes ls",
        "declared_types" | "catalogs" => "ringrift types add",
        "facts" | "verdicts" | "audit_log" => "ringrift config show --origin",
        "home" => "ringrift db restore",
        _ => "ringrift db sql --help",
    }
}

/// The public view that SQLite's own message is about: none of them can be changed or inserted
/// into, which it finds out before it asks us.
fn table_in(message: &str) -> Option<&'static str> {
    const VIEWS: [&str; 5] = [
        "cross_process_events",
        "dead_letter_queue",
        "subscriptions",
        "verdicts",
        "audit_log",
    ];
    VIEWS
        .into_iter()
        .find(|view| message.contains(&format!("cannot modify {view}")))
}

fn run(conn: &Connection, deletion: &Deletion, seen: &Seen) -> Result<(), Error> {
    let explain = |error: rusqlite::Error| match seen.lock().0.take() {
        Some(why) => {
            let (what, next) = why.split_once("; next: ").unwrap_or((&why, ""));
            Error::new(ErrorCode::SqlRefused, what).with_next(next)
        }
        None => {
            let refusal = refused(&error, deletion.time_limit);
            match (&refusal.next, table_in(&refusal.message)) {
                (None, Some(table)) => refusal.with_next(proper(table)),
                _ => refusal,
            }
        }
    };
    let mut statement = conn.prepare(&deletion.sql).map_err(explain)?;
    if statement.readonly() {
        return Err(
            Error::new(ErrorCode::SqlRefused, "the statement deletes nothing")
                .with_next("ringrift db sql without --write"),
        );
    }
    let mut rows = statement.query([]).map_err(explain)?;
    while rows.next().map_err(explain)?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::sqlite::testing::TestStore;
    use crate::store::upkeep::Upkeep;

    fn run(home: &TestStore, sql: &str, dry_run: bool) -> Result<Touched, Error> {
        let deletion = Deletion {
            sql: sql.to_owned(),
            by: "a test".to_owned(),
            time_limit: Duration::from_secs(10),
            dry_run,
        };
        home.store.run_deletion(deletion).wait()
    }

    fn count(home: &TestStore, sql: &str) -> i64 {
        let answer = home
            .store
            .ask_sql(sql.to_owned(), 1, Duration::from_secs(10));
        answer.wait().unwrap().1[0][0].as_i64().unwrap()
    }

    #[test]
    fn a_deletion_through_a_view_counts_hides_and_is_recorded() {
        let home = TestStore::new();
        home.append(3);
        let all = "SELECT COUNT(*) FROM cross_process_events";
        let sql = "DELETE FROM cross_process_events WHERE id < 3";
        let would = run(&home, sql, true).unwrap();
        assert_eq!((would.events, would.letters), (2, 0));
        assert_eq!(would.first_events, [Seq(1), Seq(2)]);
        assert_eq!(count(&home, all), 3, "it was only asked");
        assert_eq!(run(&home, sql, false).unwrap(), would);
        assert_eq!(count(&home, all), 1);
        assert_eq!(count(&home, "SELECT COUNT(*) FROM events"), 3);
        let recorded = "SELECT COUNT(*) FROM audit_log WHERE action = 'db.sql'";
        assert_eq!(count(&home, recorded), 1);
        assert_eq!(
            home.store
                .restore_queue("a test".to_owned(), false)
                .wait()
                .unwrap(),
            2
        );
        assert_eq!(count(&home, all), 3);
    }

    #[test]
    fn private_tables_are_out_of_reach_and_the_proper_verb_is_named() {
        let home = TestStore::new();
        home.append(1);
        for (sql, table, verb) in [
            ("DELETE FROM events", "events", "queue clear"),
            ("UPDATE events SET payload = '{}'", "events", "publish"),
            (
                "UPDATE dead_letter_queue SET status = 'dead'",
                "dead_letter_queue",
                "dlq edit",
            ),
            ("DELETE FROM subscriptions", "subscriptions", "subs rm"),
            ("DELETE FROM claims", "claims", "subs"),
            (
                "INSERT INTO deleted_events (seq) VALUES (1)",
                "deleted_events",
                "queue",
            ),
            ("DROP VIEW cross_process_events", "", "db sql --help"),
            ("CREATE TABLE mine (x)", "", "ringrift"),
            ("DELETE FROM verdicts", "verdicts", "config show"),
            ("PRAGMA journal_mode = DELETE", "", "ringrift"),
            ("ATTACH '/tmp/x.db' AS x", "", "ringrift"),
            ("COMMIT", "", "ringrift"),
            ("SELECT 1", "", "without --write"),
            (
                "DELETE FROM cross_process_events; DELETE FROM events",
                "",
                "",
            ),
            (
                "DELETE FROM cross_process_events WHERE load_extension('x') = 1",
                "",
                "",
            ),
        ] {
            let error = run(&home, sql, false).unwrap_err();
            assert_eq!(error.code, ErrorCode::SqlRefused, "{sql}: {error:?}");
            assert!(error.message.contains(table), "{sql}: {error:?}");
            let next = error.next.unwrap_or_default();
            assert!(next.contains(verb), "{sql}: {next}");
        }
        assert_eq!(count(&home, "SELECT COUNT(*) FROM cross_process_events"), 1);
    }

    #[test]
    fn a_deletion_that_takes_too_long_changes_nothing() {
        let home = TestStore::new();
        home.append(2);
        let deletion = Deletion {
            sql: "DELETE FROM cross_process_events WHERE id < (WITH RECURSIVE n(i) AS
                  (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n)"
                .to_owned(),
            by: "a test".to_owned(),
            time_limit: Duration::from_millis(50),
            dry_run: false,
        };
        let error = home.store.run_deletion(deletion).wait().unwrap_err();
        assert_eq!(error.code, ErrorCode::TimedOut, "{error:?}");
        assert_eq!(count(&home, "SELECT COUNT(*) FROM cross_process_events"), 2);
        home.append(1);
    }
}
