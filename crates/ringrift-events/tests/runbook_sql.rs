//! The runbook's SQL and database shell lines, read from the runbook and run as written with the
//! system's own `sqlite3` against a live store.
#![expect(
    clippy::unwrap_used,
    reason = "a test's parts fails the test by panicking"
)]

mod sqlite_support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ringrift_events::clock::{Clock as _, ManualClock, SystemClock};
use ringrift_events::event::Seq;
use ringrift_events::store::deliveries::{Deliveries as _, Settle, Settlement, Want};
use ringrift_events::store::letters::{LetterAct, LetterFilter, LetterState, Letters as _};
use ringrift_events::store::log::{Log as _, Page, TypeSet};
use ringrift_events::store::registry::{Counters, Registry as _};
use ringrift_events::store::sqlite::{OpenOptions, SqliteStore};
use ringrift_events::store::subscriptions::{
    Definition, Kind, Start, SubscriptionId, Subscriptions as _,
};
use ringrift_events::store::upkeep::Upkeep as _;
use ringrift_events::verdict::{Failure, FailureKind, Outcome, RetryWish};
use sqlite_support::{Home, batch, event, options};

/// The shell may say that the database is locked at most this often.
const TRIES_MAX: usize = 20;

/// How long a quiet store may take until its file alone is everything.
const QUIET_WITHIN: Duration = Duration::from_secs(10);

const HOUR: Duration = Duration::from_secs(60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// The fenced blocks of one language, in order.
fn blocks(language: &str) -> Vec<String> {
    let runbook =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/runbook/EVENT_DEBUGGING.md");
    let text = std::fs::read_to_string(&runbook)
        .unwrap_or_else(|error| panic!("{}: {error}", runbook.display()));
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == format!("```{language}") {
            let block: Vec<&str> = lines
                .by_ref()
                .take_while(|line| line.trim() != "```")
                .collect();
            found.push(block.join("\n"));
        }
    }
    assert!(!found.is_empty(), "no {language} block in the runbook");
    found
}

/// The one block that contains this text.
fn block(language: &str, part: &str) -> String {
    let found: Vec<String> = blocks(language)
        .into_iter()
        .filter(|block| block.contains(part))
        .collect();
    assert_eq!(found.len(), 1, "{part:?} is in {} blocks", found.len());
    found.into_iter().next().unwrap()
}

/// A home whose rows are aged, and the store that stays open beside the shell.
struct Stage {
    home: Home,
    store: Arc<SqliteStore>,
    clock: Arc<ManualClock>,
    subscription: SubscriptionId,
}

impl Stage {
    /// Opens a store whose clock begins eight days ago.
    fn new() -> Stage {
        let home = Home::new();
        let start = SystemClock.now().before(8 * 24 * HOUR + 2 * MINUTE);
        let clock = Arc::new(ManualClock::new(start, 3));
        let mut options: OpenOptions = options(home.path());
        options.clock = clock.clone();
        let store = SqliteStore::open(options).unwrap();
        let subscribed = store.subscribe(durable("evaluator"), false).wait().unwrap();
        Stage {
            home,
            store,
            clock,
            subscription: subscribed.id,
        }
    }

    fn publish(&self, event_type: &str, count: usize) -> Vec<Seq> {
        let events = (0..count).map(|n| event(&self.store, event_type, &format!(r#"{{"n":{n}}}"#)));
        let appended = self.store.append(batch(events), None).wait().unwrap();
        let head = self.store.head().wait().unwrap().seq;
        self.store.beat(Counters::default(), head);
        appended.iter().map(|one| one.seq).collect()
    }

    /// Claims what there is; the first fails, and is dead or retried in an hour.
    fn handle(&self, dead: bool) {
        let want = Want {
            subscription: self.subscription,
            max: 256,
            likely: false,
            grows: None,
        };
        let claim = self.store.claim(want).wait().unwrap().unwrap();
        let last = claim.events.last().unwrap().seq.unwrap();
        let failure = Failure {
            kind: FailureKind::Error,
            message: "no such model".to_owned(),
            took: Duration::from_millis(3),
            step: None,
            wish: RetryWish::Policy,
            circumstances: None,
        };
        let first = Settlement {
            seq: claim.events[0].seq.unwrap(),
            outcome: Outcome::Failed(failure),
            took: Duration::from_millis(3),
            retry_at: (!dead).then(|| self.clock.now().after(HOUR)),
            dedup_key: None,
            held: false,
        };
        let settle = Settle {
            token: claim.token,
            settled_to: last,
            results: vec![first],
            done: claim.events.len() as u64 - 1,
        };
        assert!(self.store.settle(settle).wait().unwrap());
    }

    /// Three events of eight days ago, four of three hours ago, five of some minutes ago, the
    /// first of each failed; two more wait.
    fn aged() -> Stage {
        let stage = Stage::new();
        stage.publish("training_completed", 3);
        stage.handle(true);
        stage.clock.advance(8 * 24 * HOUR - 3 * HOUR);
        stage.publish("training_completed", 4);
        stage.handle(true);
        stage.clock.advance(3 * HOUR - 3 * MINUTE);
        stage.publish("evaluation_completed", 5);
        stage.handle(false);
        stage.clock.advance(2 * MINUTE);
        stage.publish("evaluation_completed", 2);
        stage.clock.advance(MINUTE);
        // The poller's place is saved by whoever counts.
        assert_eq!(stage.store.count_pending().wait().unwrap(), 2);
        stage
    }

    fn sql(&self, sql: &str) -> Vec<Vec<String>> {
        // Not as an argument: a statement that begins with a comment looks like an option.
        let file = self.home.path().join("query.sql");
        std::fs::write(&file, sql).unwrap();
        table(
            &self
                .run("sqlite3 data/coordination/coordination.db < query.sql")
                .unwrap(),
        )
    }

    /// Runs a block in the home's folder, as an operator would.
    fn run(&self, block: &str) -> Result<String, String> {
        let done = Command::new("bash")
            .args(["-e", "-c", block])
            .current_dir(self.home.path())
            .output()
            .unwrap();
        match done.status.success() {
            true => Ok(String::from_utf8(done.stdout).unwrap()),
            false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
        }
    }

    /// Runs it again while it says that the database is locked.
    fn insist(&self, block: &str) -> String {
        for _ in 0..TRIES_MAX {
            match self.run(block) {
                Ok(out) => return out,
                Err(error) => assert!(error.contains("locked"), "{error}"),
            }
        }
        panic!("still locked after {TRIES_MAX} tries");
    }

    fn events(&self) -> Vec<Seq> {
        let page = Page {
            limit: 1_000,
            ..Page::default()
        };
        let listed = self.store.list(page).wait().unwrap();
        listed
            .iter()
            .map(|logged| logged.event.seq.unwrap())
            .collect()
    }

    fn take(&self) -> Vec<Seq> {
        let want = Want {
            subscription: self.subscription,
            max: 256,
            likely: false,
            grows: None,
        };
        let claim = self.store.claim(want).wait().unwrap();
        let events = claim.map(|claim| claim.events).unwrap_or_default();
        events.iter().map(|event| event.seq.unwrap()).collect()
    }
}

fn durable(name: &str) -> Definition {
    Definition {
        name: name.to_owned(),
        kind: Kind::Durable,
        types: TypeSet::All,
        filter: None,
        start: Start::Now,
        dedup: Vec::new(),
        ordered_by_key: false,
    }
}

fn table(out: &str) -> Vec<Vec<String>> {
    let row = |line: &str| line.split('|').map(str::to_owned).collect();
    out.lines().map(row).collect()
}

fn sum(rows: &[Vec<String>]) -> u64 {
    rows.iter().map(|row| row[1].parse::<u64>().unwrap()).sum()
}

#[test]
fn the_monitoring_queries_are_right_for_rows_of_every_age() {
    let stage = Stage::aged();
    let throughput = stage.sql(&block("sql", "Events per minute"));
    assert_eq!(sum(&throughput), 7, "{throughput:?}");
    let failures = stage.sql(&block("sql", "Top failing event types"));
    let each = |name: &str| vec![name.to_owned(), "1".to_owned()];
    assert_eq!(failures.len(), 2, "the one of eight days ago is left out");
    assert!(failures.contains(&each("training_completed")));
    assert!(failures.contains(&each("evaluation_completed")));
    let depth = stage.sql(&block("sql", "Pending events by hour"));
    assert_eq!(sum(&depth), 2, "{depth:?}");
}

#[test]
fn the_shell_s_looks_at_the_queue_and_the_letters_are_right() {
    let stage = Stage::aged();
    let only_shell = |part: &str| -> String {
        // The log file is another part of the runbook.
        let block = block("bash", part);
        let lines: Vec<&str> = block.lines().filter(|l| !l.starts_with("grep")).collect();
        stage.run(&lines.join("\n")).unwrap()
    };
    assert_eq!(only_shell("Check cross-process queue").trim(), "2");
    let newest = table(&only_shell("View pending cross-process events"));
    assert_eq!(newest.len(), 10);
    let acked: Vec<&str> = newest.iter().map(|row| row[3].as_str()).collect();
    assert_eq!(acked[..3], ["0", "0", "1"]);
    assert!(
        newest.windows(2).all(|two| two[0][2] >= two[1][2]),
        "newest first"
    );
    let letters = only_shell("Check DLQ size");
    assert_eq!(letters.lines().next(), Some("3"));
    assert_eq!(letters.lines().count(), 4);
    assert!(letters.contains("no such model"));
}

#[test]
fn deleting_old_letters_takes_those_only_and_they_can_be_restored() {
    let stage = Stage::aged();
    stage.insist(&block("bash", "DELETE FROM dead_letter_queue"));
    assert_eq!(stage.store.count_letters().wait().unwrap(), 2);
    let purged = stage.store.letters(LetterFilter {
        states: vec![LetterState::Purged],
        limit: 10,
        ..LetterFilter::default()
    });
    let purged = purged.wait().unwrap();
    assert_eq!(purged.len(), 1);
    let seen = vec![purged[0].seen()];
    let acted = stage.store.act(LetterAct::Restore, seen, "op".to_owned());
    assert_eq!(acted.wait().unwrap().changed, 1);
    assert_eq!(stage.store.count_letters().wait().unwrap(), 3);
}

/// A shell that keeps the write lock until it is dropped.
struct Locking(std::process::Child);

impl Locking {
    fn new(database: &Path) -> Locking {
        let mut shell = Command::new("sqlite3")
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = shell.stdin.as_mut().unwrap();
        writeln!(stdin, ".timeout 10000\nBEGIN IMMEDIATE;\nSELECT 'locked';").unwrap();
        let mut line = String::new();
        let stdout = shell.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "locked\n");
        Locking(shell)
    }
}

impl Drop for Locking {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_delete_that_says_locked_has_changed_nothing() {
    let stage = Stage::aged();
    let all = stage.events();
    let pending = stage.store.count_pending().wait().unwrap();
    for part in ["Clear pending events", "DELETE FROM dead_letter_queue"] {
        let locking = Locking::new(&stage.home.database());
        let error = stage.run(&block("bash", part)).unwrap_err();
        assert!(error.contains("locked"), "{part}: {error}");
        drop(locking);
        assert_eq!(stage.events(), all, "{part}");
        assert_eq!(stage.store.count_letters().wait().unwrap(), 3, "{part}");
        let still = stage.store.count_pending().wait().unwrap();
        assert_eq!(still, pending, "{part}");
    }
}

#[test]
fn clearing_a_quiet_queue_leaves_a_backup_with_every_event() {
    let stage = Stage::aged();
    let all = stage.events();
    let wal = PathBuf::from(format!("{}-wal", stage.home.database().display()));
    let end = SystemClock.monotonic() + QUIET_WITHIN;
    let mut seen = 0;
    while std::fs::metadata(&wal).is_ok_and(|file| file.len() > 0) {
        assert!(SystemClock.monotonic() < end, "the WAL was not emptied");
        seen = stage.store.wait_for_news(seen, Duration::from_millis(100));
    }
    stage.insist(&block("bash", "Clear pending events"));
    assert_eq!(stage.store.count_pending().wait().unwrap(), 0);
    let backup = stage.home.database().with_extension("db.bak");
    let ask = |sql: &str| sqlite_support::shell(&backup, sql).unwrap();
    assert_eq!(ask("PRAGMA integrity_check"), "ok");
    let count = ask("SELECT COUNT(*) FROM cross_process_events");
    assert_eq!(count, all.len().to_string());
}

#[test]
fn a_cleared_queue_comes_back_with_exactly_what_was_owed() {
    let stage = Stage::aged();
    let all = stage.events();
    stage.insist(&block("bash", "Clear pending events"));
    assert_eq!(stage.events().len(), all.len() - 2);
    assert!(stage.take().is_empty(), "what was cleared is not handled");
    let restore = |dry_run| stage.store.restore_queue("op".to_owned(), dry_run);
    assert_eq!(restore(true).wait().unwrap(), 2);
    assert_eq!(restore(false).wait().unwrap(), 2);
    assert_eq!(stage.events(), all);
    let mut due: Vec<Seq> = stage.take();
    let again = stage.store.claim_due(vec![stage.subscription], 10);
    due.extend(again.wait().unwrap().iter().filter_map(|one| one.event.seq));
    assert_eq!(
        due,
        all[all.len() - 2..],
        "each once, the settled ones never"
    );
    let tallies = stage.store.tallies().wait().unwrap();
    let tally = tallies[0];
    assert_eq!((tally.matching, tally.done, tally.expired), (14, 9, 0));
    assert_eq!(tally.claimed, 2);
}

#[test]
fn clearing_under_load_loses_nothing_that_restore_does_not_bring_back() {
    const BATCHES: usize = 100;
    let stage = Stage::aged();
    let before = stage.events().len();
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            for _ in 0..BATCHES {
                stage.publish("training_completed", 5);
            }
        });
        while !publisher.is_finished() {
            stage.insist(&block("bash", "Clear pending events"));
        }
        publisher.join().unwrap();
    });
    stage
        .store
        .restore_queue("op".to_owned(), false)
        .wait()
        .unwrap();
    assert_eq!(stage.events().len(), before + BATCHES * 5);
    let check = stage.store.check().wait().unwrap();
    assert_eq!(check.problems, Vec::<String>::new());
}
