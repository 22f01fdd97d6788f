//! What publishers feel while a shell reads or deletes.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ringrift_events::clock::SystemClock;
use ringrift_events::store::log::{Batch, Durability};
use ringrift_events::store::sqlite::SqliteStore;
use ringrift_events::store::{Log as _, Registry as _};

use crate::Outcome;
use crate::figure::{Stopwatch, figure};
use crate::fixture::{Copy, event};
use crate::sql::{self, answer, questions};

/// How long each state is measured.
const LASTS: Duration = Duration::from_secs(10);

/// Between two publishes: the stated production rate.
const BETWEEN: Duration = Duration::from_millis(2);

/// Publish latencies alone, and while a shell asks the monitoring questions without a pause.
pub(crate) fn selects(copy: &Copy) -> Outcome<()> {
    let store = copy.open()?;
    let over = AtomicBool::new(false);
    let alone = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| publish_until(&store, &over));
        std::thread::park_timeout(LASTS);
        over.store(true, Ordering::SeqCst);
        publisher.join()
    });
    over.store(false, Ordering::SeqCst);
    let beside = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| publish_until(&store, &over));
        let asked = ask_for(LASTS, copy);
        over.store(true, Ordering::SeqCst);
        asked.map(|()| publisher.join())
    })?;
    store.close();
    let (alone, beside) = (whole(alone)?, whole(beside)?);
    let (alone, beside) = (alone.p99_ms(), beside.p99_ms());
    figure("publish p99, nobody else", format!("{alone:.2} ms"), "");
    figure(
        "publish p99 while sqlite3 asks",
        format!("{beside:.2} ms ({:.1} x)", beside / alone),
        "≤ 2 x",
    );
    Ok(())
}

fn ask_for(how_long: Duration, copy: &Copy) -> Outcome<()> {
    let questions = questions()?;
    let watch = Stopwatch::start();
    while watch.elapsed() < how_long {
        for sql in &questions {
            answer(&copy.database(), sql)?;
        }
    }
    Ok(())
}

/// Publishes while a shell clears the queue.
pub(crate) fn delete(copy: &Copy) -> Outcome<()> {
    let store = copy.open()?;
    let over = AtomicBool::new(false);
    let (published, named, took) = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| publish_until(&store, &over));
        // As often as the shell says "locked", which changes nothing.
        let mut tries = 0;
        let watch = Stopwatch::start();
        let mut named = None;
        let done = loop {
            tries += 1;
            match clear(copy, &store, &mut named) {
                Ok(true) => break Ok(()),
                Ok(false) if tries < 20 => {}
                Ok(false) => break Err("still locked after 20 tries".into()),
                Err(error) => break Err(error),
            }
        };
        let took = watch.seconds();
        over.store(true, Ordering::SeqCst);
        let published = publisher.join();
        done.map(|()| (published, named, (took, tries)))
    })?;
    store.close();
    let published = whole(published)?;
    let longest = published.sorted_ms.last().copied().unwrap_or(0.0);
    figure(
        "sqlite3 clears the queue under publishing",
        format!("{:.2} s, {} tries", took.0, took.1),
        "≤ 20 tries",
    );
    figure("longest publish meanwhile", format!("{longest:.0} ms"), "");
    figure("publishes failed meanwhile", published.failed, "0");
    figure(
        "who held the lock, by name",
        named.unwrap_or_else(|| "nobody".to_owned()),
        "sqlite3",
    );
    Ok(())
}

/// Runs the delete and notes whom the waiting process names; `false`: the shell was locked out.
fn clear(copy: &Copy, store: &SqliteStore, named: &mut Option<String>) -> Outcome<bool> {
    let mut shell = Command::new("sqlite3")
        .arg(copy.database())
        .arg(sql::clear()?)
        .stderr(Stdio::piped())
        .spawn()?;
    while shell.try_wait()?.is_none() {
        let processes = store.processes().wait()?;
        let blocked = processes.into_iter().find_map(|one| one.blocked_by);
        if let Some((pid, command, _)) = blocked
            && pid == shell.id()
        {
            *named = command.split(' ').next().map(str::to_owned);
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let done = shell.wait_with_output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    match done.status.success() {
        true => Ok(true),
        false if said.contains("locked") => Ok(false),
        false => Err(said.into_owned().into()),
    }
}

/// What publishing came to.
struct Published {
    sorted_ms: Vec<f64>,
    failed: usize,
}

impl Published {
    fn p99_ms(&self) -> f64 {
        let place = (self.sorted_ms.len() * 99).div_ceil(100).saturating_sub(1);
        self.sorted_ms.get(place).copied().unwrap_or(f64::NAN)
    }
}

fn publish_until(store: &SqliteStore, over: &AtomicBool) -> Published {
    let mut published = Published {
        sorted_ms: Vec::new(),
        failed: 0,
    };
    let payload = format!(r#"{{"pad":"{}"}}"#, "x".repeat(280));
    while !over.load(Ordering::SeqCst) {
        // Of a type that nobody wants, so that it does not add to what is pending.
        let draft = event(store, &SystemClock, "beside", payload.clone());
        let batch = Batch {
            drafts: vec![draft],
            durability: Durability::Process,
        };
        let watch = Stopwatch::start();
        match store.append(batch, None).wait() {
            Ok(_) => published.sorted_ms.push(watch.seconds() * 1_000.0),
            Err(_) => published.failed += 1,
        }
        std::thread::park_timeout(BETWEEN.saturating_sub(watch.elapsed()));
    }
    published.sorted_ms.sort_by(f64::total_cmp);
    published
}

fn whole(published: std::thread::Result<Published>) -> Outcome<Published> {
    published.map_err(|_| "the publisher panicked".into())
}
