//! The WAL stays small under steady load, is gone soon after it, and a quiet store's file is whole.
#![cfg(test)]

mod sqlite_support;

use std::path::PathBuf;
use std::time::Duration;

use ringrift_events::clock::{Clock as _, SystemClock};
use ringrift_events::store::ErrorCode;
use ringrift_events::store::log::Log as _;
use ringrift_events::store::sqlite::SqliteStore;
use sqlite_support::{Home, batch, event, shell};

/// Bytes of one page in the WAL, with its header.
const PAGE_IN_WAL: u64 = 4_096 + 24;

fn wal(home: &Home) -> PathBuf {
    let mut name = home.database().into_os_string();
    name.push("-wal");
    PathBuf::from(name)
}

fn bytes(path: PathBuf) -> u64 {
    std::fs::metadata(path).map_or(0, |found| found.len())
}

fn append_one(store: &SqliteStore) {
    store
        .append(
            batch([event(store, "training_completed", "{\"a\":1}")]),
            None,
        )
        .wait()
        .unwrap();
}

/// Waits until the WAL is empty; says how long that took.
fn wait_until_empty(home: &Home) -> Duration {
    let began = SystemClock.monotonic();
    while bytes(wal(home)) > 0 {
        assert!(
            SystemClock.monotonic().saturating_sub(began) < Duration::from_secs(20),
            "the WAL stays"
        );
        std::thread::yield_now();
    }
    SystemClock.monotonic().saturating_sub(began)
}

#[test]
fn the_wal_starts_anew_again_and_again_under_steady_load() {
    let home = Home::new();
    let store = home.open();
    let mut sizes = Vec::new();
    for n in 0..8_000 {
        append_one(&store);
        if n % 20 == 0 {
            sizes.push(bytes(wal(&home)) / PAGE_IN_WAL);
        }
    }
    sizes.sort_unstable();
    // One slow sync of a busy disk lets it grow for that long; it must come back. Without a new
    // start it would end at some 30,000 pages, and its median would be half of that.
    let (median, largest) = (sizes[sizes.len() / 2], sizes[sizes.len() - 1]);
    assert!(
        median > 100 && median < 8_000,
        "{median} pages, at most {largest}"
    );
}

#[test]
fn a_copy_of_a_quiet_store_s_file_holds_every_event() {
    let home = Home::new();
    let store = home.open();
    let other = home.open();
    for _ in 0..200 {
        append_one(&store);
        append_one(&other);
    }
    let took = wait_until_empty(&home);
    assert!(took < Duration::from_secs(10), "{took:?}");
    let copy = home.path().join("coordination.db.bak");
    std::fs::copy(home.database(), &copy).unwrap();
    assert_eq!(shell(&copy, "PRAGMA integrity_check").unwrap(), "ok");
    assert_eq!(shell(&copy, "SELECT COUNT(*) FROM events").unwrap(), "400");
    // And the store goes on.
    append_one(&other);
    assert_eq!(store.head().wait().unwrap().seq.0, 401);
}

#[test]
fn what_a_shell_left_in_the_wal_is_checkpointed_too() {
    let home = Home::new();
    let _store = home.open();
    shell(
        &home.database(),
        "CREATE TABLE by_shell (n); INSERT INTO by_shell VALUES (1)",
    )
    .unwrap();
    wait_until_empty(&home);
}

#[test]
fn a_disk_that_is_nearly_full_holds_publishing_back_and_lets_it_go_on_afterwards() {
    let home = Home::new();
    let mut options = home.options();
    options.disk_free_min_percent = 101;
    let store = SqliteStore::open(options).unwrap();
    let began = SystemClock.monotonic();
    let error = loop {
        let events = batch([event(&store, "training_completed", "{}")]);
        match store.append(events, None).wait() {
            Err(error) => break error,
            Ok(_) => assert!(
                SystemClock.monotonic().saturating_sub(began) < Duration::from_secs(20),
                "nobody looked"
            ),
        }
        std::thread::yield_now();
    };
    assert_eq!(error.code, ErrorCode::Backpressure, "{error}");
    assert!(error.is_retryable());
    assert!(store.head().wait().is_ok());
}
