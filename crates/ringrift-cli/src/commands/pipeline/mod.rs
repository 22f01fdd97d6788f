//! `ringrift pipeline`: what must follow what, and whether it did.

pub(crate) mod ls;
pub(crate) mod show;
pub(crate) mod verify;

use clap::{Args as ClapArgs, Subcommand};

use crate::call::Call;
use crate::failure::Done;

/// The arguments of `pipeline`.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List pipelines
    Ls(ls::Args),
    /// Show a pipeline's steps, their limits and what stands still
    Show(show::Args),
    /// Say for a key whether every step came; exits 1 if one is missing
    Verify(verify::Args),
}

/// Runs the verb.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    match &args.verb {
        Verb::Ls(args) => ls::run(call, args),
        Verb::Show(args) => show::run(call, args),
        Verb::Verify(args) => verify::run(call, args),
    }
}
