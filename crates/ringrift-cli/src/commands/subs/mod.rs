//! `ringrift subs`: who wants what, how far it is, and moving or ending it.

pub(crate) mod ls;
pub(crate) mod pause;
pub(crate) mod resubscribe;
pub(crate) mod rm;
pub(crate) mod row;
pub(crate) mod seek;
pub(crate) mod show;

use clap::{Args as ClapArgs, Subcommand};

use crate::call::Call;
use crate::failure::Done;

/// The arguments of `subs`.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List subscriptions
    Ls(ls::Args),
    /// Show one subscription, its versions and who hosts it
    Show(show::Args),
    /// Stop new claims of a durable subscription; running ones finish
    Pause(pause::Args),
    /// Let a paused subscription go on
    Resume(pause::Args),
    /// Move a durable subscription to another place of the log
    Seek(seek::Args),
    /// Stop and start every handler and daemon; nothing is lost
    Resubscribe(resubscribe::Args),
    /// Remove a durable subscription that no live process hosts
    Rm(rm::Args),
}

/// Runs the verb.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    match &args.verb {
        Verb::Ls(args) => ls::run(call, args),
        Verb::Show(args) => show::run(call, args),
        Verb::Pause(args) => pause::run(call, args, true),
        Verb::Resume(args) => pause::run(call, args, false),
        Verb::Seek(args) => seek::run(call, args),
        Verb::Resubscribe(args) => resubscribe::run(call, args),
        Verb::Rm(args) => rm::run(call, args),
    }
}
