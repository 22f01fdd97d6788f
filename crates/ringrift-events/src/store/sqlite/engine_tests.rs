//! What the threads promise whatever the verb: answers, neighbours, poison, time limits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::testing::TestStore;
use super::verb::{Plain, Question, Tx, Undo, Verb};
use crate::store::log::Log as _;
use crate::store::{Error, ErrorCode};

/// How long anything may take. Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Adds an event row by hand and then fails, panics or waits.
enum Odd {
    Fails,
    /// Says that it refuses before it writes, and fails afterwards.
    FailsLate,
    Panics,
    /// Announces that it has begun, and waits.
    Waits(SyncSender<()>, Receiver<()>),
    Fine,
}

impl Plain for Odd {}

impl Verb for Odd {
    type Answer = ();

    fn run(self, tx: &Tx<'_>) -> Result<(), Error> {
        tx.conn.execute(
            "INSERT INTO facts (at_us, evidence) VALUES (1, 'left behind')",
            [],
        )?;
        match self {
            Odd::Fails | Odd::FailsLate => Err(Error::new(ErrorCode::WrongState, "as asked")),
            Odd::Panics => panic!("as asked"),
            Odd::Fine => Ok(()),
            Odd::Waits(began, signal) => {
                began.send(()).unwrap();
                signal.recv_timeout(PATIENCE).unwrap();
                Ok(())
            }
        }
    }

    fn undo(&self) -> Undo {
        match self {
            Odd::FailsLate => Undo::Whole,
            Odd::Fails | Odd::Panics | Odd::Waits(..) | Odd::Fine => Undo::Savepoint,
        }
    }
}

struct Slow(Duration);

impl Plain for Slow {}

impl Question for Slow {
    type Answer = i64;

    fn run(self, tx: &Tx<'_>) -> Result<i64, Error> {
        Ok(tx.conn.query_row(
            "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) \
             SELECT COUNT(*) FROM n",
            [],
            |row| row.get(0),
        )?)
    }

    fn time_limit(&self) -> Duration {
        self.0
    }
}

fn left_behind(home: &TestStore) -> i64 {
    let (_, rows) = home
        .store
        .ask_sql("SELECT COUNT(*) FROM facts".to_owned(), 1, PATIENCE)
        .wait()
        .unwrap();
    rows[0][0].as_i64().unwrap()
}

#[test]
fn a_verb_that_fails_alone_or_among_others_undoes_itself_only() {
    let home = TestStore::new();
    let alone = home.store.write(Odd::Fails).wait().unwrap_err();
    assert_eq!(alone.code, ErrorCode::WrongState);
    // The first waits inside its transaction until the others stand behind it.
    let (begin, began) = sync_channel(1);
    let (go, signal) = sync_channel(1);
    let first = home.store.write(Odd::Waits(begin, signal));
    began.recv_timeout(PATIENCE).unwrap();
    let before = home.store.write(Odd::Fine);
    let failing = home.store.write(Odd::Fails);
    let after = home.store.write(Odd::Fine);
    go.send(()).unwrap();
    first.wait().unwrap();
    before.wait().unwrap();
    assert_eq!(failing.wait().unwrap_err().code, ErrorCode::WrongState);
    after.wait().unwrap();
    assert_eq!(left_behind(&home), 3);
}

#[test]
fn a_verb_without_a_savepoint_that_fails_after_it_wrote_undoes_the_whole_transaction() {
    let home = TestStore::new();
    let (begin, began) = sync_channel(1);
    let (go, signal) = sync_channel(1);
    let first = home.store.write(Odd::Waits(begin, signal));
    began.recv_timeout(PATIENCE).unwrap();
    let before = home.store.write(Odd::Fine);
    let failing = home.store.write(Odd::FailsLate);
    let after = home.store.write(Odd::Fine);
    go.send(()).unwrap();
    first.wait().unwrap();
    for undone in [before, failing] {
        let error = undone.wait().unwrap_err();
        assert_eq!(error.code, ErrorCode::WrongState);
        assert!(!error.may_have_applied);
    }
    after.wait().unwrap();
    assert_eq!(left_behind(&home), 2);
}

#[test]
fn a_verb_that_failed_by_itself_keeps_its_error_when_another_breaks_the_transaction() {
    let home = TestStore::new();
    let (begin, began) = sync_channel(1);
    let (go, signal) = sync_channel(1);
    let first = home.store.write(Odd::Waits(begin, signal));
    began.recv_timeout(PATIENCE).unwrap();
    let failing = home.store.write(Odd::Fails);
    let fine = home.store.write(Odd::Fine);
    let panicking = home.store.write(Odd::Panics);
    go.send(()).unwrap();
    first.wait().unwrap();
    assert_eq!(failing.wait().unwrap_err().code, ErrorCode::WrongState);
    assert_eq!(fine.wait().unwrap_err().code, ErrorCode::Poisoned);
    assert_eq!(panicking.wait().unwrap_err().code, ErrorCode::Poisoned);
    assert_eq!(left_behind(&home), 1);
}

#[test]
fn a_panic_in_the_writer_poisons_later_writes_and_leaves_nothing_behind() {
    let home = TestStore::new();
    home.append(3);
    let error = home.store.write(Odd::Panics).wait().unwrap_err();
    assert_eq!(error.code, ErrorCode::Poisoned);
    assert!(error.message.contains("as asked"), "{error}");
    let later = home.store.write(Odd::Fails).wait().unwrap_err();
    assert_eq!(later.code, ErrorCode::Poisoned);
    assert_eq!(left_behind(&home), 0);
    assert_eq!(
        home.store.head().wait().unwrap().seq.0,
        3,
        "reading goes on"
    );
    home.store.close();
}

#[test]
fn a_read_ends_at_its_limit_and_the_reader_goes_on() {
    let home = TestStore::new();
    let error = home
        .store
        .read(Slow(Duration::from_millis(50)))
        .wait()
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::TimedOut, "{error}");
    assert!(home.store.head().wait().is_ok());
}

#[test]
fn a_close_ends_a_long_read() {
    let home = TestStore::new();
    let slow = home.store.read(Slow(Duration::from_secs(60)));
    home.store.close();
    assert_eq!(slow.wait().unwrap_err().code, ErrorCode::Closed);
}

#[test]
fn a_follow_up_that_panics_takes_nobody_with_it() {
    let home = TestStore::new();
    let bad = home
        .store
        .write_then(Odd::Fails, |_| panic!("a caller's own"));
    assert!(bad.wait().is_err());
    static RAN: AtomicBool = AtomicBool::new(false);
    home.store
        .write_then(Odd::Fails, |_| RAN.store(true, Ordering::SeqCst))
        .forget();
    home.store.close();
    assert!(RAN.load(Ordering::SeqCst), "the close waits for follow-ups");
}
