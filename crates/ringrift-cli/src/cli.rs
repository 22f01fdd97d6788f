//! The grammar: every verb and option, with its help.

use clap::{Parser, Subcommand};

use crate::call::{Call, Global};
use crate::commands::{codes, completion, service};
use crate::exit;
use crate::failure::Done;

/// The command line of `ringrift`.
#[derive(Debug, Parser)]
#[command(
    name = "ringrift",
    version,
    about = "Events between handlers and processes of one machine; nothing lost, everything explained",
    after_long_help = exit::HELP,
    propagate_version = true,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    /// Options of every verb.
    #[command(flatten)]
    pub(crate) global: Global,

    /// The verb.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List every verdict and error code
    Codes(codes::Args),
    /// Print a shell's completion script
    Completion(completion::Args),
    /// Print a systemd unit
    Service(service::Args),
}

impl Command {
    /// Runs the verb.
    pub(crate) fn run(&self, call: &Call) -> Done {
        match self {
            Command::Codes(args) => codes::run(call, args),
            Command::Completion(args) => completion::run(call, args),
            Command::Service(args) => service::run(call, args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }
}
