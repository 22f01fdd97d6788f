//! What a publish costs its caller, and how soon an async handler has the event: in the same process
//! and in another one. `cargo bench -p ringrift-events --bench latency`. Its counterpart in Python is
//! `crates/ringrift-py/benches/latency.py`; `cargo xtask figures --only python` runs both and compares.
//! Each line is `value`, a name, and the median in microseconds, divided by tabs.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringrift_events::clock::{Clock as _, SystemClock};
use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::handler::Function;
use ringrift_events::router::{Publish, Router, Subscribe};
use ringrift_events::system::System;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Publishes of which each figure is the median.
const TIMES: usize = 600;

/// Those before, which warm caches and do not count.
const WARM: usize = 50;

/// Between two publishes whose arrival is measured: the process is idle then, as between events.
const PAUSE: Duration = Duration::from_millis(5);

/// Tells a child that it is the other process.
const ROLE: &str = "RINGRIFT_BENCH_HANDLES";

/// Microseconds of every arrival.
type Arrivals = Arc<Mutex<Vec<i64>>>;

fn main() -> Outcome<()> {
    if let Some(folder) = std::env::var_os(ROLE) {
        return handles(Path::new(&folder));
    }
    let folder = std::env::temp_dir().join(format!("ringrift-latency-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = all(&folder);
    std::fs::remove_dir_all(&folder)?;
    measured
}

fn all(folder: &Path) -> Outcome<()> {
    let system = open(folder)?;
    call(system.router())?;
    let arrivals = Arrivals::default();
    let here = system
        .router()
        .subscribe(subscription(), noting(&arrivals))?;
    publish_paced(system.router())?;
    here.unsubscribe()?;
    value("same_process", &mut lock(&arrivals));
    other_process(folder, system.router())?;
    system.close();
    Ok(())
}

/// What the call costs whoever publishes: the commit is waited for outside of it.
fn call(router: &Router) -> Outcome<()> {
    let mut took = Vec::with_capacity(TIMES);
    for number in 0..WARM + TIMES {
        let text = payload();
        let began = SystemClock.monotonic();
        let publishing = router.publish(Publish::new("TRAINING_COMPLETED", text))?;
        let elapsed = SystemClock.monotonic().saturating_sub(began);
        publishing.wait()?;
        if number >= WARM {
            took.push(i64::try_from(elapsed.as_nanos())?);
        }
    }
    took.sort_unstable();
    println!("value\tcall\t{:.2}", took[TIMES / 2] as f64 / 1_000.0);
    Ok(())
}

fn other_process(folder: &Path, router: &Router) -> Outcome<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .env(ROLE, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut ready = String::new();
    said.read_line(&mut ready)?;
    publish_paced(router)?;
    drop(child.stdin.take());
    let mut rest = String::new();
    said.read_to_string(&mut rest)?;
    print!("{rest}");
    if child.wait()?.success() {
        Ok(())
    } else {
        Err("the other process failed".into())
    }
}

/// The other process: handles until its standard input ends.
fn handles(folder: &Path) -> Outcome<()> {
    let system = open(folder)?;
    let arrivals = Arrivals::default();
    system
        .router()
        .subscribe(subscription(), noting(&arrivals))?;
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    value("other_process", &mut lock(&arrivals));
    system.close();
    Ok(())
}

fn open(folder: &Path) -> Outcome<System> {
    let mut sources = ConfigSources::of_process(Home::at(folder));
    sources.flags = vec!["store.disk_free_min_percent=0".to_owned()];
    Ok(System::open(Config::load(sources)?)?)
}

fn subscription() -> Subscribe {
    Subscribe::live("latency").to(["TRAINING_COMPLETED"])
}

/// An async handler that notes how long ago its event was published.
fn noting(arrivals: &Arrivals) -> Function {
    let arrivals = Arc::clone(arrivals);
    Function::asynchronous(move |context| {
        let arrivals = Arc::clone(&arrivals);
        async move {
            let now = SystemClock.now().0;
            let sent = context.payload().fields()["sent_us"].as_i64();
            lock(&arrivals).push(now - sent.unwrap_or(0));
            Ok(())
        }
    })
}

fn publish_paced(router: &Router) -> Outcome<()> {
    for _ in 0..WARM + TIMES {
        std::thread::park_timeout(PAUSE);
        router
            .publish(Publish::new("TRAINING_COMPLETED", payload()))?
            .wait()?;
    }
    // The last ones are on their way.
    std::thread::park_timeout(PAUSE * 20);
    Ok(())
}

/// About 300 bytes.
fn payload() -> String {
    let (now, pad) = (SystemClock.now().0, "x".repeat(230));
    format!(r#"{{"config_key":"hex8_2p","sent_us":{now},"pad":"{pad}"}}"#)
}

fn value(name: &str, took: &mut Vec<i64>) {
    took.drain(..WARM.min(took.len()));
    took.sort_unstable();
    let median = took.get(took.len() / 2).copied().unwrap_or(i64::MAX);
    println!("value\t{name}\t{median}");
}

fn lock(arrivals: &Arrivals) -> std::sync::MutexGuard<'_, Vec<i64>> {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner)
}
