//! The work whose instructions `cargo xtask instructions` counts: the same each time, one thing
//! after the other. One kind of work a call, so that none counts into another's functions.
//!
//! Each line it prints names one counted function: the operation it belongs to, how often that was
//! done, and the function, which was called as often.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use ringrift_events::clock::{Clock as _, SharedClock, SystemClock};
use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::event::EventType;
use ringrift_events::handler::Function;
use ringrift_events::router::{Publish, Subscribe};
use ringrift_events::store::deliveries::{Settle, Want};
use ringrift_events::store::log::TypeSet;
use ringrift_events::store::memory::MemoryHub;
use ringrift_events::store::subscriptions::{Definition, Kind, Start};
use ringrift_events::system::{System, this_process};

/// Events that are stored: so many that what is done once, a statement's preparation, weighs little.
const STORED: u32 = 320;

/// Events of one claim.
const CLAIM: u32 = 16;

/// Events that are handled: fewer than the lines that the log writes in one second. More would be
/// written or left out by the machine's speed, and count so.
const HANDLED: u32 = 96;

/// Longest that handlers may take for all of them under valgrind, which makes them fifty times
/// slower.
const HANDLED_WITHIN: Duration = Duration::from_secs(60);

const TYPE: &str = "TRAINING_COMPLETED";

/// The counted functions, as valgrind shows their names.
mod function {
    pub(crate) const PUBLISH: &str =
        "ringrift_events::router::publish::<impl ringrift_events::router::shared::Router>::publish";
    pub(crate) const SEND: &str =
        "ringrift_events::router::publish::<impl ringrift_events::router::shared::Shared>::send";
    pub(crate) const APPEND: &str = "<ringrift_events::store::sqlite::verbs::append::Append as \
         ringrift_events::store::sqlite::verb::Verb>::run";
    pub(crate) const SCAN: &str = "<ringrift_events::store::sqlite::verbs::deliveries::scan::Scan as \
         ringrift_events::store::sqlite::verb::Question>::run";
    pub(crate) const TAKE: &str = "<ringrift_events::store::sqlite::verbs::deliveries::claim::TakeClaim as \
         ringrift_events::store::sqlite::verb::Verb>::run";
    pub(crate) const SETTLE: &str = "<ringrift_events::store::sqlite::verbs::deliveries::settle::SettleClaim as \
         ringrift_events::store::sqlite::verb::Verb>::run";
    pub(crate) const DELIVER: &str = "ringrift_events::router::publish::\
         <impl ringrift_events::router::shared::Shared>::deliver_published";
    pub(crate) const LIVE: &str = "ringrift_events::router::live::\
         <impl ringrift_events::router::shared::Shared>::run_in_place";
    pub(crate) const RUN: &str = "ringrift_events::handler::series::Series::run";
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let work = std::env::args().nth(1);
    match work.as_deref() {
        Some("stored") => stored(folder.path()),
        Some("live") => live(folder.path()),
        Some("durable") => durable(folder.path()),
        Some(_) | None => bail!("say which work: stored, live or durable"),
    }
}

/// Publishes to SQLite one by one, then claims and settles all as a subscription would.
fn stored(folder: &std::path::Path) -> Result<()> {
    let system = System::open(config(folder)?)?;
    for _ in 0..STORED {
        system.router().publish(one())?.wait()?;
    }
    let store = system.store();
    let subscription = store.subscribe(
        Definition {
            name: "counted".to_owned(),
            kind: Kind::Durable,
            types: TypeSet::only([EventType::from_canonical("training_completed")]),
            filter: None,
            start: Start::Beginning,
            dedup: Vec::new(),
            ordered_by_key: false,
        },
        false,
    );
    let subscription = subscription.wait()?.id;
    for _ in 0..STORED / CLAIM {
        let want = Want {
            subscription,
            max: CLAIM as usize,
            likely: false,
            grows: None,
        };
        let claim = store.claim(want).wait()?.context("nothing to claim")?;
        ensure!(
            claim.events.len() == CLAIM as usize,
            "a claim of another size"
        );
        let last = claim.events.last().and_then(|event| event.seq);
        let settled = store.settle(Settle {
            token: claim.token,
            settled_to: last.context("an event without a place")?,
            results: Vec::new(),
            done: u64::from(CLAIM),
        });
        ensure!(settled.wait()?, "settling changed nothing");
    }
    system.close();
    counted("publish", STORED, function::PUBLISH);
    counted("hand_over", STORED, function::SEND);
    counted("append", STORED, function::APPEND);
    counted("claim", STORED / CLAIM, function::SCAN);
    counted("claim", STORED / CLAIM, function::TAKE);
    counted("settle", STORED / CLAIM, function::SETTLE);
    Ok(())
}

/// Publishes in memory to a live subscription, each event after the last one's handler.
fn live(folder: &std::path::Path) -> Result<()> {
    let system = in_memory(folder)?;
    let (function, done) = counting();
    let subscribe = Subscribe::live("counted").to([TYPE]);
    system.router().subscribe(subscribe, function)?;
    for number in 0..HANDLED {
        system.router().publish(one())?.wait()?;
        until(&done, number + 1)?;
    }
    system.close();
    counted("deliver", HANDLED, function::DELIVER);
    counted("deliver", HANDLED, function::LIVE);
    Ok(())
}

/// Lets a durable subscription with an immediate function handle a backlog in memory.
fn durable(folder: &std::path::Path) -> Result<()> {
    let system = in_memory(folder)?;
    let many = (0..HANDLED).map(|_| one()).collect();
    system.router().publish_many(many)?.wait()?;
    let (function, done) = counting();
    let subscribe = Subscribe::durable("counted").to([TYPE]);
    let subscribe = subscribe.start(Start::Beginning);
    system.router().subscribe(subscribe, function)?;
    until(&done, HANDLED)?;
    system.close();
    counted("immediate", HANDLED, function::RUN);
    Ok(())
}

/// Says that an operation was done so often, and that its function was called once for each.
fn counted(operation: &str, times: u32, function: &str) {
    println!("counted\t{operation}\t{times}\t{function}");
}

fn config(folder: &std::path::Path) -> Result<Config> {
    let mut sources = ConfigSources::of_process(Home::at(folder));
    sources.flags = vec!["store.disk_free_min_percent=0".to_owned()];
    Ok(Config::load(sources)?)
}

fn in_memory(folder: &std::path::Path) -> Result<System> {
    let clock: SharedClock = Arc::new(SystemClock);
    let store = MemoryHub::new(Arc::clone(&clock)).open(this_process(&*clock));
    Ok(System::over(config(folder)?, store, clock)?)
}

fn one() -> Publish {
    let pad = "x".repeat(260);
    Publish::new(TYPE, format!(r#"{{"config_key":"hex8","pad":"{pad}"}}"#))
}

fn counting() -> (Function, Arc<AtomicU32>) {
    let done = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&done);
    let function = Function::immediate(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    (function, done)
}

fn until(done: &AtomicU32, owed: u32) -> Result<()> {
    let start = SystemClock.monotonic();
    while done.load(Ordering::Relaxed) < owed {
        let waited = SystemClock.monotonic().saturating_sub(start);
        ensure!(waited < HANDLED_WITHIN, "{owed} events took {waited:?}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
    Ok(())
}
