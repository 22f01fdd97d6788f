//! What a program does to its own process: daemons, audit, the log's levels, bridge rules; and how the
//! home's processes stand.

use pyo3::prelude::*;
use ringrift_events::event::{EventType, Seq};
use ringrift_events::log::{Level, Part};
use ringrift_events::store::log::TypeSet;
use ringrift_events::store::registry::{DaemonState, Liveness, ProcessState};
use ringrift_events::system::System;
use serde_json::{Value, json};

use crate::core::Core;
use crate::event::RawEvent;
use crate::fault::{Fault, OrRaise as _};

/// Most events of one read of the log.
const READ_MAX: usize = 10_000;

#[pymethods]
impl Core {
    /// The daemons of this process.
    fn daemons(&self, py: Python<'_>) -> PyResult<String> {
        self.ask(py, "daemons", |system| {
            let daemons = system.daemons().list();
            let shown = daemons.iter().map(|daemon| {
                json!({
                    "name": daemon.name,
                    "state": daemon.state.as_str(),
                    "stopped_by": daemon.stopped_by,
                    "restarts": daemon.restarts,
                    "error": daemon.error,
                    "cycle_us": daemon.cycle_at.map(|time| time.0),
                    "since_us": daemon.since.0,
                })
            });
            Ok(shown.collect::<Vec<_>>())
        })
    }

    /// Starts a daemon of this process; without a name, all of them.
    fn start_daemon(&self, py: Python<'_>, name: Option<&str>) -> PyResult<()> {
        let daemons = self.system(py, "start a daemon")?.daemons();
        py.detach(|| match name {
            Some(name) => daemons.start(name),
            None => daemons.start_all(),
        })
        .or_raise(py)
    }

    /// Stops a daemon of this process; without a name, all that may be stopped by hand.
    fn stop_daemon(&self, py: Python<'_>, name: Option<&str>, by: &str) -> PyResult<()> {
        let daemons = self.system(py, "stop a daemon")?.daemons();
        py.detach(|| match name {
            Some(name) => daemons.stop(name, by),
            None => {
                daemons.stop_all(by);
                Ok(())
            }
        })
        .or_raise(py)
    }

    /// The processes of the home that live, this one first, with what they count and how their daemons
    /// stand.
    fn processes(&self, py: Python<'_>) -> PyResult<String> {
        self.ask(py, "processes", processes)
    }

    /// Switches the ring of hops on or off.
    fn set_audit(&self, py: Python<'_>, enabled: bool) -> PyResult<()> {
        let system = self.system(py, "set_audit")?;
        system.router().audit().set_enabled(enabled);
        Ok(())
    }

    /// Whether the ring of hops is on.
    fn audits(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.system(py, "audits")?.router().audit().enabled())
    }

    /// The last hops, oldest first.
    fn audit(&self, py: Python<'_>, last: usize) -> PyResult<String> {
        self.ask(py, "audit", |system| Ok(system.router().audit().last(last)))
    }

    /// Changes the level of what a part of the system writes to the log file; without a level, back to
    /// the configured one.
    fn set_log_level(&self, py: Python<'_>, part: &str, level: Option<&str>) -> PyResult<()> {
        let system = self.system(py, "set_log_level")?;
        let unknown = |what: &str| Fault::refused("USAGE", format!("{what} is unknown")).raise(py);
        let part = match part {
            "router" => Part::Router,
            "bus" => Part::Bus,
            other => return Err(unknown(&format!("the part {other:?} of the log"))),
        };
        let level = match level {
            None => system.config().settings.log.level.0,
            Some(name) => {
                Level::parse(name).ok_or_else(|| unknown(&format!("the level {name:?}")))?
            }
        };
        system.log().set_part_level(part, level);
        Ok(())
    }

    /// Says whether a type leaves this process from now on.
    fn set_bridged(&self, py: Python<'_>, name: &str, bridged: bool) -> PyResult<()> {
        let event_type = self.type_of(py, name)?;
        let system = self.system(py, "set_bridged")?;
        py.detach(|| {
            let event_type = EventType::from_canonical(&event_type);
            system.catalog().set_bridged(&event_type, bridged);
        });
        Ok(())
    }

    /// The stages of the pipeline: constant, canonical value, and the type that completing one publishes.
    fn stages(&self, py: Python<'_>) -> PyResult<Vec<(String, String, String)>> {
        let system = self.system(py, "stages")?;
        let parts = system.catalog().stages().iter().map(|stage| {
            (
                stage.constant.clone(),
                stage.value.clone(),
                stage.data_event.as_str().to_owned(),
            )
        });
        Ok(parts.collect())
    }

    /// The types of the shipped pipeline, in the order in which they must flow.
    fn pipeline(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let system = self.system(py, "pipeline")?;
        let pipeline = system.catalog().pipeline();
        let steps = pipeline.steps().iter();
        Ok(steps.map(|step| step.as_str().to_owned()).collect())
    }

    /// Which stages completed for whom, as far as this process has seen; newest first.
    fn completions(&self, py: Python<'_>) -> PyResult<String> {
        self.ask(py, "completions", |system| {
            let all = system.router().stages().all();
            let shown = all.iter().map(|one| {
                json!({
                    "stage": one.stage,
                    "key": one.key,
                    "event_id": one.event.to_string(),
                    "at_us": one.at.0,
                    "count": one.count,
                })
            });
            Ok(shown.collect::<Vec<_>>())
        })
    }

    /// Events of the log after a place, in order, and up to where was read.
    fn read_log(
        &self,
        py: Python<'_>,
        after: i64,
        types: Vec<String>,
        limit: usize,
    ) -> PyResult<(Vec<RawEvent>, i64)> {
        let names: PyResult<Vec<String>> =
            types.iter().map(|name| self.type_of(py, name)).collect();
        let mut names = names?;
        names.sort();
        names.dedup();
        let types = match names.is_empty() {
            true => TypeSet::All,
            false => TypeSet::Only(
                names
                    .iter()
                    .map(|name| EventType::from_canonical(name))
                    .collect(),
            ),
        };
        let system = self.system(py, "read_log")?;
        let read = py.detach(|| system.queue().read(Seq(after), types, limit.min(READ_MAX)));
        let (events, upto) = read.or_raise(py)?;
        Ok((events.into_iter().map(RawEvent).collect(), upto.0))
    }
}

fn processes(system: &System) -> Result<Vec<Value>, Fault> {
    let store = &**system.store();
    let own = store.process();
    let mut all = store.processes().wait()?;
    all.retain(|state| matches!(state.liveness, Liveness::Alive | Liveness::Hung));
    all.sort_by_key(|state| (state.process.id != own, state.process.started_at));
    let daemons = store.daemons().wait()?;
    Ok(all
        .iter()
        .map(|state| process(system, state, &daemons))
        .collect())
}

fn process(system: &System, state: &ProcessState, daemons: &[DaemonState]) -> Value {
    let own = state.process.id == system.store().process();
    // The page of this process is as old as its last heartbeat.
    let counters = match own {
        true => system.router().local_stats().counters,
        false => state.counters,
    };
    let of_process = daemons
        .iter()
        .filter(|daemon| daemon.process == state.process.id);
    json!({
        "id": state.process.id.to_string(),
        "host": state.process.host,
        "pid": state.process.pid,
        "command": state.process.command,
        "this": own,
        "hung": state.liveness == Liveness::Hung,
        "counters": counters,
        "daemons": of_process
            .map(|daemon| {
                let stands = json!({
                    "state": daemon.state, "stopped_by": daemon.stopped_by, "error": daemon.error,
                });
                (daemon.name.clone(), stands)
            })
            .collect::<serde_json::Map<_, _>>(),
    })
}
