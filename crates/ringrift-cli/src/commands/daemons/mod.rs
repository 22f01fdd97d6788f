//! `ringrift daemons`: the supervised background tasks of every process.

pub(crate) mod ask;
pub(crate) mod ls;
pub(crate) mod row;

use clap::{Args as ClapArgs, Subcommand};

use crate::call::Call;
use crate::failure::Done;

/// The arguments of `daemons`.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List daemons and how they stand
    Ls(ls::Args),
    /// Stop a daemon; it stays stopped until it is started
    Stop(ask::Args),
    /// Start a stopped or failed daemon
    Start(ask::Args),
    /// Stop a daemon and start it again
    Restart(ask::Args),
}

/// Runs the verb.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    match &args.verb {
        Verb::Ls(args) => ls::run(call, args),
        Verb::Stop(args) => ask::run(call, args, ask::Act::Stop),
        Verb::Start(args) => ask::run(call, args, ask::Act::Start),
        Verb::Restart(args) => ask::run(call, args, ask::Act::Restart),
    }
}
