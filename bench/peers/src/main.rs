//! The systems that `cargo xtask bench --peers` compares with, each through the client that its own
//! documents name: `ringrift-bench-peers CLIENT WORK …`, then as `ringrift-bench`, whose words, event and
//! outcome these are.

#[path = "../../../crates/ringrift-bench/src/event.rs"]
mod event;
mod honker;
mod jetstream;
#[path = "../../../crates/ringrift-bench/src/orders.rs"]
mod orders;
#[path = "../../../crates/ringrift-bench/src/outcome.rs"]
mod outcome;
mod redis;

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use orders::Orders;
use outcome::Outcome;

fn main() -> ExitCode {
    match work() {
        Ok(outcome) => {
            println!("{}", outcome.line());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ringrift-bench-peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work() -> Result<Outcome> {
    let mut words = std::env::args().skip(1);
    let client = words.next().context("which client?")?;
    let orders = Orders::parse(words)?;
    match client.as_str() {
        "honker" => honker::run(&orders),
        "redis" => redis::run(&orders),
        "jetstream" => jetstream::run(&orders),
        other => bail!("no such client: {other}"),
    }
}
