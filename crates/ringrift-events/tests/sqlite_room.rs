//! Where there is no room for more events, publishing is held back with a code that names who is
//! in the way; settling, deleting and reading go on.

#![cfg(test)]

mod sqlite_support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ringrift_events::clock::{Clock as _, SystemClock};
use ringrift_events::coded::Coded as _;
use ringrift_events::config::{Config, ConfigSources, Home as HomeFolder};
use ringrift_events::handler::{Function, NotDone};
use ringrift_events::router::{Error, Publish, Subscribe, Subscription};
use ringrift_events::store::ErrorCode;
use ringrift_events::store::Upkeep as _;
use ringrift_events::store::letters::LetterFilter;
use ringrift_events::store::log::Log as _;
use ringrift_events::store::sqlite::SqliteStore;
use ringrift_events::system::System;
use sqlite_support::{Home, batch, event};

fn config(home: &Path, flags: &[&str]) -> Config {
    let mut sources = ConfigSources::of_process(HomeFolder::at(home));
    sources.flags = vec!["store.disk_free_min_percent=0".to_owned()];
    sources
        .flags
        .extend(flags.iter().map(|flag| (*flag).to_owned()));
    Config::load(sources).unwrap()
}

fn system(home: &Path, flags: &[&str]) -> System {
    System::open(config(home, flags)).unwrap()
}

fn publish(system: &System, payload: &str) -> Result<(), Error> {
    let publish = Publish::new("TRAINING_COMPLETED", payload);
    system.router().publish_blocking(publish).map(drop)
}

/// A durable subscription that counts what it handled.
fn counting(system: &System, name: &str, fails: bool) -> (Subscription, Arc<AtomicUsize>) {
    let handled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&handled);
    let function = Function::blocking(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        if fails {
            Err(NotDone::failed("always"))
        } else {
            Ok(())
        }
    });
    let subscribe = Subscribe::durable(name).to(["TRAINING_COMPLETED"]);
    (
        system.router().subscribe(subscribe, function).unwrap(),
        handled,
    )
}

/// Waits for a fact, at most twenty seconds.
#[track_caller]
fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let deadline = SystemClock.monotonic() + Duration::from_secs(20);
    while !fact() {
        assert!(
            SystemClock.monotonic() < deadline,
            "it never came true that {what}"
        );
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Publishes until it is held back.
#[track_caller]
fn fill(system: &System, payload: &str) -> (usize, Error) {
    let mut published = 0;
    let deadline = SystemClock.monotonic() + Duration::from_secs(20);
    loop {
        match publish(system, payload) {
            Ok(()) => published += 1,
            Err(error) => return (published, error),
        }
        assert!(SystemClock.monotonic() < deadline, "nothing held it back");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

#[test]
fn a_nearly_full_disk_refuses_the_very_first_publish_of_a_process() {
    let home = Home::new();
    let mut options = home.options();
    options.disk_free_min_percent = 101;
    let store = SqliteStore::open(options).unwrap();
    let error = store
        .append(batch([event(&store, "training_completed", "{}")]), None)
        .wait()
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::Backpressure, "{error}");
    assert!(error.next.unwrap().starts_with("df -h"));
    assert_eq!(store.head().wait().unwrap().seq.0, 0);
}

#[test]
fn a_full_disk_is_told_by_health_and_figures_of_any_process() {
    let home = Home::new();
    let system = system(home.path(), &[]);
    publish(&system, "{}").unwrap();
    assert_eq!(system.health().message, "");
    system.close();
    // More than any disk has free, and than the setting takes.
    let mut config = config(home.path(), &[]);
    config.settings.store.disk_free_min_percent = 101;
    let system = System::open(config).unwrap();
    let error = publish(&system, "{}").unwrap_err();
    assert_eq!(error.code(), "PUB_BACKPRESSURE", "{error}");
    let health = system.health();
    assert!(!health.healthy, "{health:?}");
    let said = "nothing can be published: ";
    assert!(health.message.starts_with(said), "{}", health.message);
    assert!(
        health.message.contains("% of the disk"),
        "{}",
        health.message
    );
    let mut options = home.options();
    (options.read_only, options.create) = (true, false);
    options.disk_free_min_percent = 101;
    let reader = SqliteStore::open(options).unwrap();
    let figures = reader.figures().wait().unwrap();
    assert_eq!(figures.held_back.len(), 1, "{figures:?}");
    reader.close();
    system.close();
}

#[test]
fn a_log_full_of_unsettled_work_holds_publishing_back_until_its_holder_goes_on() {
    let home = Home::new();
    let system = system(home.path(), &["retention.log_events_max=100"]);
    let (subscription, handled) = counting(&system, "evaluator", false);
    subscription.pause("test").unwrap();
    let (published, error) = fill(&system, "{\"config_key\":\"a\"}");
    assert!(published >= 100, "{published} were let in");
    assert_eq!(error.code(), "PUB_BACKPRESSURE", "{error}");
    assert!(error.is_retryable() && !error.may_have_applied());
    assert!(error.to_string().contains("evaluator"), "{error}");
    assert_eq!(error.next().unwrap(), "ringrift subs show evaluator");
    assert!(
        system
            .health()
            .message
            .contains("evaluator has not settled")
    );
    let head = system.store().head().wait().unwrap().seq.0;
    assert_eq!(head, i64::try_from(published).unwrap(), "nothing half-done");
    subscription.resume("test").unwrap();
    until("what was held back is handled", || {
        handled.load(Ordering::SeqCst) == published
    });
    until("there is room again", || publish(&system, "{}").is_ok());
    system.close();
}

#[test]
fn a_log_at_its_bound_that_only_waits_for_retention_holds_nobody_back() {
    let home = Home::new();
    let system = system(
        home.path(),
        &[
            "retention.log_events_max=100",
            "daemons.retention_interval=1h",
        ],
    );
    let (_subscription, handled) = counting(&system, "evaluator", false);
    for n in 0..150 {
        publish(&system, "{}").unwrap();
        until("it is handled", || handled.load(Ordering::SeqCst) > n);
        if n == 60 {
            // The poller's place is saved once a second, and before a count.
            until("the first part is settled", || {
                system.store().count_pending().wait().unwrap() == 0
            });
        }
    }
    let deadline = SystemClock.monotonic() + Duration::from_secs(3);
    let mut last = Ok(());
    while SystemClock.monotonic() < deadline {
        last = publish(&system, "{}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    last.unwrap();
    system.close();
}

#[test]
fn a_file_full_of_dead_letters_says_so_and_discarding_them_makes_room() {
    let home = Home::new();
    let system = system(
        home.path(),
        &[
            "retention.log_bytes_max=1MiB",
            "dlq.attempts=1",
            "retention.deleted=1s",
            "daemons.retention_interval=100ms",
        ],
    );
    let (_subscription, _) = counting(&system, "exporter", true);
    let payload = format!("{{\"x\":\"{}\"}}", "y".repeat(20_000));
    let (published, error) = fill(&system, &payload);
    assert_eq!(error.code(), "PUB_BACKPRESSURE", "{error}");
    let letters = system.dead_letters();
    until("all are dead letters", || {
        letters.count().unwrap() == published as u64
    });
    until("the letters are named", || {
        publish(&system, &payload).is_err_and(|error| error.to_string().contains("dead letters"))
    });
    let all = letters
        .list(LetterFilter {
            limit: 1_000,
            ..LetterFilter::default()
        })
        .unwrap();
    assert_eq!(
        letters.discard(&all, "test").unwrap().changed,
        published as u64
    );
    until("there is room again", || publish(&system, "{}").is_ok());
    system.close();
}

/// A shell with an open read transaction.
struct Reading(Child);

impl Reading {
    fn new(database: &Path) -> Reading {
        let mut shell = Command::new("sqlite3")
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = shell.stdin.as_mut().unwrap();
        writeln!(stdin, "BEGIN;\nSELECT 'read', COUNT(*) FROM events;").unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.starts_with("read"), "{line}");
        Reading(shell)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_reader_that_keeps_the_wal_from_being_cut_is_named() {
    let home = Home::new();
    let system = system(home.path(), &["store.wal_max=1MiB"]);
    publish(&system, "{}").unwrap();
    let database = home.database();
    let payload = format!("{{\"x\":\"{}\"}}", "y".repeat(50_000));
    let notes = || system.store().figures().wait().unwrap().notes.join("\n");
    assert!(!notes().contains("WAL"), "{}", notes());
    let reader = Reading::new(&database);
    let wal = || system.store().figures().wait().unwrap().wal_bytes;
    until("the WAL has grown", || {
        publish(&system, &payload).unwrap();
        wal() > 8 << 20
    });
    let named = format!("read by process {} (sqlite3 ", reader.0.id());
    assert!(notes().contains(&named), "{}", notes());
    assert!(
        system.health().message.contains(&named),
        "health says it too"
    );
    drop(reader);
    until("the WAL is cut", || wal() < 1 << 20);
    assert!(!notes().contains("WAL"), "{}", notes());
    system.close();
}
