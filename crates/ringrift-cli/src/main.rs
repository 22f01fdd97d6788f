//! The command `ringrift`: what operators and scripts do with a home's events.
//!
//! `cli` is the grammar, `commands` the verbs, `output` what people and scripts read. The command
//! keeps no state of its own and needs no running server: each call opens the store itself.

mod call;
mod cli;
mod commands;
mod confirm;
mod exit;
mod failure;
mod input;
mod open;
mod output;
mod pages;
mod resolve;
mod signals;
mod when;

#[cfg(test)]
mod world;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use call::{Call, Global};
use cli::Cli;
use exit::Exit;
use failure::{Failure, Stop};

fn main() -> ExitCode {
    let exit = match Cli::try_parse() {
        Ok(cli) => guarded(&cli),
        Err(refusal) => usage(&refusal),
    };
    ExitCode::from(exit.code())
}

/// Runs the verb; a panic is a bug of ours and ends with 70, whoever calls.
fn guarded(cli: &Cli) -> Exit {
    let call = Call::new(cli.global.clone());
    match std::panic::catch_unwind(AssertUnwindSafe(|| cli.command.run(&call))) {
        Ok(Ok(exit)) => exit,
        Ok(Err(Stop::ReaderGone)) => Exit::Ok,
        Ok(Err(Stop::Failed(failure))) => {
            call.fail(&failure);
            failure.exit
        }
        Err(_) => {
            call.fail(&Failure {
                code: "BUG".into(),
                message: "the command panicked; its message stands above".into(),
                value: None,
                next: Some("report it with the message and the command line".into()),
                may_have_applied: true,
                exit: Exit::Bug,
            });
            Exit::Bug
        }
    }
}

/// Shows help, the version, or why the command line was not understood.
fn usage(refusal: &clap::Error) -> Exit {
    let asked = matches!(
        refusal.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    let json = std::env::args_os().any(|arg| arg == "--json");
    if json && !asked {
        let call = Call::new(Global {
            json: true,
            ..Global::default()
        });
        call.fail(&Failure {
            code: "USAGE".into(),
            message: refusal.to_string().trim().to_owned(),
            value: None,
            next: Some("ringrift --help".into()),
            may_have_applied: false,
            exit: Exit::Usage,
        });
        return Exit::Usage;
    }
    // A reader that is gone needs no help text.
    if refusal.print().is_err() || asked {
        return Exit::Ok;
    }
    Exit::Usage
}
