//! How fast a home takes events, and hands them to a durable subscription:
//! `cargo bench -p ringrift-events --bench publish_rates`. On SQLite in a temporary home, with its
//! log file, payloads of about 300 bytes. Each figure is one line, as in `five_million`.

mod figure;

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use figure::{Stopwatch, figure};
use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::handler::{Function, Policy};
use ringrift_events::router::{Publish, Publishing, Router, Subscribe};
use ringrift_events::store::subscriptions::Start;
use ringrift_events::system::System;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How long each way is measured.
const LASTS: Duration = Duration::from_secs(4);

/// Publishes in flight of one who does not wait for each.
const IN_FLIGHT: usize = 256;

/// Events of one transaction of `publish_many`.
const MANY: usize = 100;

/// How long the subscription may take for its backlog.
const HANDLED_WITHIN: Duration = Duration::from_secs(120);

fn main() -> Outcome<()> {
    let folder = std::env::temp_dir().join(format!("ringrift-rates-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = all(&folder);
    std::fs::remove_dir_all(&folder)?;
    measured
}

fn all(folder: &std::path::Path) -> Outcome<()> {
    let system = open(folder, "process")?;
    let router = system.router();
    rate("publish, waiting for each", one_by_one(router)?);
    let four = std::thread::scope(|scope| {
        let each: Vec<_> = (0..4).map(|_| scope.spawn(|| one_by_one(router))).collect();
        each.into_iter()
            .map(|one| {
                one.join()
                    .unwrap_or_else(|_| Err("a publisher panicked".into()))
            })
            .sum::<Outcome<f64>>()
    })?;
    rate("publish, 4 threads, each waiting", four);
    rate("publish, 256 in flight", pipelined(router)?);
    rate("publish_many, 100 a transaction", many(router)?);
    rate("durable subscription, from a backlog", handled(&system)?);
    system.close();
    let system = open(folder, "power")?;
    rate(
        "publish with power durability, waiting for each",
        one_by_one(system.router())?,
    );
    rate(
        "publish with power durability, 256 in flight",
        pipelined(system.router())?,
    );
    system.close();
    Ok(())
}

fn open(folder: &std::path::Path, durability: &str) -> Outcome<System> {
    let mut sources = ConfigSources::of_process(Home::at(folder));
    sources.flags = vec![
        "store.disk_free_min_percent=0".to_owned(),
        format!("store.durability={durability}"),
    ];
    Ok(System::open(Config::load(sources)?)?)
}

fn rate(what: &str, per_second: f64) {
    figure(what, format!("{:.1} k/s", per_second / 1_000.0), "");
}

fn one() -> Publish {
    let pad = "x".repeat(260);
    Publish::new(
        "TRAINING_COMPLETED",
        format!(r#"{{"config_key":"hex8","pad":"{pad}"}}"#),
    )
}

fn one_by_one(router: &Router) -> Outcome<f64> {
    let (watch, mut count) = (Stopwatch::start(), 0_u32);
    while watch.elapsed() < LASTS {
        router.publish_blocking(one())?;
        count += 1;
    }
    Ok(f64::from(count) / watch.seconds())
}

fn pipelined(router: &Router) -> Outcome<f64> {
    let (watch, mut count) = (Stopwatch::start(), 0_u32);
    let mut flying: VecDeque<Publishing> = VecDeque::with_capacity(IN_FLIGHT);
    while watch.elapsed() < LASTS {
        if flying.len() == IN_FLIGHT
            && let Some(first) = flying.pop_front()
        {
            first.wait()?;
            count += 1;
        }
        flying.push_back(router.publish(one())?);
    }
    for rest in flying {
        rest.wait()?;
        count += 1;
    }
    Ok(f64::from(count) / watch.seconds())
}

fn many(router: &Router) -> Outcome<f64> {
    let (watch, mut count) = (Stopwatch::start(), 0.0);
    while watch.elapsed() < LASTS {
        router
            .publish_many((0..MANY).map(|_| one()).collect())?
            .wait()?;
        count += MANY as f64;
    }
    Ok(count / watch.seconds())
}

/// Handles everything published so far, eight at once.
fn handled(system: &System) -> Outcome<f64> {
    let owed = usize::try_from(system.store().head().wait()?.seq.0)?;
    let done = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&done);
    let function = Function::immediate(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    let policy = Policy {
        concurrency: 8,
        ..system.config().settings.policy()
    };
    let subscribe = Subscribe::durable("rates")
        .to(["TRAINING_COMPLETED"])
        .start(Start::Beginning)
        .policy(policy);
    let watch = Stopwatch::start();
    system.router().subscribe(subscribe, function)?;
    while done.load(Ordering::Relaxed) < owed {
        if watch.elapsed() > HANDLED_WITHIN {
            let done = done.load(Ordering::Relaxed);
            return Err(format!("{done} of {owed} events in {HANDLED_WITHIN:?}").into());
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    Ok(owed as f64 / watch.seconds())
}
