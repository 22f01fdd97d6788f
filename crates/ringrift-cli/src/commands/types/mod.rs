//! `ringrift types`: the catalog.

pub(crate) mod add;
pub(crate) mod ls;
pub(crate) mod row;
pub(crate) mod show;

use clap::{Args as ClapArgs, Subcommand};

use crate::call::Call;
use crate::failure::Done;

/// The arguments of `types`.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the types of this home
    Ls(ls::Args),
    /// Show one type and who takes it
    Show(show::Args),
    /// Add a type to this home's ringrift.toml and to the store's catalog
    Add(add::Args),
}

/// Runs the verb.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    match &args.verb {
        Verb::Ls(args) => ls::run(call, args),
        Verb::Show(args) => show::run(call, args),
        Verb::Add(args) => add::run(call, args),
    }
}
