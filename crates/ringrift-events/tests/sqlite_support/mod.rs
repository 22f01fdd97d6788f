//! A home in a temporary folder, and events to put into its store.
#![allow(dead_code, reason = "each test file uses a part of it")]

#[path = "../support/over.rs"]
mod over;
#[path = "../support/swift.rs"]
mod swift;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringrift_events::clock::{Clock as _, SystemClock};
use ringrift_events::event::{Event, EventId, EventType, Payload, ProcessId, TraceId};
use ringrift_events::store::log::{Batch, Draft, Durability};
use ringrift_events::store::registry::ProcessIdentity;
use ringrift_events::store::sqlite::{OpenOptions, SqliteStore, database_of};

#[allow(unused_imports, reason = "each test file uses a part of it")]
pub(crate) use over::Over;

/// A home that goes with the test.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    /// A home for thousands of commits that ask nothing of a disk.
    pub(crate) fn swift() -> Home {
        Home(swift::swift_folder())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn database(&self) -> PathBuf {
        database_of(&self.0.path().canonicalize().unwrap())
    }

    pub(crate) fn options(&self) -> OpenOptions {
        options(self.path())
    }

    pub(crate) fn open(&self) -> Arc<SqliteStore> {
        SqliteStore::open(self.options()).unwrap()
    }
}

/// What a process of its own would open with.
pub(crate) fn options(home: &Path) -> OpenOptions {
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

/// An event that `store` publishes.
pub(crate) fn event(store: &SqliteStore, event_type: &str, payload: &str) -> Event {
    let clock = SystemClock;
    Event {
        id: EventId::new(&clock),
        event_type: EventType::from_canonical(event_type),
        payload: Payload::from_checked(payload),
        source: "test".to_owned(),
        key: None,
        published_at: clock.now(),
        trace_id: TraceId(EventId::new(&clock).0),
        parent_id: None,
        depth: 0,
        origin: store.process_id(),
        stage: None,
        seq: None,
    }
}

/// A batch of these, durable for processes.
pub(crate) fn batch(events: impl IntoIterator<Item = Event>) -> Batch {
    Batch {
        drafts: events
            .into_iter()
            .map(|event| Draft {
                event: Arc::new(event),
                idempotency_key: None,
                call_site: None,
            })
            .collect(),
        durability: Durability::Process,
    }
}

/// Runs Debian's own shell on the file; answers its standard output.
pub(crate) fn shell(database: &Path, sql: &str) -> Result<String, String> {
    let done = std::process::Command::new("sqlite3")
        .arg("-cmd")
        .arg(".timeout 30000")
        .arg(database)
        .arg(sql)
        .output()
        .unwrap();
    if done.status.success() {
        Ok(String::from_utf8(done.stdout).unwrap().trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&done.stderr).into_owned())
    }
}
