//! For unit tests of verbs: a migrated database in a folder of its own, and transactions at a
//! clock that the test moves.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use uuid::Uuid;

use super::connection::{Use, connect};
use super::migrate::migrate;
use super::verb::{Question, Tx, Verb};
use crate::clock::{Clock, ManualClock, Time};
use crate::event::{Event, EventId, EventType, Payload, ProcessId, TraceId};
use crate::store::Error;

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
        Tx {
            conn: &self.conn,
            now: self.clock.now(),
            process: self.process,
            process_row: self.process_row,
        }
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
