//! `ringrift completion`: a shell's completion script, from the same grammar.

use clap::{Args as ClapArgs, CommandFactory};
use clap_complete::Shell;
use serde::Serialize;

use crate::call::Call;
use crate::cli::Cli;
use crate::failure::Done;
use crate::output::{Report, Text};

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

#[derive(Serialize)]
struct Completion {
    shell: String,
    script: String,
}

/// Prints it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ringrift", &mut script);
    let completion = Completion {
        shell: args.shell.to_string(),
        script: String::from_utf8_lossy(&script).into_owned(),
    };
    call.answer("completion", &completion)
}

impl Report for Completion {
    fn write(&self, text: &mut Text) {
        text.line(self.script.trim_end());
    }
}
