//! For unit tests of verbs: a migrated database in a folder of its own, and transactions at a
//! clock that the test moves.

#[path = "../../../tests/support/swift.rs"]
pub(super) mod swift;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use uuid::Uuid;

use super::connection::{Use, connect};
use super::migrate::migrate;
use super::registry::Join;
use super::verb::{Question, Tx, Verb};
use super::{OpenOptions, SqliteStore};
use crate::clock::{Clock, ManualClock, SystemClock, Time};
use crate::event::{Event, EventId, EventType, Payload, ProcessId, TraceId};
use crate::store::Error;
use crate::store::log::{Batch, Draft, Durability, Log as _};
use crate::store::registry::ProcessIdentity;

/// How long a fact may take to come true. Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Looks again and again whether it is so; fails if it never is.
#[track_caller]
pub(super) fn until(mut is_so: impl FnMut() -> bool) {
    let began = SystemClock.monotonic();
    while !is_so() {
        assert!(SystemClock.monotonic().saturating_sub(began) < PATIENCE);
        std::thread::yield_now();
    }
}

/// A migrated database that a test owns. Its process has row 1.
pub(crate) struct TestDatabase {
    conn: Connection,
    folder: tempfile::TempDir,
    /// The clock that gives each transaction its time; starts at 2026-01-01 00:00:00 UTC.
    pub(crate) clock: Arc<ManualClock>,
    /// Who asks.
    pub(crate) process: ProcessId,
    /// The row of who asks.
    pub(crate) process_row: i64,
}

impl TestDatabase {
    /// A fresh one.
    pub(crate) fn new() -> TestDatabase {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("coordination.db");
        std::fs::write(&path, b"").unwrap();
        let mut conn = connect(&path, Use::Write, Duration::from_secs(5)).unwrap();
        conn.pragma_update(None, "journal_mode", "WAL").unwrap();
        migrate(&mut conn, "test").unwrap();
        let clock = Arc::new(ManualClock::new(Time(1_767_225_600_000_000), 7));
        let process = ProcessId::new(&*clock);
        TestDatabase {
            conn,
            folder,
            clock,
            process,
            process_row: 1,
        }
    }

    /// Gives its process the row that it says it has.
    pub(crate) fn join(&self) {
        let process = ProcessIdentity {
            id: self.process,
            host: "here".to_owned(),
            pid: 1,
            command: "test".to_owned(),
            started_at: self.tx().now,
            catalog_hash: 0,
            version: "0".to_owned(),
        };
        assert_eq!(self.write(Join { process }).unwrap(), self.process_row);
    }

    /// Where the file lies: for a second connection.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("coordination.db")
    }

    /// The connection itself, outside any transaction.
    pub(crate) fn conn(&self) -> &Connection {
        &self.conn
    }

    /// Runs a verb in a transaction of its own; an error rolls it back.
    pub(crate) fn write<V: Verb>(&self, verb: V) -> Result<V::Answer, Error> {
        self.conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        let result = verb.run(&self.tx());
        let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        self.conn.execute_batch(end).unwrap();
        result
    }

    /// Runs a question in a read transaction.
    pub(crate) fn read<Q: Question>(&self, question: Q) -> Result<Q::Answer, Error> {
        self.conn.execute_batch("BEGIN").unwrap();
        let result = question.run(&self.tx());
        self.conn.execute_batch("COMMIT").unwrap();
        result
    }

    /// A transaction's surroundings at the clock's present time.
    pub(crate) fn tx(&self) -> Tx<'_> {
        Tx::new(&self.conn, self.clock.now(), self.process, self.process_row)
    }

    /// An event of this process, made now.
    pub(crate) fn event(&self, event_type: &str, payload: &str) -> Event {
        Event {
            id: EventId::new(&*self.clock),
            event_type: EventType::from_canonical(event_type),
            payload: Payload::from_checked(payload),
            source: "test".to_owned(),
            key: None,
            published_at: self.clock.now(),
            trace_id: TraceId(Uuid::from_u64_pair(
                self.clock.random(),
                self.clock.random(),
            )),
            parent_id: None,
            depth: 0,
            origin: self.process,
            stage: None,
            seq: None,
        }
    }
}

/// A home in a temporary folder with one open store.
pub(crate) struct TestStore {
    /// The store.
    pub(crate) store: Arc<SqliteStore>,
    folder: tempfile::TempDir,
}

impl TestStore {
    /// A fresh one.
    pub(crate) fn new() -> TestStore {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(options_of(folder.path())).unwrap();
        TestStore { store, folder }
    }

    /// What another process would open it with.
    pub(crate) fn options(&self) -> OpenOptions {
        options_of(self.folder.path())
    }

    /// A path in the home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Appends `count` events and waits.
    pub(crate) fn append(&self, count: usize) {
        append(&self.store, count).unwrap();
    }
}

/// Appends `count` events and waits.
pub(crate) fn append(store: &SqliteStore, count: usize) -> Result<(), Error> {
    let clock = SystemClock;
    let drafts = (0..count)
        .map(|_| Draft {
            event: Arc::new(Event {
                id: EventId::new(&clock),
                event_type: EventType::from_canonical("training_completed"),
                payload: Payload::from_checked("{\"config_key\":\"square8_2p\"}"),
                source: "test".to_owned(),
                key: None,
                published_at: clock.now(),
                trace_id: TraceId(EventId::new(&clock).0),
                parent_id: None,
                depth: 0,
                origin: store.process_id(),
                stage: None,
                seq: None,
            }),
            idempotency_key: None,
            call_site: None,
        })
        .collect();
    let batch = Batch {
        drafts,
        durability: Durability::Process,
    };
    store.append(batch, None).wait().map(drop)
}

fn options_of(home: &std::path::Path) -> OpenOptions {
    let clock = Arc::new(SystemClock);
    let process = ProcessIdentity {
        id: ProcessId::new(&*clock),
        host: "test".to_owned(),
        pid: std::process::id(),
        command: "test".to_owned(),
        started_at: clock.now(),
        catalog_hash: 0,
        version: "0".to_owned(),
    };
    let mut options = OpenOptions::new(home.to_owned(), process, clock);
    options.create = true;
    options
}
