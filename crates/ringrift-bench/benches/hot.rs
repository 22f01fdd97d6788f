//! What the functions cost that every publish and every delivery call:
//! `cargo bench -p ringrift-bench --bench hot`. The figures are printed and compared with the last
//! run's on this machine; they go nowhere else. The gate is `cargo xtask instructions`.

use std::collections::VecDeque;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use criterion::{BenchmarkId, Criterion, Throughput};
use ringrift_events::bus::{EventBus, MAILBOX_CAPACITY, Mailbox, Spent};
use ringrift_events::catalog::filter::Filter;
use ringrift_events::catalog::{Catalog, key_of, payload};
use ringrift_events::clock::{Clock as _, SharedClock, SystemClock};
use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::event::{Event, EventId, EventType, Payload, ProcessId, Seq, TraceId};
use ringrift_events::handler::dedup;
use ringrift_events::router::Publish;
use ringrift_events::store::log::TypeSet;
use ringrift_events::store::memory::MemoryHub;
use ringrift_events::system::{System, this_process};

const TYPE: &str = "TRAINING_COMPLETED";

/// As publishers write them: about 300 bytes, nested once.
const PAYLOAD: &str = r#"{"config_key":"hex8_2p","elo":1650.5,"games":20000,"model":{"path":"models/hex8_2p/candidate-0042.pt","sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},"board":"hex8","players":2,"stage":"training","duration_s":4211.7,"host":"node-1","tags":["nightly","gpu"]}"#;

const FILTER: &str =
    r#"config_key = hex8_2p and (elo__gte = 1900 or model.path__startswith = "models/")"#;

/// Live subscriptions of one type.
const SUBSCRIBERS: &[usize] = &[1, 10, 100];

/// How long publishes are measured. Memory keeps at most two million events, and refuses more.
const PUBLISHES_LAST: Duration = Duration::from_secs(2);

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut criterion = Criterion::default().configure_from_args();
    of_payloads(&mut criterion)?;
    of_names(&mut criterion)?;
    of_the_bus(&mut criterion);
    publishing(&mut criterion, folder.path())?;
    criterion.final_summary();
    Ok(())
}

/// The door's check, the parse at the first look, and what looks after that.
fn of_payloads(criterion: &mut Criterion) -> Result<()> {
    criterion.bench_function("payload check", |bencher| {
        bencher.iter(|| payload::check(black_box(PAYLOAD.as_bytes())));
    });
    criterion.bench_function("payload fields", |bencher| {
        bencher.iter(|| Payload::from_checked(black_box(PAYLOAD)).fields().len());
    });
    let filter = Filter::parse(FILTER)?;
    let event = event();
    criterion.bench_function("filter evaluate, parsed payload", |bencher| {
        bencher.iter(|| black_box(&filter).evaluate(black_box(&event.payload)));
    });
    let fields = ["config_key".to_owned(), "model.sha256".to_owned()];
    criterion.bench_function("dedup key of two fields", |bencher| {
        bencher.iter(|| dedup::key(black_box(&event), black_box(&fields)));
    });
    Ok(())
}

fn of_names(criterion: &mut Criterion) -> Result<()> {
    let catalog = Catalog::ringrift();
    criterion.bench_function("catalog resolve", |bencher| {
        bencher.iter(|| catalog.resolve(black_box(TYPE)));
    });
    let entry = catalog.resolve(TYPE)?;
    let payload = Payload::from_checked(PAYLOAD);
    criterion.bench_function("catalog key", |bencher| {
        bencher.iter(|| key_of(&entry, black_box(&payload), None));
    });
    criterion.bench_function("event id", |bencher| {
        bencher.iter(|| EventId::new(black_box(&SystemClock)));
    });
    Ok(())
}

/// One event into so many mailboxes, and out of them again.
fn of_the_bus(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bus deliver and take");
    for subscribers in SUBSCRIBERS {
        let event = Arc::new(event());
        let bus = EventBus::new(event.origin);
        let mailboxes: Vec<Arc<Mailbox>> = (0..*subscribers).map(|_| joined(&bus)).collect();
        let (mut delivered, mut taken) = (Vec::new(), VecDeque::new());
        group.throughput(Throughput::Elements(*subscribers as u64));
        group.bench_function(BenchmarkId::from_parameter(subscribers), |bencher| {
            bencher.iter(|| {
                delivered.clear();
                bus.deliver_into(black_box(&event), &mut delivered);
                for mailbox in &mailboxes {
                    mailbox.take_into(&mut taken, MAILBOX_CAPACITY, &mut Spent::default());
                }
                assert_eq!(taken.len(), *subscribers, "a mailbox did not take it");
                taken.clear();
            });
        });
    }
    group.finish();
}

/// A publish that waits, in memory: no disk, no other process.
fn publishing(criterion: &mut Criterion, folder: &Path) -> Result<()> {
    let clock: SharedClock = Arc::new(SystemClock);
    let store = MemoryHub::new(Arc::clone(&clock)).open(this_process(&*clock));
    let config = Config::load(ConfigSources::of_process(Home::at(folder)))?;
    let system = System::over(config, store, clock)?;
    let mut group = criterion.benchmark_group("in memory");
    group
        .warm_up_time(PUBLISHES_LAST / 2)
        .measurement_time(PUBLISHES_LAST);
    group.bench_function("publish_blocking", |bencher| {
        bencher.iter(|| {
            let receipt = system
                .router()
                .publish_blocking(Publish::new(TYPE, PAYLOAD));
            assert!(receipt.is_ok(), "{receipt:?}");
        });
    });
    group.finish();
    system.close();
    Ok(())
}

/// The mailbox of a subscription that has joined and takes what comes.
fn joined(bus: &EventBus) -> Arc<Mailbox> {
    let mailbox = bus.mailbox(MAILBOX_CAPACITY);
    let types = TypeSet::only([EventType::from_canonical("training_completed")]);
    bus.join(types, None, Arc::clone(&mailbox));
    mailbox.release(Seq::START.next());
    mailbox
}

/// An event that is not in the log, so that mailboxes take it again and again.
fn event() -> Event {
    let id = EventId::new(&SystemClock);
    Event {
        id,
        event_type: EventType::from_canonical("training_completed"),
        payload: Payload::from_checked(PAYLOAD),
        source: "trainer".to_owned(),
        key: Some("hex8_2p".to_owned()),
        published_at: SystemClock.now(),
        trace_id: TraceId(id.0),
        parent_id: None,
        depth: 0,
        origin: ProcessId::new(&SystemClock),
        stage: None,
        seq: None,
    }
}
