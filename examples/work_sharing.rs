//! Durable work-sharing: two processes subscribe under one name, each event goes to one of them,
//! and what was published while neither ran is not lost.
//!
//! Run it with `cargo run -p ringrift-events --example work_sharing`. It starts itself twice more.

use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::Context as _;
use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::handler::Function;
use ringrift_events::router::{Publish, Subscribe};
use ringrift_events::store::registry::ProcessState;
use ringrift_events::system::System;

/// Events in all.
const EVENTS: u64 = 200;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next()) {
        (Some("worker"), Some(home)) => worker(Path::new(&home)),
        _ => publisher(),
    }
}

fn open(home: &Path) -> anyhow::Result<System> {
    Ok(System::open(Config::load(ConfigSources::of_process(
        Home::at(home),
    ))?)?)
}

fn publisher() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let system = open(folder.path())?;
    // The name is made before the first event: a durable subscription begins at its creation, and
    // its workers may come later.
    let evaluator = system.router().subscribe(
        Subscribe::durable("evaluator").to(["TRAINING_COMPLETED"]),
        Function::asynchronous(|_| async { Ok(()) }),
    )?;
    evaluator.unsubscribe()?;
    for number in 0..EVENTS {
        let payload = format!(r#"{{"config_key":"hex8_2p","number":{number}}}"#);
        system
            .router()
            .publish(Publish::new("TRAINING_COMPLETED", payload))?
            .wait()?;
    }
    let mut workers = [start(folder.path())?, start(folder.path())?];
    let done = wait_until_done(&system);
    let handled = handled_by(&system);
    for worker in &mut workers {
        worker.kill()?;
        worker.wait()?;
    }
    for (pid, count) in &handled {
        println!("pid {pid} handled {count}");
    }
    system.close();
    anyhow::ensure!(done == EVENTS, "{done} of {EVENTS} were handled");
    let total: u64 = handled.iter().map(|(_, count)| count).sum();
    anyhow::ensure!(total == EVENTS, "{EVENTS} events, {total} runs");
    println!(
        "{done} events, each handled once, by {} processes",
        handled.len()
    );
    Ok(())
}

fn start(home: &Path) -> anyhow::Result<Child> {
    let program = std::env::current_exe()?;
    Command::new(program)
        .arg("worker")
        .arg(home)
        .spawn()
        .context("start a worker")
}

/// What each process says that it handled. Processes tell it with their heartbeat, each second.
fn handled_by(system: &System) -> Vec<(u32, u64)> {
    let mut handled = Vec::new();
    for _ in 0..50 {
        handled = system.store().processes().wait().map_or_else(
            |_| Vec::new(),
            |processes| {
                let of = |process: &ProcessState| (process.process.pid, process.counters.done);
                processes
                    .iter()
                    .map(of)
                    .filter(|(_, count)| *count > 0)
                    .collect()
            },
        );
        if handled.iter().map(|(_, count)| count).sum::<u64>() >= EVENTS {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    handled
}

/// Waits, at most half a minute, until the ledger says that all are done.
fn wait_until_done(system: &System) -> u64 {
    let mut done = 0;
    for _ in 0..300 {
        done = system
            .store()
            .tallies()
            .wait()
            .map_or(0, |tallies| tallies.iter().map(|tally| tally.done).sum());
        if done == EVENTS {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    done
}

fn worker(home: &Path) -> anyhow::Result<()> {
    let system = open(home)?;
    system.router().subscribe(
        Subscribe::durable("evaluator").to(["TRAINING_COMPLETED"]),
        Function::asynchronous(|_| async {
            // Some work, so that one process does not take everything before the other is up.
            tokio::time::timeout(Duration::from_millis(2), std::future::pending::<()>())
                .await
                .ok();
            Ok(())
        }),
    )?;
    loop {
        std::thread::park();
    }
}
