//! `HEARTBEAT`: says each second that this process lives, and how far it is. It waits for nothing
//! but its clock: a heartbeat that waits behind work makes a healthy process look dead.

use std::sync::Arc;
use std::time::Duration;

use super::daemon::{Daemon, DaemonContext};
use crate::log::EventLog;
use crate::router::Router;
use crate::store::Store;

/// The heartbeat of one process.
pub struct Heartbeat {
    store: Arc<dyn Store>,
    router: Router,
    log: EventLog,
    every: Duration,
}

impl Heartbeat {
    /// A heartbeat for `router`'s process.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, router: Router, log: EventLog, every: Duration) -> Heartbeat {
        Heartbeat {
            store,
            router,
            log,
            every,
        }
    }
}

impl Daemon for Heartbeat {
    fn run(&mut self, context: &DaemonContext) -> Result<(), String> {
        loop {
            self.store
                .beat(self.router.local_stats().counters, self.router.polled_to());
            self.log.flush();
            context.cycle();
            if !context.wait(self.every) {
                return Ok(());
            }
        }
    }
}
