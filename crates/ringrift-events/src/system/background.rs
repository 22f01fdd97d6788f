//! The daemons of one process, and how they are made.

use std::sync::Arc;

use serde_json::json;

use super::System;
use crate::alerts::AlertWatch;
use crate::clock::SharedClock;
use crate::coded::Coded;
use crate::config::Settings;
use crate::daemons::{
    ALERTS, COMMANDS, CROSS_PROCESS_POLLER, Commands, CrossProcessPoller, DLQ_RETRY, Daemon,
    DaemonSpec, DeadLetterRetry, HEARTBEAT, Heartbeat, Operations, PIPELINE_WATCH, SWEEPER,
    Supervisor, Sweeper, Watcher,
};
use crate::log::{EventLog, Level};
use crate::pipeline::PipelineWatch;
use crate::router::{Publish, Router};

impl System {
    pub(super) fn register_daemons(&self) {
        let inner = &self.0;
        let settings = &inner.config.settings;
        let (store, router, log) = (&inner.store, &inner.router, &inner.log);
        let every = settings.process.heartbeat;
        let supervisor = inner.supervisor.downgrade();
        let (of_store, of_router, of_log) = (Arc::clone(store), router.clone(), log.clone());
        self.register(HEARTBEAT, true, move || {
            Box::new(Heartbeat::new(
                Arc::clone(&of_store),
                (of_router.clone(), supervisor.clone()),
                of_log.clone(),
                every,
            ))
        });
        let (of_store, of_router, of_log) = (Arc::clone(store), router.clone(), log.clone());
        self.register(CROSS_PROCESS_POLLER, false, move || {
            Box::new(CrossProcessPoller::new(
                Arc::clone(&of_store),
                of_router.clone(),
                of_log.clone(),
            ))
        });
        let (of_store, of_router, of_log) = (Arc::clone(store), router.clone(), log.clone());
        self.register(DLQ_RETRY, false, move || {
            Box::new(DeadLetterRetry::new(
                Arc::clone(&of_store),
                of_router.clone(),
                of_log.clone(),
            ))
        });
        let (of_store, of_log, rules) = (Arc::clone(store), log.clone(), settings.sweeper());
        self.register(SWEEPER, false, move || {
            Box::new(Sweeper::new(
                Arc::clone(&of_store),
                of_log.clone(),
                rules.clone(),
            ))
        });
        self.register_watches();
        let of_store = Arc::clone(store);
        let operations = Operations {
            supervisor: inner.supervisor.downgrade(),
            router: router.clone(),
            log: log.clone(),
        };
        self.register(COMMANDS, true, move || {
            Box::new(Commands::new(Arc::clone(&of_store), operations.clone()))
        });
    }

    fn register_watches(&self) {
        let inner = &self.0;
        let every = inner.config.settings.alerts.look_interval;
        let (store, log) = (Arc::clone(&inner.store), inner.log.clone());
        let (rules, clock) = (Arc::clone(&inner.alert_rules), Arc::clone(&inner.clock));
        self.register(ALERTS, false, move || {
            let watch = AlertWatch::new(Arc::clone(&rules), log.clone(), Arc::clone(&clock));
            Box::new(Watcher::new(Arc::clone(&store), log.clone(), watch, every))
        });
        let (store, log) = (Arc::clone(&inner.store), inner.log.clone());
        let (rules, pipelines) = (Arc::clone(&inner.alert_rules), inner.pipelines.clone());
        self.register(PIPELINE_WATCH, false, move || {
            let sinks = rules.sinks.iter().map(|sink| sink.name.clone()).collect();
            let watch = PipelineWatch::new(pipelines.clone(), sinks, rules.told_of_ends());
            Box::new(Watcher::new(Arc::clone(&store), log.clone(), watch, every))
        });
    }

    fn register(
        &self,
        name: &'static str,
        internal: bool,
        make: impl Fn() -> Box<dyn Daemon> + Send + Sync + 'static,
    ) {
        let store = Arc::clone(&self.0.store);
        self.0.supervisor.register(DaemonSpec {
            name,
            needs: &[],
            internal,
            make: Box::new(make),
            // Most of them wait for the doorbell.
            wake: Box::new(move || store.ring()),
        });
    }
}

pub(super) fn supervisor(
    settings: &Settings,
    clock: &SharedClock,
    router: &Router,
    log: &EventLog,
) -> Supervisor {
    let (router, log) = (router.clone(), log.clone());
    Supervisor::new(
        Arc::clone(clock),
        settings.restart_rules(),
        Box::new(move |name, error| {
            let payload = json!({"daemon": name, "error": error, "pid": std::process::id()});
            let publish = Publish::new("DAEMON_PERMANENTLY_FAILED", payload.to_string());
            // Nobody waits: a daemon's thread ends here, whatever the store says.
            if let Err(refused) = router.publish(publish.source("supervisor")).map(drop) {
                log.refused(&refused);
            }
        }),
    )
}

pub(super) fn start_daemons(supervisor: &Supervisor, log: &EventLog) {
    if let Err(error) = supervisor.start_all() {
        log.line(
            Level::Error,
            &format!("daemons did not all start code={} {error}", error.code()),
        );
    }
}
