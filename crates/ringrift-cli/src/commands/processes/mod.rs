//! `ringrift processes`: who lives, and what it runs.

pub(crate) mod ls;
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
}

/// Runs the verb.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    match &args.verb {
        Verb::Ls(args) => ls::run(call, args),
        Verb::Show(args) => show::run(call, args),
    }
}
