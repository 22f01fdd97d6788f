//! A system in memory whose time is moved by hand: what the pytest plugin is made of.

use std::path::PathBuf;
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyTimeoutError};
use pyo3::prelude::*;
use ringrift_events::catalog::filter::Filter;
use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::event::Payload;
use ringrift_events::system::{Rehearsal, RehearsalRules, Unsettled};

use crate::core::Core;
use crate::fault::{Fault, OrRaise as _};

#[pymethods]
impl Core {
    /// Opens a system in memory with the types and settings of this folder's `ringrift.toml`, if it
    /// has one. The environment has no say, so that a test is the same everywhere.
    #[staticmethod]
    fn rehearse(py: Python<'_>, home: PathBuf, settings: Vec<String>, seed: u64) -> PyResult<Core> {
        let opened = py.detach(|| -> Result<Rehearsal, Fault> {
            let config = Config::load(ConfigSources {
                home: Home::at(&home),
                variables: Vec::new(),
                flags: settings,
            })?;
            let rules = RehearsalRules {
                seed,
                ..RehearsalRules::default()
            };
            Ok(Rehearsal::open(config, rules)?)
        });
        Ok(Core::rehearsing(opened.or_raise(py)?))
    }

    /// Waits until nothing happens any more without time going on.
    fn settle(&self, py: Python<'_>) -> PyResult<()> {
        let rehearsal = self.rehearsal(py)?;
        py.detach(|| rehearsal.settle()).map_err(unsettled)
    }

    /// Moves time forward, settling at each moment at which something is due.
    fn advance(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        let rehearsal = self.rehearsal(py)?;
        let by = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        py.detach(|| rehearsal.advance(by)).map_err(unsettled)
    }

    /// Where time stands, in microseconds since 1970.
    fn now_us(&self, py: Python<'_>) -> PyResult<i64> {
        Ok(self.system(py, "now")?.clock().now().0)
    }

    /// How many handlers run now.
    fn running(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.system(py, "running")?.router().local_stats().running)
    }
}

impl Core {
    fn rehearsal(&self, py: Python<'_>) -> PyResult<&Rehearsal> {
        // First, whether this is a forked child.
        self.system(py, "moving time")?;
        self.rehearsed().ok_or_else(|| {
            PyRuntimeError::new_err("this system's time is the machine's; nobody moves it")
        })
    }
}

fn unsettled(error: Unsettled) -> PyErr {
    PyTimeoutError::new_err(error.to_string())
}

/// Whether a filter holds for a payload.
#[pyfunction]
pub(crate) fn holds(py: Python<'_>, filter: &str, payload: &[u8]) -> PyResult<bool> {
    let filter = Filter::parse(filter)
        .map_err(|error| Fault::refused("FILTER_INVALID", error.to_string()))
        .or_raise(py)?;
    // It was published, so it has passed the door.
    let text = String::from_utf8_lossy(payload);
    Ok(filter.evaluate(&Payload::from_checked(text)))
}
