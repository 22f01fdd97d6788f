//! `ringrift events`: what is in the log, and what became of one event.

pub(crate) mod ls;
pub(crate) mod row;
pub(crate) mod show;

use clap::{Args as ClapArgs, Subcommand};

use crate::call::Call;
use crate::failure::Done;

/// The arguments of `events`.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List events, newest first
    Ls(ls::Args),
    /// Show one event and what became of it
    Show(show::Args),
}

/// Runs the verb.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    match &args.verb {
        Verb::Ls(args) => ls::run(call, args),
        Verb::Show(args) => show::run(call, args),
    }
}
