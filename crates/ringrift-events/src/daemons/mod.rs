//! Supervised background tasks of a process.
//!
//! A daemon is a named thread with a loop. The supervisor starts it, restarts it with growing
//! pauses when it fails, gives it up loudly when that does not help, and stops it so that it has
//! stopped when the call returns. Nothing here is global: each system has a supervisor of its own.
//!
//! Daemons are threads and not tasks, since most of them wait for the store's doorbell or for a
//! transaction, and since a handler that blocks the runtime must not stop them.

mod commands;
mod daemon;
mod dead_letter_retry;
mod error;
mod heartbeat;
mod poller;
mod restarts;
mod supervisor;
mod sweeper;
mod watcher;

pub use commands::{Commands, Operations};
pub use daemon::{Daemon, DaemonContext};
pub use dead_letter_retry::DeadLetterRetry;
pub use error::Error;
pub use heartbeat::Heartbeat;
pub use poller::CrossProcessPoller;
pub use restarts::RestartRules;
pub use supervisor::{DaemonSpec, DaemonStatus, OnFailed, RunState, Supervisor, WeakSupervisor};
pub use sweeper::{Sweeper, SweeperRules};
pub use watcher::{Findings, Watch, Watcher};

/// Reads what other processes published, and lets durable subscriptions claim.
pub const CROSS_PROCESS_POLLER: &str = "CROSS_PROCESS_POLLER";
/// Retries dead letters of handlers that this process hosts.
pub const DLQ_RETRY: &str = "DLQ_RETRY";
/// Takes over from dead processes and applies retention; one process of the home hosts it.
pub const SWEEPER: &str = "SWEEPER";
/// Raises alerts by rules and sends them; one process of the home hosts it.
pub const ALERTS: &str = "ALERTS";
/// Finds pipelines that stand still; one process of the home hosts it.
pub const PIPELINE_WATCH: &str = "PIPELINE_WATCH";
/// Beats for this process; it cannot be stopped by hand.
pub const HEARTBEAT: &str = "HEARTBEAT";
/// Takes this process's commands; it cannot be stopped by hand.
pub const COMMANDS: &str = "COMMANDS";
