//! `ringrift alerts`: what was raised and by which rules; who is told; answering it.

pub(crate) mod ack;
pub(crate) mod ls;
pub(crate) mod rules;
pub(crate) mod silence;
pub(crate) mod test;

use clap::{Args as ClapArgs, Subcommand};
use ringrift_events::store::watching::AlertAct;

use crate::call::Call;
use crate::failure::Done;

/// The arguments of `alerts`.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List alerts that stand; with --all those that are over too
    Ls(ls::Args),
    /// List the rules and the sinks, and how each sink has done
    Rules(rules::Args),
    /// Send a test message to a sink, or to each; exits 1 if one fails
    Test(test::Args),
    /// Keep alerts from being sent for a time, end that, or list what is silenced
    Silence(silence::Args),
    /// Say that somebody knows of alerts
    Ack(ack::Args),
    /// Say that alerts are over; what was not sent of them will not be
    Resolve(ack::Args),
}

/// Runs the verb.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    match &args.verb {
        Verb::Ls(args) => ls::run(call, args),
        Verb::Rules(args) => rules::run(call, args),
        Verb::Test(args) => test::run(call, args),
        Verb::Silence(args) => silence::run(call, args),
        Verb::Ack(args) => ack::run(call, args, AlertAct::Ack),
        Verb::Resolve(args) => ack::run(call, args, AlertAct::Resolve),
    }
}
