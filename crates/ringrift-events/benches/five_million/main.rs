//! Five million events and twenty durable subscriptions: how long an operator waits.
//!
//! `cargo bench -p ringrift-events --bench five_million -- FIXTURE RINGRIFT [EVENTS]`: FIXTURE is a
//! folder in which the store is generated once, for later runs and other measurements too; RINGRIFT
//! is the command. What changes a store runs on a copy. Each figure is one line, its parts divided
//! by tabs: `figure`, what, value, limit. `cargo xtask figures` runs it and makes a table.

#[path = "../figure/mod.rs"]
mod figure;

mod beside;
mod fixture;
mod sql;
mod storied;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use figure::{Stopwatch, figure};
use fixture::Copy;
use ringrift_events::store::sqlite::database_of;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Events of the fixture.
const EVENTS: i64 = 5_000_000;

/// Runs of a command; the slowest counts, after one that warms the page cache.
const RUNS: usize = 10;

fn main() -> Outcome<()> {
    // Cargo adds an option of its own.
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let fixture = PathBuf::from(args.next().ok_or("a folder for the fixture is needed")?);
    let ringrift = PathBuf::from(args.next().ok_or("the command `ringrift` is needed")?);
    let events: i64 = args.next().map_or(Ok(EVENTS), |text| text.parse())?;
    fixture::provide(&fixture, events)?;
    commands(&fixture, &ringrift, events)?;
    let copy = Copy::of(&fixture)?;
    stories(&copy, &ringrift)?;
    drop(copy);
    let database = database_of(&fixture);
    sql::queries(&database, "≤ 100,000 pending", 3.0)?;
    sql::deletes(&database, "≤ 100,000 pending", 3.0)?;
    let copy = Copy::of(&fixture)?;
    beside::selects(&copy)?;
    beside::delete(&copy)?;
    drop(copy);
    for (state, only) in [
        ("one type's subscription at the start", Some("type_3")),
        ("all types' subscription at the start", None),
    ] {
        let copy = Copy::of(&fixture)?;
        copy.subscribe_at_the_start(only)?;
        sql::queries(&copy.database(), state, 15.0)?;
        sql::deletes(&copy.database(), state, 15.0)?;
    }
    Ok(())
}

/// The time of a whole process, from its start to its end.
fn commands(home: &Path, ringrift: &Path, events: i64) -> Outcome<()> {
    let status = slowest(Command::new(ringrift).arg("--home").arg(home).arg("status"))?;
    figure("ringrift status", format!("{status:.0} ms"), "< 100 ms");
    let middle = (events / 2).to_string();
    let mut show = Command::new(ringrift);
    show.arg("--home").arg(home).args(["events", "show"]);
    let id = sql::answer(
        &database_of(home),
        &format!("SELECT event_id FROM cross_process_events WHERE id = {middle}"),
    )?;
    let mut by_id = Command::new(ringrift);
    by_id.arg("--home").arg(home).args(["events", "show"]);
    by_id.arg(&id);
    let by_id = slowest(&mut by_id)?;
    figure(
        "ringrift events show ID",
        format!("{by_id:.0} ms"),
        "< 50 ms",
    );
    let by_number = slowest(show.arg(&middle))?;
    figure(
        "ringrift events show NUMBER",
        format!("{by_number:.0} ms"),
        "< 50 ms",
    );
    for (what, name) in [("ID", &id), ("NUMBER", &middle)] {
        let mut explain = Command::new(ringrift);
        explain.arg("--home").arg(home).arg("explain").arg(name);
        let took = slowest(&mut explain)?;
        figure(
            &format!("ringrift explain {what}"),
            format!("{took:.0} ms"),
            "< 200 ms",
        );
    }
    for what in ["throughput", "failures", "depth", "lag"] {
        let mut stats = Command::new(ringrift);
        stats.arg("--home").arg(home).args(["stats", what]);
        let took = slowest(&mut stats)?;
        figure(
            &format!("ringrift stats {what}"),
            format!("{took:.0} ms"),
            "< 2,000 ms",
        );
    }
    Ok(())
}

/// The time of a question about an event that something became of.
fn stories(copy: &Copy, ringrift: &Path) -> Outcome<()> {
    let places = storied::tell(copy)?;
    for (what, place) in storied::STORIES.iter().zip(places) {
        let mut explain = Command::new(ringrift);
        explain.arg("--home").arg(copy.home());
        explain.arg("explain").arg(place.to_string());
        let took = slowest(&mut explain)?;
        figure(
            &format!("ringrift explain NUMBER, {what}"),
            format!("{took:.0} ms"),
            "< 200 ms",
        );
    }
    Ok(())
}

/// The slowest of several runs, in milliseconds.
fn slowest(command: &mut Command) -> Outcome<f64> {
    let mut slowest: f64 = 0.0;
    for run in 0..=RUNS {
        let watch = Stopwatch::start();
        let done = command.output()?;
        let took = watch.seconds() * 1_000.0;
        // 1 is an answer, too: nobody hosts the fixture's subscriptions.
        if !matches!(done.status.code(), Some(0 | 1)) {
            return Err(String::from_utf8_lossy(&done.stderr).into_owned().into());
        }
        if run > 0 {
            slowest = slowest.max(took);
        }
    }
    Ok(slowest)
}
