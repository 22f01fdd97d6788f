//! `ringrift daemons`: the supervised background tasks of every process.

pub(crate) mod act;
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
    Stop(act::Args),
    /// Start a stopped or failed daemon
    Start(act::Args),
    /// Stop a daemon and start it again
    Restart(act::Args),
}

/// Runs the verb.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    match &args.verb {
        Verb::Ls(args) => ls::run(call, args),
        Verb::Stop(args) => act::run(call, args, act::Act::Stop),
        Verb::Start(args) => act::run(call, args, act::Act::Start),
        Verb::Restart(args) => act::run(call, args, act::Act::Restart),
    }
}
