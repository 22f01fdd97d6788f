//! The command `ringrift`: what operators and scripts do with a home's events.
//!
//! `cli` is the grammar, `commands` the verbs, `output` what people and scripts read. The command
//! keeps no state of its own and needs no running server: each call opens the store itself.
//!
//! It is a library with one function, so that the Python package brings the same command along.

mod ask;
mod call;
mod cli;
mod commands;
mod confirm;
mod exit;
mod failure;
mod input;
mod kept;
mod listen;
mod open;
mod output;
mod pages;
#[cfg(test)]
mod printed_tests;
mod resolve;
mod sampling;
mod signals;
mod when;

#[cfg(test)]
mod world;

use std::ffi::OsString;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use ringrift_events::metrics::Level;

use call::{Call, Global};
use cli::Cli;
use exit::Exit;
use failure::{Failure, Stop};

/// A command line, and the program that was called with it.
#[derive(Clone, Debug)]
pub struct Line {
    /// What starts this command again, as people would: the demo's stages, a service's unit.
    pub program: PathBuf,
    /// What starts this very program, also when its file was replaced meanwhile.
    pub itself: PathBuf,
    /// The words after the program's name.
    pub words: Vec<OsString>,
}

/// Runs one command line to its end; the answer is the exit code.
#[must_use]
pub fn run(line: &Line) -> u8 {
    let words = std::iter::once(OsString::from("ringrift")).chain(line.words.iter().cloned());
    let exit = match Cli::try_parse_from(words) {
        Ok(cli) => guarded(&cli, line),
        Err(refusal) => usage(&refusal, line),
    };
    exit.code()
}

/// Runs the verb; a panic is a bug of ours and ends with 70, whoever calls.
fn guarded(cli: &Cli, line: &Line) -> Exit {
    let call = Call::new(cli.global.clone(), line.clone());
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
                next: pages::next("BUG").map(str::to_owned),
                may_have_applied: true,
                exit: Exit::Bug,
            });
            Exit::Bug
        }
    }
}

/// Shows help, the version, or why the command line was not understood.
fn usage(refusal: &clap::Error, line: &Line) -> Exit {
    let asked = matches!(
        refusal.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    let json = line.words.iter().any(|word| word == "--json");
    let words = || {
        line.words
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
    };
    // Monitoring reads codes of its own, also of a command line that was not understood.
    let refused = match verb_of(words()).as_str() {
        "ringrift check" => Exit::Checked(Level::Unknown),
        _ => Exit::Usage,
    };
    if json && !asked {
        let global = Global {
            json: true,
            ..Global::default()
        };
        let call = Call::new(global, line.clone());
        call.fail(&Failure {
            code: "USAGE".into(),
            message: one_sentence(&refusal.to_string()),
            value: None,
            next: Some(format!("{} --help", verb_of(words()))),
            may_have_applied: false,
            exit: refused,
        });
        return refused;
    }
    // A reader that is gone needs no help text.
    if refusal.print().is_err() || asked {
        return Exit::Ok;
    }
    refused
}

/// What clap says, on one line, without its usage and its own advice.
fn one_sentence(refusal: &str) -> String {
    let (what, _) = refusal.split_once("\n\nUsage:").unwrap_or((refusal, ""));
    let (what, _) = what.split_once("\n\nFor more").unwrap_or((what, ""));
    let what = what.trim().trim_start_matches("error: ");
    what.split("\n\n")
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("; ")
}

/// The verb that a command line begins with, as far as there is one.
fn verb_of(words: impl Iterator<Item = String>) -> String {
    let grammar = Cli::command();
    let (mut at, mut verb) = (&grammar, "ringrift".to_owned());
    for word in words {
        if let Some(found) = at.find_subcommand(&word) {
            (at, verb) = (found, format!("{verb} {word}"));
        }
    }
    verb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_command_line_is_one_sentence_and_the_verbs_help() {
        let line = ["ringrift", "--json", "dlq", "edit", "--payloat", "1"];
        let refusal = Cli::try_parse_from(line).expect_err("no such option");
        assert_eq!(
            one_sentence(&refusal.to_string()),
            "unexpected argument '--payloat' found; tip: a similar argument exists: '--payload'"
        );
        let words = line.iter().skip(1).map(|word| (*word).to_owned());
        assert_eq!(verb_of(words), "ringrift dlq edit");
    }
}
