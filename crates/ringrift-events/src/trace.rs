//! Trace context: from a handler to what it publishes, across processes.
