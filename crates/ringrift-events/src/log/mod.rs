//! The log file that operators grep: `logs/coordination.log`.
//!
//! It promises whole lines, whoever writes beside it; that the first line of a kind, type and
//! second is always there; and that a storm of events becomes one counted line. Its phrases are a
//! contract: scripts grep them.
//!
//! It is written on the thread that calls. A database thread never calls it: that thread has a
//! descriptor table of its own.

mod bound;
mod event_log;
mod file;
mod phrases;

pub use event_log::{EventLog, Level, Part};
pub use file::{LOG_BYTES_MAX, LOG_FILES_MAX, LogFile};
