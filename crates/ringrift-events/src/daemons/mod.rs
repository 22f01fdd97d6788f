//! Supervised background tasks of a process.
