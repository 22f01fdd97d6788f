//! `ringrift demo`: a training pipeline of seven operating-system processes, driven by its events,
//! with failures on the way and nothing lost.
//!
//! Every stage is this program again, as a process of its own; they talk through the store alone.
//! The parent only looks: it subscribes to the pipeline's types like anybody else, and counts; how
//! long an event took until it was handled it hears from the stage that handled it.

mod children;
mod observe;
mod plan;
mod progress;
mod report;
pub(crate) mod stage;
mod timings;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;
use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::system::System;

use crate::call::Call;
use crate::exit::Exit;
use crate::failure::{Done, Error, Stop};
use crate::signals::Signals;
use children::Children;
use observe::Observer;
use plan::Plan;
use progress::Progress;

/// The arguments of `demo`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Examples:\n  ringrift demo\n  ringrift demo --configs 50 --iterations 100\n  ringrift demo --rate 500 --for 60s\n\nWithout --home it runs in a temporary home and leaves nothing behind."
)]
pub(crate) struct Args {
    /// Pipelines that run side by side, each with a key of its own.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    configs: u32,

    /// Rounds of each pipeline, from new games to the distributed model.
    #[arg(long, default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    iterations: u32,

    /// Holds this many events a second in all instead, without injected failures unless asked.
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,

    /// How long --rate is held.
    #[arg(
        long = "for",
        value_name = "DURATION",
        default_value = "60s",
        requires = "rate"
    )]
    lasts: String,

    /// Share of first runs that fail, in percent.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=90))]
    failures: Option<u32>,

    /// Events that fail each time, so that they end as dead letters and stop their pipeline.
    #[arg(long, value_name = "EVENTS", default_value_t = 0)]
    dead: u32,

    /// Kills one stage's process with SIGKILL midway and starts it again.
    #[arg(long, value_name = "yes|no", action = clap::ArgAction::Set)]
    kill: Option<bool>,

    /// Work of each run, in milliseconds.
    #[arg(long, value_name = "MS")]
    work: Option<u64>,
}

/// Runs the pipeline to its end, or until a signal comes.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let plan = Plan::new(args)?;
    let signals = Signals::listen()?;
    let (root, temporary) = home(call)?;
    let system = System::open(config(call, &root)?)?;
    let root = system.config().home.root().to_path_buf();
    call.at_home(&root);
    refuse_strangers(&system)?;
    let mut observer = Observer::start(&system)?;
    let mut progress = Progress::new(call.global.json, &plan, &root);
    let mut children = Children::start(&root, &plan, call)?;
    let begun = system.clock().monotonic();
    loop {
        let stop = signals.wait(Some(Progress::EVERY));
        children.look(&observer, &plan)?;
        progress.show(&observer.counts(), &children);
        if stop || observer.is_over(&plan, &system) {
            break;
        }
        if system.clock().monotonic().saturating_sub(begun) > plan.gives_up_after() {
            call.warn("the pipeline did not come to its end in time");
            break;
        }
    }
    progress.end();
    children.end();
    let took = system.clock().monotonic().saturating_sub(begun);
    let report = observer.report(&plan, &system, &children, took)?;
    system.close();
    drop(temporary);
    let exit = if report.lost == 0 && report.complete {
        Exit::Ok
    } else {
        Exit::No
    };
    call.answer_as("demo", &report, exit)
}

/// The home it runs in: the named one, made once its configuration was read, else a temporary one
/// that goes with the run.
fn home(call: &Call) -> Result<(PathBuf, Option<tempfile::TempDir>), Stop> {
    if let Some(named) = &call.global.home {
        return Ok((named.clone(), None));
    }
    let made = tempfile::Builder::new().prefix("ringrift-demo-").tempdir();
    let temporary = made.map_err(|source| Error::Io {
        what: "cannot make a temporary home".to_owned(),
        source,
    })?;
    Ok((temporary.path().to_path_buf(), Some(temporary)))
}

/// The settings of one process of the demo: retries come quickly, so that a run shows them.
pub(super) fn config(call: &Call, root: &std::path::Path) -> Result<Config, Stop> {
    let mut sources = ConfigSources::of_process(Home::at(root));
    sources.flags = vec![
        "dlq.backoff_first=200ms".to_owned(),
        "daemons.sweep_interval=250ms".to_owned(),
    ];
    sources.flags.extend(call.global.set.iter().cloned());
    Ok(Config::load(sources)?)
}

/// A home with other people's subscriptions is no place to play in.
fn refuse_strangers(system: &System) -> Result<(), Stop> {
    let standing = system.store().subscriptions().wait()?;
    let ours = |name: &str| name.starts_with(plan::PREFIX);
    match standing
        .iter()
        .find(|subscription| !ours(&subscription.current().name))
    {
        None => Ok(()),
        Some(stranger) => Err(Error::Input {
            what: format!("home with subscription {}", stranger.current().name),
            why: "the demo made none by that name and would publish to it".to_owned(),
            next: "ringrift demo",
        }
        .into()),
    }
}

/// How long a duration of the command line is.
fn duration(text: &str) -> Result<Duration, Stop> {
    Ok(crate::when::duration(text)?)
}
