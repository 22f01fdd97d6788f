//! `ringrift completion`: a shell's completion script, from the same grammar.

use clap::{Args as ClapArgs, CommandFactory};
use clap_complete::Shell;

use crate::call::Call;
use crate::cli::Cli;
use crate::exit::Exit;
use crate::failure::Done;

/// The arguments of `completion`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift completion bash > /etc/bash_completion.d/ringrift\n  ringrift completion zsh > ~/.zfunc/_ringrift"
)]
pub(crate) struct Args {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Prints it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ringrift", &mut script);
    call.raw(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}
