//! The machine under the store: clocks, the write-ahead log and who keeps it, copies of SQLite,
//! files that are gone, the disk, settings.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ringrift_events::clock::{Clock as _, ManualClock, SystemClock};
use ringrift_events::config::Bytes;
use ringrift_events::doctor::{FindingCode, Fix};
use ringrift_events::store::Registry as _;
use ringrift_events::store::registry::Counters;
use ringrift_events::store::sqlite::{OpenOptions, SqliteStore};
use ringrift_events::system::{System, this_process};

use super::second_sqlite::SecondSqlite;
use super::support::child::Guarded;
use super::support::{World, publish, publish_numbers, until};
use super::{NEVER, configured, ends, finds, found};

fn beside(system: &System, suffix: &str) -> PathBuf {
    let mut name = system.config().home.database().into_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// A `sqlite3` shell that is inside a read transaction.
pub(super) struct Reader {
    shell: Guarded,
    input: ChildStdin,
    _output: BufReader<ChildStdout>,
}

impl Reader {
    pub(super) fn begin(database: &Path) -> Reader {
        let mut shell: Child = Command::new("sqlite3")
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sqlite3");
        let mut input = shell.stdin.take().expect("its input");
        let mut output = BufReader::new(shell.stdout.take().expect("its output"));
        let ask = b"BEGIN; SELECT COUNT(*) FROM events;\n";
        input.write_all(ask).expect("asked");
        let mut line = String::new();
        output.read_line(&mut line).expect("an answer");
        assert!(line.trim().parse::<u64>().is_ok(), "{line}");
        Reader {
            shell: Guarded(shell),
            input,
            _output: output,
        }
    }

    fn pid(&self) -> u32 {
        self.shell.0.id()
    }

    pub(super) fn end(mut self) {
        self.input.write_all(b"COMMIT;\n.quit\n").expect("asked");
        self.shell.0.wait().expect("its end");
    }
}

#[test]
fn a_grown_log_names_the_process_that_reads_its_oldest_state() {
    let world = World::sqlite();
    let system = world.process_with(|settings| settings.store.wal_max = Bytes(4_096));
    let database = system.config().home.database();
    publish(&system, "TRAINING_COMPLETED", "{}");
    // Pids grow, mostly: the one that began last is not to be the one that reads the oldest state
    // only because its number is the lowest or the highest.
    let first = Reader::begin(&database);
    publish_numbers(&system, "TRAINING_COMPLETED", 0..200);
    let second = Reader::begin(&database);
    publish_numbers(&system, "TRAINING_COMPLETED", 0..200);
    let finding = finds(&system, FindingCode::WalGrown, |_| ());
    assert_eq!(finding.subject.pid, Some(first.pid()));
    assert_eq!(finding.evidence["oldest_reader"], first.pid());
    assert_eq!(finding.fix, Some(Fix::Checkpoint));
    let readers = finding.evidence["readers"].as_object().expect("readers");
    for reader in [&first, &second] {
        assert!(
            readers.contains_key(&reader.pid().to_string()),
            "{readers:?}"
        );
    }
    first.end();
    until("the other one is named", || {
        let findings = found(&system, FindingCode::WalGrown, |_| ());
        findings.first().and_then(|one| one.subject.pid) == Some(second.pid())
    });
    // As many bytes as are allowed are no finding; one more is.
    let bytes = system.store().figures().wait().expect("figures").wal_bytes;
    assert!(bytes > 4_096, "{bytes}");
    let at = |limit: u64| {
        found(&system, FindingCode::WalGrown, |rules| {
            rules.wal_bytes = limit
        })
    };
    assert_eq!(at(bytes), []);
    assert_eq!(at(bytes - 1).len(), 1);
    second.end();
}

#[test]
fn a_process_that_writes_to_a_deleted_log_is_named() {
    let world = World::sqlite();
    let system = world.process();
    publish(&system, "TRAINING_COMPLETED", "{}");
    assert_eq!(found(&system, FindingCode::WalDeleted, |_| ()), []);
    std::fs::remove_file(beside(&system, "-wal")).expect("removed");
    let finding = finds(&system, FindingCode::WalDeleted, |_| ());
    assert_eq!(finding.subject.pid, Some(std::process::id()));
    let file = finding.subject.thing.as_deref().expect("a file");
    assert!(file.contains("coordination.db-wal"), "{file}");
}

#[test]
fn a_second_copy_of_sqlite_is_named_while_it_has_the_database_open() {
    let world = World::sqlite();
    let system = world.process();
    publish(&system, "TRAINING_COMPLETED", "{}");
    let second = SecondSqlite::load();
    // Loaded and elsewhere is no fault.
    assert_eq!(found(&system, FindingCode::TwoSqlites, |_| ()), []);
    let connection = second.open(&system.config().home.database());
    let rows = connection.run("SELECT COUNT(*) FROM events").expect("rows");
    assert_eq!(rows, ["1"]);
    let finding = finds(&system, FindingCode::TwoSqlites, |_| ());
    assert_eq!(finding.subject.pid, Some(std::process::id()));
    assert_eq!(finding.subject.process, Some(system.store().process()));
    let library = finding.evidence["library"].as_str().expect("a library");
    assert!(library.contains("libsqlite3"), "{library}");
    drop(connection);
    ends(&system, FindingCode::TwoSqlites, |_| ());
}

#[test]
fn an_older_sqlite_that_wrote_the_file_is_named_with_its_version() {
    let world = World::sqlite();
    let system = world.process();
    publish(&system, "TRAINING_COMPLETED", "{}");
    assert_eq!(found(&system, FindingCode::OldSqlite, |_| ()), []);
    let second = SecondSqlite::load();
    let version = second.version();
    let connection = second.open(&system.config().home.database());
    connection
        .run("CREATE TABLE theirs (n); PRAGMA wal_checkpoint(TRUNCATE);")
        .expect("written");
    drop(connection);
    let numbers: Vec<u32> = version.split('.').filter_map(|n| n.parse().ok()).collect();
    if numbers.as_slice() >= &[3, 51, 3] {
        // This machine's own SQLite is as new as ours.
        assert_eq!(found(&system, FindingCode::OldSqlite, |_| ()), []);
        return;
    }
    let finding = finds(&system, FindingCode::OldSqlite, |_| ());
    assert_eq!(finding.evidence["version"], version);
    assert_eq!(finding.subject.thing.as_deref(), Some("coordination.db"));
}

#[test]
fn a_clock_that_is_ahead_is_named_with_its_process() {
    let world = World::sqlite();
    let system = world.process();
    let ahead = Duration::from_secs(600);
    let clock = Arc::new(ManualClock::new(SystemClock.now().after(ahead), 7));
    let process = this_process(&*clock);
    let id = process.id;
    let options = OpenOptions::new(world.folder().to_owned(), process, clock);
    let other = SqliteStore::open(options).expect("a store");
    other.beat(Counters::default(), Default::default());
    // The test itself may take a while: the clock that stands is less and less ahead.
    let finding = finds(&system, FindingCode::ClockSkew, |_| ());
    assert_eq!(finding.subject.process, Some(id));
    let ahead_ms = finding.evidence["ahead_ms"].as_u64().expect("a number");
    assert!((5_000..=600_000).contains(&ahead_ms), "{ahead_ms}");
    let below = found(&system, FindingCode::ClockSkew, |rules| {
        rules.clock_skew = NEVER;
    });
    assert_eq!(below, []);
}

#[test]
fn a_disk_with_less_than_the_share_is_named_with_its_folder() {
    let world = World::sqlite();
    let system = world.process();
    // No disk is wholly free, and none has less than nothing.
    let finding = finds(&system, FindingCode::Disk, |rules| {
        rules.disk_free_percent = 101;
    });
    let folder = finding.subject.thing.as_deref().expect("a folder");
    assert!(beside(&system, "").starts_with(folder), "{folder}");
    assert!(finding.evidence["free_percent"].as_u64() <= Some(100));
    let below = found(&system, FindingCode::Disk, |rules| {
        rules.disk_free_percent = 0;
    });
    assert_eq!(below, []);
}

#[test]
fn settings_that_contradict_each_other_are_named_one_by_one() {
    let folder = super::support::swift_folder();
    let system = configured(
        folder.path(),
        "[handler]\nslow = \"1m\"\ntime_limit = \"1m\"\n",
    );
    assert_eq!(found(&system, FindingCode::Settings, |_| ()), []);
    system.close();
    let text = "[handler]\nslow = \"61s\"\ntime_limit = \"1m\"\nconcurrency = 300\n";
    let system = configured(folder.path(), text);
    let findings = found(&system, FindingCode::Settings, |_| ());
    let named: Vec<_> = findings
        .iter()
        .filter_map(|one| one.subject.thing.as_deref())
        .collect();
    assert_eq!(named, ["handler.concurrency", "handler.slow"]);
    assert!(
        findings[1].says.contains("handler.time_limit"),
        "{}",
        findings[1].says
    );
}
