//! Composes the rooms: the only place that builds and wires.
//!
//! Opening a system joins the store as a process and starts the two threads that every process
//! needs, the heartbeat and the taker of commands. Poller, retry daemon, sweeper and the watches over
//! alerts and pipelines start with the first subscription, or with [`System::host_daemons`].

mod background;
mod error;
mod explain;
mod open;
mod open_store;
mod rehearsal;
mod rest;
mod stalls;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::alerts::{AlertRules, Alerts};
use crate::catalog::{Catalog, Pipeline};
use crate::clock::SharedClock;
use crate::config::Config;
use crate::daemons::Supervisor;
use crate::dead_letters::DeadLetters;
use crate::doctor;
use crate::handler::Watch;
use crate::health::{Health, HealthMonitor};
use crate::log::EventLog;
use crate::pipeline::Pipelines;
use crate::queue::CrossProcessEventQueue;
use crate::router::Router;
use crate::store::Store;

pub use error::Error;
pub use open::this_process;
pub use rehearsal::{Rehearsal, RehearsalRules, Unsettled};

/// The event system of one process. Cheap to clone; ends with [`System::shutdown`].
#[derive(Clone)]
pub struct System(Arc<Inner>);

struct Inner {
    config: Config,
    clock: SharedClock,
    store: Arc<dyn Store>,
    catalog: Catalog,
    log: EventLog,
    router: Router,
    supervisor: Supervisor,
    health: HealthMonitor,
    watch: Arc<Watch>,
    alert_rules: Arc<AlertRules>,
    pipelines: Vec<Pipeline>,
    runtime: Mutex<Option<Runtime>>,
}

impl System {
    /// Starts poller, retry daemon, sweeper and watches, as a process that only hosts them does.
    ///
    /// # Errors
    /// The first that did not start.
    pub fn host_daemons(&self) -> Result<(), Error> {
        Ok(self.0.supervisor.start_all()?)
    }

    /// The one door.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.0.router
    }

    /// The daemons of this process.
    #[must_use]
    pub fn daemons(&self) -> &Supervisor {
        &self.0.supervisor
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// Every known type.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    /// The settings and their origins.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The log file.
    #[must_use]
    pub fn log(&self) -> &EventLog {
        &self.0.log
    }

    /// Time and randomness.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.0.clock
    }

    /// The dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> DeadLetters {
        DeadLetters::new(Arc::clone(&self.0.store))
    }

    /// The queue between processes.
    #[must_use]
    pub fn queue(&self) -> &CrossProcessEventQueue {
        self.0.router.queue()
    }

    /// The watch over handlers that hold a thread: told from outside where a loop of another
    /// language is held.
    #[must_use]
    pub fn watch(&self) -> &Arc<Watch> {
        &self.0.watch
    }

    /// The alerts: what was raised, the rules, the sinks, silences.
    #[must_use]
    pub fn alerts(&self) -> Alerts {
        Alerts::new(
            Arc::clone(&self.0.store),
            Arc::clone(&self.0.alert_rules),
            self.0.log.clone(),
            Arc::clone(&self.0.clock),
        )
    }

    /// The pipelines: whether every step came, and what stands still.
    #[must_use]
    pub fn pipelines(&self) -> Pipelines {
        Pipelines::new(Arc::clone(&self.0.store), self.0.pipelines.clone())
    }

    /// How well the system is. Blocks for a few reads.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0
            .health
            .look(&*self.0.store, &self.0.router, &self.0.supervisor)
    }

    /// What is wrong with the whole home, worst first, looking `back` from now. Blocks for a few
    /// reads, each bounded.
    ///
    /// # Errors
    /// The store's.
    pub fn doctor(&self, back: Duration) -> Result<doctor::Report, crate::store::Error> {
        let now = self.0.clock.now();
        let ask = self
            .0
            .config
            .examination(self.catalog(), now, now.before(back));
        doctor::Report::of(&*self.0.store, &self.0.catalog, &ask)
    }

    /// Ends the system in this process: daemons stop, what runs has `grace` to finish, the rest is
    /// handed back, the store is closed. Blocks at most a little longer than `grace`; idempotent. In
    /// a child of `fork()` it does nothing: the system is its parent's.
    pub fn shutdown(&self, grace: Duration) {
        self.0.shutdown(grace);
    }

    /// The same with the configured grace.
    pub fn close(&self) {
        self.shutdown(self.0.config.settings.process.shutdown_grace);
    }
}

impl Inner {
    fn shutdown(&self, grace: Duration) {
        if self.router.is_forked() {
            return;
        }
        self.router.shutdown(grace);
        self.supervisor.shutdown();
        self.watch.stop();
        let runtime = self
            .runtime
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(runtime) = runtime {
            // A blocking handler that does not end must not hold the process.
            runtime.shutdown_background();
        }
        // What was counted since the last heartbeat; a short process has had none.
        let counters = self.router.local_stats().counters;
        self.store.beat(counters, self.router.polled_to());
        self.store.close();
        self.log.flush();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Whoever forgot to shut down: daemons that went on would claim to live, and keep what
        // nobody runs any more.
        self.shutdown(Duration::ZERO);
        if self.router.is_forked() {
            // Its end would wait for the parent's threads.
            let runtime = self.runtime.get_mut();
            std::mem::forget(runtime.unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}
