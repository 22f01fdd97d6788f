//! `cargo xtask …`: what CI runs and what a developer runs are the same.
//!
//! `lint` checks form, `test` installs what the tests need, lints, and runs everything that can
//! fail, `causes` proves that `ringrift doctor` names what is wrong. Nothing here skips: what cannot
//! be checked is a failure that says what to do. `figures` measures what the documentation says of
//! speed and `bench` compares it with other systems, `instructions` what the hot functions cost with
//! a baseline.

mod bench;
mod built;
mod causes;
mod chance;
mod compared;
mod demo;
mod deny;
mod family;
mod figures;
mod instructions;
mod lint;
mod needs;
mod python;
mod run;
mod steps;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Checks of this repository")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Installs what the tests need, then lint, every test, the examples and the demo.
    Test {
        /// Runs the fault tests at full size (hours): sets RINGRIFT_LONG=1.
        #[arg(long)]
        long: bool,
    },
    /// Runs rustfmt, clippy, cargo-deny and the tidy test.
    Lint,
    /// Brings about each of the runbook's 24 causes and asks `ringrift doctor` to name it.
    Causes {
        /// These causes alone, by their slugs; `healthy` is the system without one.
        #[arg(value_name = "SLUG")]
        only: Vec<String>,
        /// How many systems stand beside each other.
        #[arg(long, value_name = "COUNT")]
        at_once: Option<u32>,
    },
    /// Builds the Python package's wheel in release, below the target folder.
    Wheel,
    /// Runs what `test` runs of the Python package alone.
    Python {
        /// Runs the stress test for ten minutes: sets RINGRIFT_LONG=1.
        #[arg(long)]
        long: bool,
    },
    /// Counts the hot functions' instructions under valgrind; fails where one takes more than the
    /// baseline allows.
    Instructions {
        /// Makes what is counted now the baseline.
        #[arg(long)]
        write: bool,
    },
    /// Measures speed in release and prints it as a table: minutes, 10 GB, a quiet machine.
    Figures {
        /// Measures these parts alone.
        #[arg(long, value_enum)]
        only: Vec<figures::Part>,
    },
    /// Measures beside the machine's limits and, if asked, other systems: minutes, a quiet machine.
    Bench(bench::Ask),
}

fn main() -> ExitCode {
    match call(&Arguments::parse().verb) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything was well; what was not has been printed.
fn call(verb: &Verb) -> Result<bool> {
    std::env::set_current_dir(run::workspace_root()?)?;
    match verb {
        Verb::Test { long } => Ok(test::run(*long)),
        Verb::Lint => {
            let mut steps = steps::Steps::default();
            lint::run_in(&mut steps);
            Ok(steps.report())
        }
        Verb::Causes { only, at_once } => causes::run(only, *at_once),
        Verb::Wheel => python::wheel(python::Profile::Release).map(|_| true),
        Verb::Python { long } => Ok(test::python(*long)),
        Verb::Instructions { write } => {
            needs::packages()?;
            instructions::run(*write).map(|()| true)
        }
        Verb::Figures { only } => figures::run(only).map(|()| true),
        Verb::Bench(ask) => bench::run(ask).map(|()| true),
    }
}
