//! What the children of the ledger test do, and how they note it.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use ringrift_events::clock::{Clock, SystemClock};
use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::event::EventId;
use ringrift_events::handler::{Context, Function, NotDone, Policy, Reply};
use ringrift_events::router::{PUBLISH_MANY_MAX, Publish, PublishingMany, Subscribe};
use ringrift_events::store::registry::Liveness;
use ringrift_events::store::subscriptions::Start;
use ringrift_events::system::System;

use crate::support::child;

/// The durable subscriptions of every consumer.
pub(crate) const SUBSCRIPTIONS: [&str; 3] = ["alpha", "beta", "gamma"];

/// The lease the test runs with.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

pub(crate) fn open(home: &Path) -> System {
    let mut sources = ConfigSources::of_process(Home::at(home));
    sources.flags = [
        format!("store.lease={}ms", LEASE.as_millis()),
        "process.hung_after=2s".to_owned(),
        "daemons.sweep_interval=200ms".to_owned(),
        "dlq.backoff_first=50ms".to_owned(),
        "store.disk_free_min_percent=0".to_owned(),
    ]
    .to_vec();
    System::open(Config::load(sources).unwrap()).unwrap()
}

pub(crate) fn run_if_child() {
    let Some((role, home)) = child::role() else {
        return;
    };
    let home = home.as_path();
    match role.as_str() {
        "publisher" => publisher(home),
        "consumer" => host(home, &SUBSCRIPTIONS, false),
        "holder" => host(home, &SUBSCRIPTIONS, true),
        "heavy" => heavy(home),
        other => panic!("no role {other}"),
    }
}

fn publisher(home: &Path) {
    let system = open(home);
    for number in 0_u64.. {
        let payload = format!("{{\"config_key\":\"k{}\",\"number\":{number}}}", number % 7);
        let published = system
            .router()
            .publish_blocking(Publish::new("TRAINING_COMPLETED", payload));
        match published {
            Ok(receipt) => note(home, "accepted", receipt.id),
            Err(error) if error.is_retryable() => {}
            Err(error) => panic!("{error}"),
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Publishes in transactions as large as there are.
fn heavy(home: &Path) {
    let system = open(home);
    let publish = Publish::new("TRAINING_COMPLETED", "{\"config_key\":\"k\"}");
    loop {
        let many = vec![publish.clone(); PUBLISH_MANY_MAX];
        let sent = system.router().publish_many(many);
        match sent.map(PublishingMany::wait) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) | Err(error) if error.is_retryable() => {}
            Ok(Err(error)) | Err(error) => panic!("{error}"),
        }
    }
}

fn host(home: &Path, names: &'static [&'static str], holds: bool) {
    let system = open(home);
    for &name in names {
        let home = home.to_path_buf();
        let function = Function::asynchronous(move |context| {
            let home = home.clone();
            async move { handle(&home, name, holds, &context).await }
        });
        let policy = Policy {
            concurrency: 4,
            ..system.config().settings.policy()
        };
        let wanted = Subscribe::durable(name)
            .to(["TRAINING_COMPLETED"])
            .start(Start::Beginning)
            .policy(policy);
        system.router().subscribe(wanted, function).unwrap();
    }
    child::until_parent_is_gone();
}

async fn handle(home: &Path, name: &str, holds: bool, context: &Context) -> Reply {
    let event = context.event();
    let fields = event.payload.fields();
    if fields.get("kill").and_then(serde_json::Value::as_str) == Some(name) {
        std::process::abort();
    }
    if holds && fields.contains_key("hold") && name == "alpha" {
        // Held until this process is killed, or goes on after it was stopped.
        let began = SystemClock.monotonic();
        loop {
            drop(
                tokio::time::timeout(Duration::from_millis(50), std::future::pending::<()>()).await,
            );
            let since = SystemClock.monotonic().saturating_sub(began);
            if since > LEASE + Duration::from_secs(3) {
                return Ok(());
            }
        }
    }
    drop(tokio::time::timeout(Duration::from_millis(2), std::future::pending::<()>()).await);
    if event.id.0.as_bytes()[15].is_multiple_of(50) && context.attempt() == 1 {
        return Err(NotDone::failed("injected"));
    }
    note(home, name, event.id);
    Ok(())
}

/// Appends one id to a file of this process, whole, so that a kill leaves no half of it.
fn note(home: &Path, what: &str, id: EventId) {
    let path = home.join(format!("{what}-{}.ids", std::process::id()));
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    file.write_all(format!("{id}\n").as_bytes()).unwrap();
}

/// The ids that any process noted.
pub(crate) fn noted(home: &Path, what: &str) -> BTreeSet<EventId> {
    let mut ids = BTreeSet::new();
    for entry in std::fs::read_dir(home).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(&format!("{what}-")) && name.ends_with(".ids") {
            let text = std::fs::read_to_string(path).unwrap();
            ids.extend(text.lines().map(|line| EventId(line.parse().unwrap())));
        }
    }
    ids
}

pub(crate) fn publish(system: &System, name: &str, count: usize, payload: &str) {
    for _ in 0..count {
        system
            .router()
            .publish_blocking(Publish::new(name, payload))
            .unwrap();
    }
}

/// Whether some live process runs an event for this handler.
pub(crate) fn is_running(system: &System, name: &str) -> bool {
    let id = id_of(system, name);
    let processes = system.store().processes().wait().unwrap();
    processes.iter().any(|process| {
        process.liveness == Liveness::Alive
            && process
                .running
                .iter()
                .any(|running| Some(running.subscription) == id)
    })
}

/// How many live processes host this handler.
pub(crate) fn hosts(system: &System, name: &str) -> usize {
    let subscriptions = system.store().subscriptions().wait().unwrap();
    let found = subscriptions
        .iter()
        .find(|subscription| subscription.current().name == name);
    found.map_or(0, |found| found.hosts.len())
}

fn id_of(
    system: &System,
    name: &str,
) -> Option<ringrift_events::store::subscriptions::SubscriptionId> {
    let subscriptions = system.store().subscriptions().wait().unwrap();
    subscriptions
        .iter()
        .find(|subscription| subscription.current().name == name)
        .map(|found| found.id)
}

pub(crate) fn log_has(home: &Path, words: &str) -> bool {
    let text = std::fs::read_to_string(home.join("logs/coordination.log")).unwrap_or_default();
    text.contains(words)
}
