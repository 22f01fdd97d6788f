//! An event as Python reads it: plain attributes, its payload as bytes.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use ringrift_events::event::Event;

/// One event. Its payload is parsed by the Python side, once somebody asks.
#[pyclass(frozen, module = "ringrift_events._native")]
pub(crate) struct RawEvent(pub(crate) Arc<Event>);

#[pymethods]
impl RawEvent {
    #[getter]
    fn id(&self) -> String {
        self.0.id.to_string()
    }

    #[getter]
    fn r#type(&self) -> &str {
        self.0.event_type.as_str()
    }

    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.payload.as_str().as_bytes())
    }

    #[getter]
    fn source(&self) -> &str {
        &self.0.source
    }

    #[getter]
    fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// Microseconds since 1970, by the publisher's clock.
    #[getter]
    fn published_us(&self) -> i64 {
        self.0.published_at.0
    }

    #[getter]
    fn trace_id(&self) -> String {
        self.0.trace_id.to_string()
    }

    #[getter]
    fn parent_id(&self) -> Option<String> {
        self.0.parent_id.map(|id| id.to_string())
    }

    #[getter]
    fn depth(&self) -> u16 {
        self.0.depth
    }

    #[getter]
    fn origin(&self) -> String {
        self.0.origin.to_string()
    }

    #[getter]
    fn stage(&self) -> Option<&str> {
        self.0.stage.as_deref()
    }

    #[getter]
    fn seq(&self) -> Option<i64> {
        self.0.seq.map(|seq| seq.0)
    }
}
