//! When the disk cannot keep what was promised: a sync of the log that fails. The kernel may have
//! dropped the pages and call the next sync good, so nobody may promise power durability again
//! until everybody has closed and the store was checked.
#![expect(
    clippy::unwrap_used,
    reason = "a test's parts fails the test by panicking"
)]

#[path = "support/bounded.rs"]
mod bounded;
mod sqlite_support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use ringrift_events::store::log::{Batch, Durability, Log as _};
use ringrift_events::store::sqlite::SqliteStore;
use ringrift_events::store::{Error, ErrorCode, Upkeep as _};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use sqlite_support::{Home, batch, event, options};

const HOME: &str = "RINGRIFT_TEST_HOME";

#[test]
fn child() {
    let Ok(home) = std::env::var(HOME) else {
        return;
    };
    bounded::bound_this_process();
    let store = SqliteStore::open(options(home.as_ref())).unwrap();
    println!("first {}", said(&publish(&store, Durability::Power)));
    no_sync_succeeds_any_more();
    println!("failing {}", said(&publish(&store, Durability::Power)));
    println!("after {}", said(&publish(&store, Durability::Power)));
    std::io::stdin().read_line(&mut String::new()).unwrap();
    store.close();
    println!("closed");
}

/// From here on each sync of this process ends with EIO, as on a disk that is going.
fn no_sync_succeeds_any_more() {
    let calls = BTreeMap::from([
        (libc::SYS_fdatasync, Vec::new()),
        (libc::SYS_fsync, Vec::new()),
    ]);
    let fails = SeccompAction::Errno(libc::EIO.cast_unsigned());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, fails, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter_all_threads(&program).unwrap();
}

fn publish(store: &SqliteStore, durability: Durability) -> Result<(), Error> {
    let batch = Batch {
        durability,
        ..batch([event(store, "training_completed", "{}")])
    };
    store.append(batch, None).wait().map(|_| ())
}

fn said(outcome: &Result<(), Error>) -> String {
    match outcome {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!(
            "{:?} {} {}",
            error.code, error.may_have_applied, error.message
        ),
    }
}

struct Publisher {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Publisher {
    fn start(home: &Home) -> Publisher {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(HOME, home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Publisher { child, lines }
    }

    fn hears(&mut self, word: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let length = self.lines.read_line(&mut line).unwrap();
            assert!(length > 0, "the child ended before it said '{word}'");
            if let Some(said) = line.split_once(word) {
                return said.1.trim().to_owned();
            }
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn after_a_failed_sync_nobody_promises_power_durability_until_all_have_closed() {
    let home = Home::new();
    let neighbour = home.open();
    publish(&neighbour, Durability::Power).unwrap();

    let mut publisher = Publisher::start(&home);
    assert_eq!(publisher.hears("first "), "ok");
    let failing = publisher.hears("failing ");
    assert!(
        failing.contains("true") && failing.contains("could not be synced"),
        "committed, perhaps not kept: the outcome is unknown: {failing}"
    );
    let after = publisher.hears("after ");
    assert!(!after.starts_with("ok"), "a second sync was called good");

    let refused = publish(&neighbour, Durability::Power).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Poisoned, "{refused}");
    assert!(!refused.may_have_applied, "nothing was committed");
    // Still one process has it open: reopening alone heals nothing.
    let newcomer = home.open();
    publish(&newcomer, Durability::Power).unwrap_err();
    newcomer.close();

    publisher
        .child
        .stdin
        .take()
        .unwrap()
        .write_all(b"end\n")
        .unwrap();
    publisher.hears("closed");
    neighbour.close();
    drop((newcomer, neighbour, publisher));

    let healed = home.open();
    publish(&healed, Durability::Power).unwrap();
    let events = healed.head().wait().unwrap().seq.0;
    assert!(events >= 3, "what was accepted is there: {events} events");
    assert!(healed.check().wait().unwrap().problems.is_empty());
}
