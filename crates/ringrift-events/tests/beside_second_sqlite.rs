//! Another copy of SQLite in this process (the system's, as Python's `sqlite3` is one) opens,
//! reads, writes and closes the store's file while the store writes and reads it and `sqlite3`
//! shells come and go. Nothing may be lost on any side.
#![cfg(test)]

mod second_sqlite;
mod sqlite_support;

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ringrift_events::event::Seq;
use ringrift_events::store::log::{Log as _, TypeSet};
use ringrift_events::store::sqlite::SqliteStore;
use second_sqlite::SecondSqlite;
use sqlite_support::{Home, Over, batch, event, shell};

/// Commits of ours: as many again under `RINGRIFT_LONG=1`, ten times.
fn commits() -> u64 {
    if std::env::var_os("RINGRIFT_LONG").is_some_and(|long| long == "1") {
        100_000
    } else {
        10_000
    }
}

/// Rows that each side was told are committed.
#[derive(Default)]
struct Acknowledged {
    second: AtomicU64,
    shells: AtomicU64,
}

#[test]
fn nothing_is_lost_on_any_side() {
    let home = Home::swift();
    let store = home.open();
    assert!(store.notes().is_empty(), "{:?}", store.notes());
    let told = Acknowledged::default();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| second_library(&home.database(), &told, &over));
        scope.spawn(|| shells(&home.database(), &told, &over));
        let writers: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| write_and_read(&store, commits() / 2)))
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
    });
    nothing_lost(&home, &store, commits(), &told);
}

#[test]
fn nothing_is_lost_beside_a_busy_runtime_and_log_file_either() {
    let home = Home::swift();
    let store = home.open();
    let told = Acknowledged::default();
    let over = AtomicBool::new(false);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let log = home.path().join("busy.log");
    let count = commits();
    std::thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| second_library(&home.database(), &told, &over));
        scope.spawn(|| shells(&home.database(), &told, &over));
        scope.spawn(|| write_log(&log, &over));
        // Each answer crosses from the database threads to a waker of the runtime.
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let store = Arc::clone(&store);
                runtime.spawn(async move {
                    for _ in 0..count / 4 {
                        let event = event(&store, "training_completed", "{}");
                        store.append(batch([event]), None).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            runtime.block_on(task).unwrap();
        }
    });
    nothing_lost(&home, &store, count / 4 * 4, &told);
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(
        text.lines().all(|line| line == LOG_LINE),
        "the log file was written into"
    );
}

fn write_and_read(store: &SqliteStore, count: u64) {
    for n in 0..count {
        let event = event(
            store,
            "training_completed",
            "{\"config_key\":\"square8_2p\"}",
        );
        let seq = store.append(batch([event]), None).wait().unwrap()[0].seq;
        if n % 16 == 0 {
            let (events, _) = store.read(Seq(seq.0 - 1), TypeSet::All, 1).wait().unwrap();
            assert_eq!(
                events[0].seq,
                Some(seq),
                "an acknowledged event is not there"
            );
        }
    }
}

/// The second library: each round opens, writes, reads and closes.
fn second_library(database: &Path, told: &Acknowledged, over: &AtomicBool) {
    let second = SecondSqlite::load();
    assert_ne!(
        second.version(),
        rusqlite::version(),
        "the same library twice proves nothing"
    );
    second
        .open(database)
        .run("CREATE TABLE IF NOT EXISTS by_second (n INTEGER)")
        .unwrap();
    while !over.load(Ordering::Acquire) {
        let connection = second.open(database);
        let before = connection.run("SELECT COUNT(*) FROM by_second").unwrap();
        assert_eq!(before[0], told.second.load(Ordering::Relaxed).to_string());
        connection.run("INSERT INTO by_second VALUES (1)").unwrap();
        told.second.fetch_add(1, Ordering::Relaxed);
        connection.run("SELECT MAX(seq) FROM events").unwrap();
        std::thread::yield_now();
    }
}

/// `sqlite3` processes, one after the other.
fn shells(database: &Path, told: &Acknowledged, over: &AtomicBool) {
    shell(database, "CREATE TABLE IF NOT EXISTS by_shell (n INTEGER)").unwrap();
    while !over.load(Ordering::Acquire) {
        let count = shell(
            database,
            "INSERT INTO by_shell VALUES (1); SELECT COUNT(*) FROM by_shell;",
        )
        .unwrap();
        let told = told.shells.fetch_add(1, Ordering::Relaxed) + 1;
        assert_eq!(count, told.to_string());
    }
}

const LOG_LINE: &str = "a line of the log file that nobody else may write into";

/// A log file that is opened, appended to and closed all the time: its number is free for others
/// again and again.
fn write_log(path: &Path, over: &AtomicBool) {
    while !over.load(Ordering::Acquire) {
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        for _ in 0..50 {
            writeln!(file, "{LOG_LINE}").unwrap();
        }
    }
}

fn nothing_lost(home: &Home, store: &SqliteStore, ours: u64, told: &Acknowledged) {
    let database = home.database();
    let count = |table: &str| shell(&database, &format!("SELECT COUNT(*) FROM {table}")).unwrap();
    assert_eq!(count("events"), ours.to_string());
    assert_eq!(
        count("by_second"),
        told.second.load(Ordering::Relaxed).to_string()
    );
    assert_eq!(
        count("by_shell"),
        told.shells.load(Ordering::Relaxed).to_string()
    );
    assert!(
        told.second.load(Ordering::Relaxed) > 10,
        "the second library hardly came to run"
    );
    assert!(
        told.shells.load(Ordering::Relaxed) > 3,
        "the shells hardly came to run"
    );
    store.close();
    assert_eq!(shell(&database, "PRAGMA integrity_check").unwrap(), "ok");
    assert_eq!(count("events"), ours.to_string());
    println!(
        "{ours} commits of ours, {} of the second library, {} of shells",
        told.second.load(Ordering::Relaxed),
        told.shells.load(Ordering::Relaxed)
    );
}
