//! The supervisor: starts, restarts, gives up and stops daemons.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Error;
use super::daemon::{Daemon, DaemonContext};
use super::restarts::{RestartRules, Restarts};
use crate::clock::{SharedClock, Time};
use crate::event::bounded_by;

/// How a daemon is made and what it needs.
pub struct DaemonSpec {
    /// Its name, such as `CROSS_PROCESS_POLLER`.
    pub name: &'static str,
    /// Daemons that must run before it; they are started with it, and it is stopped before them.
    pub needs: &'static [&'static str],
    /// The system needs it for itself: nobody stops it by hand.
    pub internal: bool,
    /// Makes a fresh one for each start and restart.
    pub make: Box<dyn Fn() -> Box<dyn Daemon> + Send + Sync>,
    /// Interrupts whatever it waits for beside its context.
    pub wake: Box<dyn Fn() + Send + Sync>,
}

/// How a daemon stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It runs.
    Running,
    /// It runs, and another process does the work for now.
    Standby,
    /// It was never started, or was stopped.
    Stopped,
    /// It failed and waits to be restarted.
    Backoff,
    /// It failed for good; somebody must start it.
    Failed,
}

impl RunState {
    /// The state as it stands in `daemons.state`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Standby => "standby",
            RunState::Stopped => "stopped",
            RunState::Backoff => "backoff",
            RunState::Failed => "failed",
        }
    }
}

/// A daemon as operators see it.
#[derive(Clone, Debug, PartialEq)]
pub struct DaemonStatus {
    /// Its name.
    pub name: &'static str,
    /// How it stands.
    pub state: RunState,
    /// Who stopped it.
    pub stopped_by: Option<String>,
    /// Restarts since the process started.
    pub restarts: u32,
    /// Its last error.
    pub error: Option<String>,
    /// When it last finished a cycle.
    pub cycle_at: Option<Time>,
    /// Since when it is in this state.
    pub since: Time,
}

/// Called once when a daemon has failed for good: name and last error.
pub type OnFailed = Box<dyn Fn(&'static str, &str) + Send + Sync>;

/// The supervisor of one process. Cheap to clone.
#[derive(Clone)]
pub struct Supervisor(Arc<Inner>);

/// A supervisor as its own daemons know it: they must not keep it, or nothing would ever go.
#[derive(Clone)]
pub struct WeakSupervisor(Weak<Inner>);

impl WeakSupervisor {
    /// The supervisor, while its system stands.
    #[must_use]
    pub fn get(&self) -> Option<Supervisor> {
        self.0.upgrade().map(Supervisor)
    }
}

struct Inner {
    clock: SharedClock,
    rules: RestartRules,
    on_failed: OnFailed,
    all_restarts: Mutex<Restarts>,
    slots: Mutex<BTreeMap<&'static str, Slot>>,
    /// One start or stop at a time, so that both may be called from anywhere.
    changing: Mutex<()>,
    /// From the shutdown on nothing is started any more.
    ending: AtomicBool,
}

struct Slot {
    spec: Arc<DaemonSpec>,
    context: Option<Arc<DaemonContext>>,
    thread: Option<JoinHandle<()>>,
    status: DaemonStatus,
    recent: Restarts,
}

impl Supervisor {
    /// A supervisor without daemons.
    #[must_use]
    pub fn new(clock: SharedClock, rules: RestartRules, on_failed: OnFailed) -> Supervisor {
        Supervisor(Arc::new(Inner {
            clock,
            rules,
            on_failed,
            all_restarts: Mutex::default(),
            slots: Mutex::default(),
            changing: Mutex::new(()),
            ending: AtomicBool::new(false),
        }))
    }

    /// For those whom the supervisor itself keeps.
    #[must_use]
    pub fn downgrade(&self) -> WeakSupervisor {
        WeakSupervisor(Arc::downgrade(&self.0))
    }

    /// Makes a daemon known; it is not started.
    pub fn register(&self, spec: DaemonSpec) {
        let status = DaemonStatus {
            name: spec.name,
            state: RunState::Stopped,
            stopped_by: None,
            restarts: 0,
            error: None,
            cycle_at: None,
            since: self.0.clock.now(),
        };
        let slot = Slot {
            spec: Arc::new(spec),
            context: None,
            thread: None,
            status,
            recent: Restarts::default(),
        };
        self.0.slots().insert(slot.status.name, slot);
    }

    /// Every daemon, by name.
    #[must_use]
    pub fn list(&self) -> Vec<DaemonStatus> {
        self.0.slots().values().map(Slot::status).collect()
    }

    /// One daemon.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn status(&self, name: &str) -> Result<DaemonStatus, Error> {
        self.0
            .slots()
            .get(name)
            .map(Slot::status)
            .ok_or_else(|| self.unknown(name))
    }

    /// Starts a daemon and, before it, what it needs. It runs when this returns; starting what
    /// runs changes nothing.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::StartFailed`].
    pub fn start(&self, name: &str) -> Result<(), Error> {
        let _one = self.0.changing();
        self.start_with_needs(name)
    }

    /// Stops a daemon and, before it, what needs it. It has stopped when this returns; stopping
    /// what is stopped changes nothing.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Internal`].
    pub fn stop(&self, name: &str, by: &str) -> Result<(), Error> {
        let _one = self.0.changing();
        let spec = self.spec(name)?;
        if spec.internal {
            return Err(Error::Internal {
                name: name.to_owned(),
            });
        }
        self.stop_with_dependents(spec.name, by);
        Ok(())
    }

    /// Stops and starts a daemon.
    ///
    /// # Errors
    /// As [`Supervisor::stop`] and [`Supervisor::start`].
    pub fn restart(&self, name: &str, by: &str) -> Result<(), Error> {
        self.stop(name, by)?;
        self.start(name)
    }

    /// Stops every daemon that may be stopped by hand.
    pub fn stop_all(&self, by: &str) {
        let _one = self.0.changing();
        for name in self.names(false) {
            self.stop_with_dependents(name, by);
        }
    }

    /// Starts every daemon.
    ///
    /// # Errors
    /// The first failure; the others are started all the same.
    pub fn start_all(&self) -> Result<(), Error> {
        let _one = self.0.changing();
        let started: Vec<Result<(), Error>> = self
            .names(true)
            .into_iter()
            .map(|name| self.start_with_needs(name))
            .collect();
        started.into_iter().collect()
    }

    /// Stops everything, what the system needs for itself last.
    pub fn shutdown(&self) {
        self.0.ending.store(true, Ordering::SeqCst);
        self.stop_all("shutdown");
        // Not as the only one: the daemon that takes commands may be waiting for its turn to start
        // or stop another one, and is waited for here.
        for name in self.names(true) {
            self.stop_with_dependents(name, "shutdown");
        }
    }

    fn names(&self, internal: bool) -> Vec<&'static str> {
        let slots = self.0.slots();
        slots
            .values()
            .filter(|slot| internal || !slot.spec.internal)
            .map(|slot| slot.status.name)
            .collect()
    }

    fn spec(&self, name: &str) -> Result<Arc<DaemonSpec>, Error> {
        let found = self.0.slots().get(name).map(|slot| Arc::clone(&slot.spec));
        found.ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> Error {
        let known = self
            .0
            .slots()
            .keys()
            .map(|name| (*name).to_owned())
            .collect();
        Error::Unknown {
            name: name.to_owned(),
            known,
        }
    }

    fn start_with_needs(&self, name: &str) -> Result<(), Error> {
        let spec = self.spec(name)?;
        for need in spec.needs {
            self.start_with_needs(need)?;
        }
        let stands = self.status(spec.name)?.state;
        if matches!(stands, RunState::Running | RunState::Standby) {
            return Ok(());
        }
        self.join(spec.name);
        let failed = |why: String| Error::StartFailed {
            name: name.to_owned(),
            why,
        };
        if self.0.ending.load(Ordering::SeqCst) {
            return Err(failed("the system shuts down".to_owned()));
        }
        let mut daemon = (spec.make)();
        daemon.prepare().map_err(failed)?;
        let context = DaemonContext::new(Arc::clone(&self.0.clock));
        let inner = Arc::clone(&self.0);
        let thread = std::thread::Builder::new().name(thread_name(spec.name));
        self.0.with(spec.name, |slot| {
            slot.context = Some(Arc::clone(&context));
            slot.recent.clear();
            slot.status.stopped_by = None;
        });
        self.0.enter(spec.name, RunState::Running, None);
        let started = thread.spawn(move || inner.keep_running(&spec, &context, daemon));
        match started {
            Ok(thread) => self.0.with(name, |slot| slot.thread = Some(thread)),
            Err(error) => {
                self.0
                    .enter(name, RunState::Failed, Some(error.to_string()));
                return Err(failed(error.to_string()));
            }
        }
        Ok(())
    }

    fn stop_with_dependents(&self, name: &'static str, by: &str) {
        let dependents: Vec<&'static str> = {
            let slots = self.0.slots();
            let needs = |slot: &&Slot| slot.spec.needs.contains(&name);
            slots
                .values()
                .filter(needs)
                .map(|slot| slot.status.name)
                .collect()
        };
        for dependent in dependents {
            self.stop_with_dependents(dependent, by);
        }
        let ran = self.0.with(name, |slot| {
            if slot.thread.is_some() && slot.status.state != RunState::Stopped {
                slot.status.stopped_by = Some(bounded_by(by));
            }
            slot.thread.is_some()
        });
        if ran {
            self.join(name);
            self.0.enter(name, RunState::Stopped, None);
        }
    }

    /// Ends a daemon's thread, if it has one, and waits for it.
    fn join(&self, name: &str) {
        let (context, thread, spec) = self.0.with(name, |slot| {
            (
                slot.context.take(),
                slot.thread.take(),
                Arc::clone(&slot.spec),
            )
        });
        if let Some(context) = context {
            context.stop();
        }
        (spec.wake)();
        // A daemon's panic was caught on its own thread; there is nothing more to learn here.
        let own = thread
            .as_ref()
            .is_some_and(|thread| thread.thread().id() == std::thread::current().id());
        if let (Some(thread), false) = (thread, own) {
            drop(thread.join());
        }
    }
}

impl Inner {
    /// The body of a daemon's thread: runs it until it is stopped or has failed for good.
    fn keep_running(
        &self,
        spec: &DaemonSpec,
        context: &DaemonContext,
        mut daemon: Box<dyn Daemon>,
    ) {
        loop {
            let ended = catch_unwind(AssertUnwindSafe(|| daemon.run(context)));
            if context.is_stopping() {
                break;
            }
            let error = match ended {
                Ok(Ok(())) => "it returned although nobody had stopped it".to_owned(),
                Ok(Err(error)) => error,
                Err(panic) => format!("it panicked: {}", panic_text(&*panic)),
            };
            let Some(pause) = self.pause_before_restart(spec.name, &error) else {
                self.enter(spec.name, RunState::Failed, Some(error.clone()));
                (self.on_failed)(spec.name, &error);
                break;
            };
            self.enter(spec.name, RunState::Backoff, Some(error));
            if !context.wait(pause) {
                break;
            }
            daemon = (spec.make)();
            self.with(spec.name, |slot| slot.status.restarts += 1);
            self.enter(spec.name, RunState::Running, None);
        }
        daemon.stopped();
    }

    /// How long to wait before the next restart; `None` when there is to be none.
    fn pause_before_restart(&self, name: &'static str, error: &str) -> Option<Duration> {
        let now = self.clock.monotonic();
        let rules = &self.rules;
        let all = {
            let mut all = self
                .all_restarts
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            all.count(now, rules.breaker_window)
        };
        let own = self.with(name, |slot| slot.recent.count(now, rules.window));
        tracing::warn!(target: "ringrift", name, error, own, all, "daemon failed");
        (own <= rules.restarts && all <= rules.breaker).then(|| rules.pause(own))
    }

    fn enter(&self, name: &str, state: RunState, error: Option<String>) {
        let now = self.clock.now();
        self.with(name, |slot| {
            slot.status.state = state;
            slot.status.since = now;
            if error.is_some() {
                slot.status.error = error;
            }
        });
    }

    fn with<T>(&self, name: &str, change: impl FnOnce(&mut Slot) -> T) -> T {
        let mut slots = self.slots();
        let slot = slots.get_mut(name);
        #[expect(
            clippy::expect_used,
            reason = "callers looked the name up, and none is ever removed"
        )]
        change(slot.expect("a registered daemon"))
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<&'static str, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn status(&self) -> DaemonStatus {
        let mut status = self.status.clone();
        if let Some(context) = &self.context {
            status.cycle_at = context.last_cycle().or(status.cycle_at);
            if status.state == RunState::Running && context.is_standby() {
                status.state = RunState::Standby;
            }
        }
        status
    }
}

/// At most fifteen bytes: what the kernel shows of a thread's name.
fn thread_name(daemon: &str) -> String {
    let mut name = format!("rr-{}", daemon.to_ascii_lowercase());
    name.truncate(15);
    name
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
