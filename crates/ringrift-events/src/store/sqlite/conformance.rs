//! The suite that every store passes, on SQLite: several processes of one home as several handles
//! in this one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::testing::swift::swift_folder;
use super::{OpenOptions, SqliteStore};
use crate::clock::{ManualClock, SharedClock, Time};
use crate::event::ProcessId;
use crate::store::Store;
use crate::store::conformance::{Harness, run};
use crate::store::registry::{ProcessIdentity, Registry as _};

const LEASE: Duration = Duration::from_secs(30);

pub(super) struct OnSqlite {
    clock: Arc<ManualClock>,
    opened: Mutex<Vec<Arc<SqliteStore>>>,
    home: tempfile::TempDir,
}

impl OnSqlite {
    pub(super) fn new() -> OnSqlite {
        OnSqlite {
            clock: Arc::new(ManualClock::new(Time(1_767_225_600_000_000), 11)),
            opened: Mutex::default(),
            home: swift_folder(),
        }
    }

    fn each(&self, act: impl Fn(&SqliteStore)) {
        self.opened
            .lock()
            .unwrap()
            .iter()
            .for_each(|store| act(store));
    }
}

impl Harness for OnSqlite {
    fn clock(&self) -> &Arc<ManualClock> {
        &self.clock
    }

    fn open(&self) -> Arc<dyn Store> {
        let clock: SharedClock = self.clock.clone();
        let process = ProcessIdentity {
            id: ProcessId::new(&*self.clock),
            host: "here".to_owned(),
            pid: std::process::id(),
            command: "test".to_owned(),
            started_at: Time(0),
            catalog_hash: 0,
            version: "0".to_owned(),
        };
        let mut options =
            OpenOptions::new(self.home.path().to_owned(), process, clock).with_lease(LEASE);
        options.create = true;
        let store = SqliteStore::open(options).unwrap();
        self.opened.lock().unwrap().push(Arc::clone(&store));
        store
    }

    fn kill(&self, process: &Arc<dyn Store>) {
        let id = process.process();
        self.each(|store| {
            if store.process() == id {
                store.presence.die();
            }
        });
    }

    fn hang(&self, process: &Arc<dyn Store>) {
        self.clock.advance(LEASE + Duration::from_secs(1));
        let id = process.process();
        self.each(|store| {
            if store.process() != id {
                store.presence.touch();
            }
        });
    }
}

#[test]
fn sqlite_keeps_every_promise() {
    let only = std::env::var("PROMISE").unwrap_or_default();
    let broken = run(&only, OnSqlite::new);
    assert!(broken.is_empty(), "{}: {broken:#?}", broken.len());
}
