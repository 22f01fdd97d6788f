//! One home and the processes that share it, all inside this one.

use std::path::Path;
use std::sync::Arc;

use ringrift_events::clock::{SharedClock, SystemClock};
use ringrift_events::config::{Config, Home, Settings};
use ringrift_events::store::memory::MemoryHub;
use ringrift_events::system::{System, this_process};

use super::swift_folder;

/// One home.
pub struct World {
    store: Backing,
    clock: SharedClock,
    folder: tempfile::TempDir,
}

enum Backing {
    Memory(MemoryHub),
    Sqlite,
}

impl World {
    /// A home in memory.
    pub fn new() -> World {
        let clock: SharedClock = Arc::new(SystemClock);
        World {
            store: Backing::Memory(MemoryHub::new(Arc::clone(&clock))),
            clock,
            folder: swift_folder(),
        }
    }

    /// A home on SQLite, in a folder that goes with it.
    pub fn sqlite() -> World {
        World {
            store: Backing::Sqlite,
            ..World::new()
        }
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self.store, Backing::Sqlite)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A further process of the same home.
    pub fn process(&self) -> System {
        self.process_with(|_| ())
    }

    /// A further process with settings of its own.
    pub fn process_with(&self, change: impl FnOnce(&mut Settings)) -> System {
        let mut config = Config::defaults(Home::at(self.folder.path()));
        change(&mut config.settings);
        let Backing::Memory(hub) = &self.store else {
            return System::open(config).expect("a system");
        };
        let store = hub.open(this_process(&*self.clock));
        System::over(config, store, Arc::clone(&self.clock)).expect("a system")
    }
}
