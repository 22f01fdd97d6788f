//! Opening: store, catalog, runtime, router, daemons, in this order.

use std::sync::{Arc, Mutex};

use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::background::{start_daemons, supervisor};
use super::stalls::watch;
use super::{Error, Inner, System};
use crate::audit::Audit;
use crate::catalog::Catalog;
use crate::clock::{Clock, SharedClock};
use crate::coded::command_line;
use crate::config::{Config, Settings};
use crate::daemons::{COMMANDS, HEARTBEAT};
use crate::event::ProcessId;
use crate::handler::{self, StoreObserver, Vitals};
use crate::health::HealthMonitor;
use crate::log::EventLog;
use crate::router::{Parts, Router};
use crate::store::Store;
use crate::store::registry::{DeclaredType, ProcessIdentity};

impl System {
    /// A system over a store that is open already: for tests in memory, with a clock of their own.
    ///
    /// # Errors
    /// As [`System::open`].
    pub fn over(
        config: Config,
        store: Arc<dyn Store>,
        clock: SharedClock,
    ) -> Result<System, Error> {
        let log = EventLog::silent(Arc::clone(&clock));
        System::assemble(config, store, clock, log)
    }

    pub(super) fn assemble(
        config: Config,
        store: Arc<dyn Store>,
        clock: SharedClock,
        log: EventLog,
    ) -> Result<System, Error> {
        let settings = &config.settings;
        let catalog = Catalog::ringrift();
        config.declare_types(&catalog)?;
        share_types(&catalog, &*store)?;
        let alert_rules = Arc::new(config.alert_rules(&catalog)?);
        let pipelines = config.pipelines(&catalog)?;
        let runtime = runtime(settings)?;
        let watch = watch(settings, &log, &clock, &store);
        let handler_host = Arc::new(handler::Host {
            clock: Arc::clone(&clock),
            runtime: runtime.handle().clone(),
            in_flight: Arc::new(Semaphore::new(settings.handler.in_flight_max)),
            observer: Arc::new(StoreObserver(Arc::clone(&store))),
            watch: Arc::clone(&watch),
            vitals: Arc::new(Vitals::new(
                Arc::clone(&clock),
                Some(config.home.root().to_owned()),
            )),
            dedup_keys_max: settings.handler.dedup_keys_max,
        });
        let router = Router::new(Parts {
            store: Arc::clone(&store),
            catalog: catalog.clone(),
            clock: Arc::clone(&clock),
            log: log.clone(),
            audit: Audit::new(),
            handler_host,
            settings: settings.router(),
        });
        let supervisor = supervisor(settings, &clock, &router, &log);
        let system = System(Arc::new(Inner {
            health: HealthMonitor::new(Arc::clone(&clock), settings.health_rules()),
            clock,
            store,
            catalog,
            log,
            router,
            supervisor,
            watch,
            alert_rules,
            pipelines,
            runtime: Mutex::new(Some(runtime)),
            config,
        }));
        system.register_daemons();
        system.start_own()?;
        Ok(system)
    }

    fn start_own(&self) -> Result<(), Error> {
        let inner = &self.0;
        // By a clock that is moved by hand, every handler would seem to hold its thread for hours.
        if inner.clock.timers().is_none() {
            inner
                .watch
                .start(Some(inner.router.runtime()))
                .map_err(|error| Error::Runtime(error.to_string()))?;
        }
        inner.supervisor.start(HEARTBEAT)?;
        inner.supervisor.start(COMMANDS)?;
        let (supervisor, log) = (inner.supervisor.downgrade(), inner.log.clone());
        let once = std::sync::Once::new();
        inner.router.on_subscription(move || {
            once.call_once(|| {
                if let Some(supervisor) = supervisor.get() {
                    start_daemons(&supervisor, &log);
                }
            });
        });
        Ok(())
    }
}

/// What this program says of itself.
#[must_use]
pub fn this_process(clock: &dyn Clock) -> ProcessIdentity {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    // As a shell takes it: doctor shows it as what starts a handler again.
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let mut command = command_line(words);
    command.truncate(command.floor_char_boundary(COMMAND_BYTES_MAX));
    ProcessIdentity {
        id: ProcessId::new(clock),
        host,
        pid: std::process::id(),
        command,
        started_at: clock.now(),
        catalog_hash: Catalog::ringrift().hash(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Bytes kept of a command line.
const COMMAND_BYTES_MAX: usize = 1 << 10;

/// Threads that run async handlers: one that blocks must leave room for the others even where
/// there are few cores.
const HANDLER_THREADS_MIN: usize = 4;

fn runtime(settings: &Settings) -> Result<Runtime, Error> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.max(HANDLER_THREADS_MIN))
        .max_blocking_threads(settings.handler.in_flight_max.max(1))
        .thread_name("rr-handler")
        .enable_all()
        .build()
        .map_err(|error| Error::Runtime(error.to_string()))
}

/// Tells the store's catalog what this home's users declared, and learns what others did.
fn share_types(catalog: &Catalog, store: &dyn Store) -> Result<(), Error> {
    for declared in store.declared_types().wait()? {
        catalog.learn(&declared.value, &declared.declaration)?;
    }
    let own: Vec<DeclaredType> = catalog
        .declared()
        .into_iter()
        .map(|(value, declaration)| DeclaredType { value, declaration })
        .collect();
    if !own.is_empty() {
        store.declare_types(own).wait()?;
    }
    store.keep_catalog(catalog.hash(), catalog.text()).wait()?;
    Ok(())
}
