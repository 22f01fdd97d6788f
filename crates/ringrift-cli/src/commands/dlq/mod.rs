//! `ringrift dlq`: what failed, and what operators do with it. Every act is on a snapshot: letters
//! that moved on since they were seen are left as they are.

pub(crate) mod act;
pub(crate) mod edit;
pub(crate) mod ls;
pub(crate) mod row;
pub(crate) mod select;
pub(crate) mod show;

use clap::{Args as ClapArgs, Subcommand};
use ringrift_events::store::letters::LetterAct;

use crate::call::Call;
use crate::failure::Done;

/// The arguments of `dlq`.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List dead letters, newest first
    Ls(ls::Args),
    /// Show one dead letter with its whole error and payload
    Show(show::Args),
    /// Make letters due at once with a fresh budget, for their own handler only
    Retry(act::Args),
    /// Change a letter's payload and retry it, linked to the original
    Edit(edit::Args),
    /// End letters by hand; they can be restored
    Discard(act::Args),
    /// Bring discarded, purged or deleted letters back
    Restore(act::Args),
    /// Delete letters; they can be restored for seven days
    Purge(act::Args),
}

/// Runs the verb.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    match &args.verb {
        Verb::Ls(args) => ls::run(call, args),
        Verb::Show(args) => show::run(call, args),
        Verb::Edit(args) => edit::run(call, args),
        Verb::Retry(args) => act::run(call, args, LetterAct::Retry),
        Verb::Discard(args) => act::run(call, args, LetterAct::Discard),
        Verb::Restore(args) => act::run(call, args, LetterAct::Restore),
        Verb::Purge(args) => act::run(call, args, LetterAct::Purge),
    }
}
