//! `HEARTBEAT`: says each second that this process lives, and how far it is. It waits for nothing
//! but its clock: a heartbeat that waits behind work makes a healthy process look dead.

use std::sync::Arc;
use std::time::Duration;

use super::daemon::{Daemon, DaemonContext};
use super::supervisor::WeakSupervisor;
use crate::log::EventLog;
use crate::router::Router;
use crate::store::Store;
use crate::store::records::Cycle;

/// The heartbeat of one process.
pub struct Heartbeat {
    store: Arc<dyn Store>,
    router: Router,
    log: EventLog,
    every: Duration,
    supervisor: WeakSupervisor,
}

impl Heartbeat {
    /// A heartbeat for `router`'s process.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        (router, supervisor): (Router, WeakSupervisor),
        log: EventLog,
        every: Duration,
    ) -> Heartbeat {
        Heartbeat {
            store,
            router,
            log,
            every,
            supervisor,
        }
    }

    /// Shows how busy this process is and what its daemons do.
    fn show(&self) {
        let mut present = self.router.present();
        if let Some(supervisor) = self.supervisor.get() {
            let cycles = supervisor.list().into_iter().filter_map(|daemon| {
                Some(Cycle {
                    daemon: daemon.name.to_owned(),
                    at: daemon.cycle_at?,
                })
            });
            present.cycles = cycles.collect();
        }
        self.store.show(present);
    }
}

impl Daemon for Heartbeat {
    fn run(&mut self, context: &DaemonContext) -> Result<(), String> {
        loop {
            self.store
                .beat(self.router.local_stats().counters, self.router.polled_to());
            self.show();
            self.log.flush();
            context.cycle();
            if !context.wait(self.every) {
                return Ok(());
            }
        }
    }
}
