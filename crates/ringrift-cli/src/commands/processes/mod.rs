//! `ringrift processes`: who lives, and what it runs.

pub(crate) mod audit;
pub(crate) mod log_level;
pub(crate) mod ls;
pub(crate) mod restart_router;
pub(crate) mod row;
pub(crate) mod show;

use clap::{Args as ClapArgs, Subcommand};

use crate::call::Call;
use crate::failure::Done;

/// The arguments of `processes`.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List processes, live ones first
    Ls(ls::Args),
    /// Show one process: what it runs, its last deliveries, its daemons
    Show(show::Args),
    /// Set how much a running process writes into the log
    LogLevel(log_level::Args),
    /// Say whether a running process keeps the hops of its events
    Audit(audit::Args),
    /// Give the subscriptions of a process fresh loops; nothing is lost
    RestartRouter(restart_router::Args),
}

/// Runs the verb.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    match &args.verb {
        Verb::Ls(args) => ls::run(call, args),
        Verb::Show(args) => show::run(call, args),
        Verb::LogLevel(args) => log_level::run(call, args),
        Verb::Audit(args) => audit::run(call, args),
        Verb::RestartRouter(args) => restart_router::run(call, args),
    }
}
