//! What `cargo xtask bench` runs: one kind of work a process.
//!
//! `ringrift-bench WORK --home FOLDER …` prepares, prints `ready`, waits for a line on its standard
//! input, works, and prints one line of JSON. The driver starts several of them and gives the line to
//! all at once. The clients of other systems speak the same way, see `bench/peers`.

mod event;
mod limits;
mod orders;
mod ours;
mod outcome;

use std::process::ExitCode;

use anyhow::{Result, bail};

use orders::Orders;
use outcome::Outcome;

fn main() -> ExitCode {
    match Orders::parse(std::env::args().skip(1)).and_then(|orders| work(&orders)) {
        Ok(outcome) => {
            println!("{}", outcome.line());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ringrift-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work(orders: &Orders) -> Result<Outcome> {
    match orders.work.as_str() {
        "fill" => ours::publish::fill(orders),
        "publish" => ours::publish::run(orders),
        "consume" => ours::consume::run(orders),
        "receive" => ours::receive::run(orders),
        "pace" => ours::receive::pace(orders),
        "in-process" => ours::in_process::run(orders),
        "steady" => ours::steady::run(orders),
        "large" => ours::large::run(orders),
        "retain" => ours::retain::run(orders),
        "size" => ours::size::run(orders),
        "limit-fill" => limits::rows::fill(orders),
        "limit-rows" => limits::rows::run(orders),
        "limit-cursor" => limits::cursor::run(orders),
        "limit-sync" => limits::sync::run(orders),
        "limit-receive" => limits::doorbell::receive(orders),
        "limit-pace" => limits::doorbell::pace(orders),
        "limit-channel" => limits::channel::run(orders),
        "limit-call" => limits::call::run(orders),
        other => bail!("no such work: {other}"),
    }
}
