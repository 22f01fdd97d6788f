//! `COMMANDS`: does what other processes ask of this one, and tells how its daemons stand.

use std::sync::Arc;
use std::time::Duration;

use super::daemon::{Daemon, DaemonContext};
use super::supervisor::{DaemonStatus, Supervisor, WeakSupervisor};
use crate::log::{EventLog, Level};
use crate::router::Router;
use crate::store::registry::{Command, DaemonState};
use crate::store::{Error, Store};

/// A process takes its commands within this time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a restart of the router waits for what runs: whoever asked waits little longer.
const RESTART_PATIENCE: Duration = Duration::from_secs(2);

/// How often counts that only this process has are saved for others.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// What commands can do here.
#[derive(Clone)]
pub struct Operations {
    /// Daemons are stopped and started here.
    pub supervisor: WeakSupervisor,
    /// Audit and subscriptions.
    pub router: Router,
    /// The log's level.
    pub log: EventLog,
}

/// The taker of commands of one process.
pub struct Commands {
    store: Arc<dyn Store>,
    operations: Operations,
    reported: Vec<DaemonState>,
}

impl Commands {
    /// Takes the commands of `store`'s process.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, operations: Operations) -> Commands {
        Commands {
            store,
            operations,
            reported: Vec::new(),
        }
    }

    /// Tells the store how daemons stand, if that changed; cycles alone are no change, or an idle
    /// home would commit each second.
    fn report(&mut self) -> Result<(), Error> {
        let Some(supervisor) = self.operations.supervisor.get() else {
            return Ok(());
        };
        let process = self.store.process();
        let states: Vec<DaemonState> = supervisor
            .list()
            .into_iter()
            .map(|status| state_of(process, status))
            .collect();
        let still = |state: &DaemonState| DaemonState {
            cycle_at: None,
            ..state.clone()
        };
        if states.iter().map(still).eq(self.reported.iter().map(still)) {
            return Ok(());
        }
        self.store.report_daemons(states.clone()).wait()?;
        self.reported = states;
        Ok(())
    }

    fn take(&self) -> Result<(), Error> {
        for command in self.store.take_commands().wait()? {
            let result = match self.operations.obey(&command) {
                Ok(done) => format!("ok {done}"),
                Err(refused) => format!("error {refused}"),
            };
            self.store.answer(command.id, result).wait()?;
            self.store.ring();
        }
        Ok(())
    }
}

impl Daemon for Commands {
    fn run(&mut self, context: &DaemonContext) -> Result<(), String> {
        let mut seen = 0;
        let mut saved_at = context.clock.monotonic();
        while !context.is_stopping() {
            let now = context.clock.monotonic();
            let mut done = self.take().and_then(|()| self.report());
            if now.saturating_sub(saved_at) >= SAVE_EVERY {
                saved_at = now;
                done = done.and_then(|()| self.operations.router.save_counts());
            }
            if let Err(error) = done {
                self.operations.log.store_failed("taking commands", &error);
                if !error.is_retryable() && !context.wait(LOOK_EVERY) {
                    break;
                }
            }
            context.cycle();
            let news = self.store.wait_for_news(seen, LOOK_EVERY);
            let rang = std::mem::replace(&mut seen, news) != news;
            // A busy log rings at every commit; commands need no such haste.
            if rang && !context.wait(LOOK_EVERY / 10) {
                break;
            }
        }
        Ok(())
    }

    fn stopped(&mut self) {
        if let Err(error) = self
            .report()
            .and_then(|()| self.operations.router.save_counts())
        {
            self.operations
                .log
                .store_failed("saving this process's last counts", &error);
        }
    }
}

impl Operations {
    /// Does one command; the answer is for the operator who asked.
    fn obey(&self, command: &Command) -> Result<String, String> {
        let args: serde_json::Value = serde_json::from_str(&command.args).unwrap_or_default();
        let text = |name: &str| {
            let value = args.get(name).and_then(serde_json::Value::as_str);
            value
                .map(str::to_owned)
                .ok_or_else(|| format!("argument {name} is missing"))
        };
        let supervisor = self.supervisor.get().ok_or("the process ends")?;
        let words = |error: super::Error| error.to_string();
        match command.verb.as_str() {
            "daemon.stop" => {
                let name = text("name")?;
                supervisor.stop(&name, &command.by).map_err(words)?;
                Ok(format!("{name} stopped"))
            }
            "daemon.start" => {
                let name = text("name")?;
                supervisor.start(&name).map_err(words)?;
                Ok(format!("{name} started"))
            }
            "daemon.restart" => {
                let name = text("name")?;
                supervisor.restart(&name, &command.by).map_err(words)?;
                Ok(format!("{name} restarted"))
            }
            "daemon.stop_all" => {
                supervisor.stop_all(&command.by);
                Ok("all daemons stopped".to_owned())
            }
            "daemon.start_all" => {
                supervisor.start_all().map_err(words)?;
                Ok("all daemons started".to_owned())
            }
            "log.level" => {
                let level = text("level")?;
                let parsed = Level::parse(&level)
                    .ok_or_else(|| format!("{level} is no level; debug, info, warn, error are"))?;
                self.log.set_level(parsed);
                Ok(format!("log level {level}"))
            }
            "audit" => {
                let on = args
                    .get("on")
                    .and_then(serde_json::Value::as_bool)
                    .unwrap_or(true);
                self.router.audit().set_enabled(on);
                Ok(format!("audit {}", if on { "on" } else { "off" }))
            }
            "router.restart" => self.restart_router(&supervisor, &command.by).map_err(words),
            "handlers.resubscribe" => self.resubscribe(&supervisor, &command.by).map_err(words),
            "dedup.reset" => {
                let name = text("handler")?;
                let key = args.get("key").and_then(serde_json::Value::as_str);
                let cleared = self
                    .router
                    .reset_dedup(&name, key)
                    .ok_or_else(|| format!("no live handler {name} with dedup in this process"))?;
                Ok(format!("{cleared} keys forgotten"))
            }
            other => Err(format!("unknown command {other}")),
        }
    }

    /// Restarts the daemons that carry events, then every subscription that runs nothing now.
    fn restart_router(&self, supervisor: &Supervisor, by: &str) -> Result<String, super::Error> {
        for name in [super::CROSS_PROCESS_POLLER, super::DLQ_RETRY] {
            // One that somebody stopped stays stopped.
            if supervisor.status(name)?.stopped_by.is_none() {
                supervisor.restart(name, by)?;
            }
        }
        let done = self.router.restart(RESTART_PATIENCE);
        let said = match done.restarted.len() {
            1 => "1 subscription restarted".to_owned(),
            many => format!("{many} subscriptions restarted"),
        };
        Ok(with_busy(said, &done.busy))
    }

    /// Stops every daemon, gives every subscription a fresh loop and starts every daemon, one that
    /// somebody stopped too.
    fn resubscribe(&self, supervisor: &Supervisor, by: &str) -> Result<String, super::Error> {
        supervisor.stop_all(by);
        let done = self.router.restart(RESTART_PATIENCE);
        supervisor.start_all()?;
        let said = match done.restarted.is_empty() {
            true => "no handler resubscribed".to_owned(),
            false => format!("resubscribed {}", done.restarted.join(", ")),
        };
        Ok(with_busy(said, &done.busy))
    }
}

/// Adds those that were left as they are.
fn with_busy(mut said: String, busy: &[String]) -> String {
    if !busy.is_empty() {
        let busy = busy.join(", ");
        said.push_str(&format!("; {busy} run something and go on as they are"));
    }
    said
}

fn state_of(process: crate::event::ProcessId, status: DaemonStatus) -> DaemonState {
    DaemonState {
        process,
        name: status.name.to_owned(),
        state: status.state.as_str().to_owned(),
        stopped_by: status.stopped_by,
        restarts: status.restarts,
        error: status.error,
        cycle_at: status.cycle_at,
        since: status.since,
    }
}
