//! `cargo xtask …`: what CI runs and what a developer runs are the same.
//!
//! `lint` checks form, `test` installs what the tests need, lints, and runs everything that can
//! fail. Nothing here skips: what cannot be checked is a failure that says what to do.

mod built;
mod deny;
mod lint;
mod needs;
mod run;
mod steps;
mod test;

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
}

fn main() -> Result<()> {
    let root = run::workspace_root()?;
    std::env::set_current_dir(&root)?;
    match Arguments::parse().verb {
        Verb::Test { long } => test::run(long),
        Verb::Lint => {
            let mut steps = steps::Steps::default();
            lint::run_in(&mut steps);
            steps.report();
            steps.verdict()
        }
    }
}
