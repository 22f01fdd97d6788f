//! The system of this process, as the Python package holds it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use ringrift_events::config::{Config, ConfigSources, HOME_VARIABLE, Home};
use ringrift_events::event::{EventId, TraceId};
use ringrift_events::router::Publish;
use ringrift_events::store::log::CallSite;
use ringrift_events::system::{Rehearsal, System};
use ringrift_events::trace;
use uuid::Uuid;

use crate::fault::{Fault, OrRaise as _};
use crate::inbox::Bell;
use crate::loops::Loops;
use crate::publishing::{self, Publishing, ReceiptParts};
use crate::subscribe::{self, Asked, Subscription};
use crate::watchdog::Watchdog;

/// An open system. It ends with `close`; a child of `fork()` may do nothing with it.
#[pyclass(frozen, module = "ringrift_events._native")]
pub(crate) struct Core {
    /// `None` only while it is dropped.
    system: Option<System>,
    /// What moves its time, if that is moved by hand.
    rehearsal: Option<Rehearsal>,
    /// Which system of this process it is.
    number: u64,
    watchdog: Mutex<Option<Watchdog>>,
    /// Which of its subscriptions run on which loop.
    loops: Arc<Loops>,
    pid: u32,
}

/// Which system of this process the next one is.
fn next_number() -> u64 {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

impl Core {
    /// One over a system whose time is moved by hand.
    pub(crate) fn rehearsing(rehearsal: Rehearsal) -> Core {
        Core {
            system: Some(rehearsal.system().clone()),
            rehearsal: Some(rehearsal),
            number: next_number(),
            // By such a clock every loop would seem to be held.
            watchdog: Mutex::new(None),
            loops: Arc::default(),
            pid: std::process::id(),
        }
    }

    /// What moves its time, if that is moved by hand.
    pub(crate) fn rehearsed(&self) -> Option<&Rehearsal> {
        self.rehearsal.as_ref()
    }

    /// The system, unless this is a forked child.
    pub(crate) fn system(&self, py: Python<'_>, attempted: &str) -> PyResult<&System> {
        match &self.system {
            Some(system) if self.pid == std::process::id() => Ok(system),
            Some(_) | None => Err(Fault::forked(attempted).raise(py)),
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let system = (self.system.take(), self.rehearsal.take());
        let watchdog = std::mem::take(&mut self.watchdog);
        if self.pid != std::process::id() {
            // The child has none of the threads that an end would wait for, nor those that may have
            // held a lock when it came to be.
            std::mem::forget((system, watchdog));
            return;
        }
        // A handler that ends meanwhile needs the interpreter's lock.
        Python::try_attach(|py| {
            py.detach(|| {
                drop(watchdog);
                self.loops.clear();
                drop(system);
            });
        });
    }
}

/// One event as Python publishes it.
#[derive(FromPyObject)]
pub(crate) struct Given(
    /// Type.
    String,
    /// Payload.
    PyBackedBytes,
    /// Source.
    Option<String>,
    /// Key.
    Option<String>,
    /// Idempotency key.
    Option<String>,
    /// Id.
    Option<String>,
    /// Trace id, parent and depth.
    Option<(String, Option<String>, u16)>,
    /// Seconds to wait for handlers: none at all, or negative for the configured time.
    Option<f64>,
    /// File and line.
    String,
    u32,
);

fn event_id(text: &str) -> Result<EventId, Fault> {
    Uuid::parse_str(text).map(EventId).map_err(|_| {
        Fault::refused(
            "PUB_REJECTED",
            format!("publish refused: its id {text:?} is no UUID"),
        )
    })
}

fn draft(given: Given) -> Result<Publish, Fault> {
    let Given(name, payload, source, key, idempotency_key, id, context, wait, file, line) = given;
    let mut publish = Publish::new(name, &*payload).call_site(CallSite::new(&file, line));
    if let Some(source) = source {
        publish = publish.source(source);
    }
    if let Some(key) = key {
        publish = publish.key(key);
    }
    if let Some(key) = idempotency_key {
        publish = publish.idempotency_key(key);
    }
    if let Some(id) = id {
        publish = publish.id(event_id(&id)?);
    }
    if let Some((trace_id, parent, depth)) = context {
        let trace_id = Uuid::parse_str(&trace_id).map(TraceId).map_err(|_| {
            Fault::refused(
                "PUB_REJECTED",
                format!("publish refused: its trace id {trace_id:?} is no trace id"),
            )
        })?;
        publish = publish.context(trace::Context {
            trace_id,
            parent: parent.as_deref().map(event_id).transpose()?,
            depth,
        });
    }
    Ok(match wait {
        None => publish,
        Some(seconds) => match Duration::try_from_secs_f64(seconds) {
            Ok(at_most) => publish.wait_handlers(at_most),
            Err(_) => publish.wait_for_handlers(),
        },
    })
}

#[pymethods]
impl Core {
    /// Opens the system of a home, which is made if there is none; `settings` are `NAME=VALUE`.
    #[staticmethod]
    #[pyo3(signature = (home, settings, loop_held_seconds))]
    fn open(
        py: Python<'_>,
        home: Option<PathBuf>,
        settings: Vec<String>,
        loop_held_seconds: f64,
    ) -> PyResult<Core> {
        let opened = py.detach(|| -> Result<System, Fault> {
            let home = match home {
                // A home that a program names is made; one that the environment names must be there.
                Some(home) => Home::at(&home),
                None => {
                    let current = std::env::current_dir().map_err(|error| {
                        let message = format!("cannot tell the current folder: {error}");
                        Fault::refused("FILE_FAILED", message)
                    })?;
                    let variable = std::env::var_os(HOME_VARIABLE).map(PathBuf::from);
                    Home::find(None, variable.as_deref(), &current)?
                }
            };
            let mut sources = ConfigSources::of_process(home);
            sources.flags = settings;
            Ok(System::open(Config::load(sources)?)?)
        });
        let system = opened.or_raise(py)?;
        let number = next_number();
        let limit = Duration::try_from_secs_f64(loop_held_seconds)
            .ok()
            .filter(|limit| !limit.is_zero());
        let loops = Arc::default();
        let watch = Arc::clone(system.watch());
        let clock = Arc::clone(system.clock());
        let watchdog = Watchdog::start(number, (watch, clock), Arc::clone(&loops), limit)?;
        Ok(Core {
            system: Some(system),
            rehearsal: None,
            number,
            watchdog: Mutex::new(Some(watchdog)),
            loops,
            pid: std::process::id(),
        })
    }

    #[getter]
    fn home(&self, py: Python<'_>) -> PyResult<String> {
        let system = self.system(py, "home")?;
        Ok(system.config().home.root().display().to_string())
    }

    /// The id of this process in the store.
    #[getter]
    fn process(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.system(py, "process")?.store().process().to_string())
    }

    /// Publishes one event; it takes effect before this returns.
    fn publish(&self, py: Python<'_>, given: Given) -> PyResult<Publishing> {
        let system = self.system(py, "publish")?;
        let publish = draft(given).or_raise(py)?;
        let router = system.router();
        let publishing = py.detach(|| router.publish(publish)).or_raise(py)?;
        Ok(Publishing::new(publishing, router.runtime(), self.pid))
    }

    /// The same, waiting on this thread for room and for the receipt.
    fn publish_blocking(&self, py: Python<'_>, given: Given) -> PyResult<ReceiptParts> {
        let system = self.system(py, "publish")?;
        let publish = draft(given).or_raise(py)?;
        let router = system.router();
        let receipt = py
            .detach(|| router.publish_blocking(publish))
            .or_raise(py)?;
        Ok(publishing::parts(&receipt))
    }

    /// Subscribes the function of this number: on this loop, else on a thread of its own.
    fn subscribe(
        &self,
        py: Python<'_>,
        bell: Option<PyRef<'_, Bell>>,
        callee: u64,
        asked: Asked,
    ) -> PyResult<Subscription> {
        let system = self.system(py, "subscribe")?;
        let policy = system.config().settings.router().policy;
        let function = subscribe::function(bell.as_deref(), self.number, callee);
        let on = (&self.loops, bell.as_deref());
        asked.make(py, system.router(), policy, function, on)
    }

    /// Has every event of a subscription told to this loop under a number.
    fn tell(
        &self,
        py: Python<'_>,
        bell: PyRef<'_, Bell>,
        number: u64,
        asked: Asked,
    ) -> PyResult<Subscription> {
        let system = self.system(py, "expect")?;
        let policy = system.config().settings.router().policy;
        let function = subscribe::telling(&bell, number);
        let on = (&self.loops, Some(&*bell));
        asked.make(py, system.router(), policy, function, on)
    }

    /// Ends the system in this process: what runs has this many seconds, or the configured grace.
    fn close(&self, py: Python<'_>, grace: Option<f64>) -> PyResult<()> {
        let system = self.system(py, "close")?;
        let grace = grace.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
        let watchdog = self
            .watchdog
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        py.detach(|| {
            match grace {
                Some(grace) => system.shutdown(grace),
                None => system.close(),
            }
            drop(watchdog);
            self.loops.clear();
        });
        Ok(())
    }
}
