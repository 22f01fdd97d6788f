//! Opening a system over the SQLite store of a home.

use std::sync::Arc;

use super::{Error, System, this_process};
use crate::clock::{SharedClock, SystemClock};
use crate::config::{Config, Home};
use crate::store::sqlite::{OpenOptions, SqliteStore};

impl System {
    /// Opens the system of `config`'s home, which is made if there is none. Blocks for a few
    /// transactions.
    ///
    /// # Errors
    /// The store's refusals and the configuration's; nothing runs then.
    pub fn open(mut config: Config) -> Result<System, Error> {
        let clock: SharedClock = Arc::new(SystemClock);
        config.home = Home::create(config.home.root())?.home;
        let home = config.home.root().to_path_buf();
        let options = OpenOptions::new(home, this_process(&*clock), Arc::clone(&clock));
        let mut options = config.settings.store_options(options);
        options.create = true;
        let log = config.settings.event_log(&config.home, Arc::clone(&clock));
        let said = log.clone();
        let store = SqliteStore::open_and_say(
            options,
            Box::new(move |act, text| said.store_says(act, text)),
        )?;
        System::assemble(config, store, clock, log)
    }
}
