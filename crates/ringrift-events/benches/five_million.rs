//! Times the public SQL on a log of five million events and twenty durable subscriptions, with
//! Debian's `sqlite3`: `cargo bench -p ringrift-events --bench five_million -- FOLDER [EVENTS]`.
//!
//! The store is generated once into FOLDER and used again by later runs. Three states are timed:
//! at most 100,000 events pending; a subscription to one type at the log's start; one to every
//! type there, so that everything is pending. Deletes run on a copy.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ringrift_events::clock::{Clock as _, ManualClock, SystemClock, Time};
use ringrift_events::event::{Event, EventId, EventType, Payload, ProcessId, Seq, TraceId};
use ringrift_events::store::log::{Batch, Draft, Durability, TypeSet};
use ringrift_events::store::registry::{Counters, ProcessIdentity};
use ringrift_events::store::sqlite::{OpenOptions, SqliteStore, database_of};
use ringrift_events::store::subscriptions::{Definition, Kind, Start};
use ringrift_events::store::{Log as _, Registry as _, Subscriptions as _, Upkeep as _};

type Outcome<T> = Result<T, Box<dyn Error>>;

const TYPES: usize = 20;
const SUBSCRIPTIONS: usize = 20;
const PENDING: i64 = 100_000;
const BATCH: usize = 10_000;

/// The runbook's statements, by what they show.
const QUERIES: &[(&str, &str)] = &[
    (
        "pending",
        "SELECT COUNT(*) FROM cross_process_events WHERE acked = 0",
    ),
    (
        "newest ten",
        "SELECT id, event_type, created_at, acked FROM cross_process_events \
         ORDER BY created_at DESC LIMIT 10",
    ),
    (
        "throughput by minute",
        "SELECT strftime('%Y-%m-%d %H:%M', created_at) as minute, COUNT(*) as count \
         FROM cross_process_events WHERE created_at > datetime('now', '-1 hour') \
         GROUP BY minute ORDER BY minute",
    ),
    (
        "depth by hour",
        "SELECT strftime('%Y-%m-%d %H:00', created_at) as hour, COUNT(*) as pending \
         FROM cross_process_events WHERE acked = 0 GROUP BY hour ORDER BY hour",
    ),
    (
        "failures by type",
        "SELECT event_type, COUNT(*) as failures FROM dead_letter_queue \
         WHERE created_at > datetime('now', '-24 hours') GROUP BY event_type \
         ORDER BY failures DESC LIMIT 10",
    ),
    (
        "one type of one key",
        "SELECT COUNT(*) FROM cross_process_events WHERE event_type = 'type_3' \
         AND payload LIKE '%cfg_3%' AND created_at > datetime('now', '-24 hours')",
    ),
];

const CLEAR: &str = "DELETE FROM cross_process_events WHERE acked = 0";
const CLEAR_LETTERS: &str =
    "DELETE FROM dead_letter_queue WHERE created_at < datetime('now', '-7 days')";

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().ok_or("a folder is needed")?);
    let events: i64 = args.next().map_or(Ok(5_000_000), |text| text.parse())?;
    if !database_of(&folder).exists() {
        std::fs::create_dir_all(&folder)?;
        let began = SystemClock.monotonic();
        generate(&folder, events)?;
        println!("generated {events} events in {:.1} s", since(began));
    }
    let database = database_of(&folder.canonicalize()?);
    time_all(&database, "at most 100,000 pending")?;
    let store = open(&folder, Arc::new(SystemClock))?;
    subscribe(&store, "start-one", Some("type_3"), Start::Beginning)?;
    store.close();
    time_all(&database, "a subscription to one type at the start")?;
    let store = open(&folder, Arc::new(SystemClock))?;
    let all = subscribe(&store, "start-all", None, Start::Beginning)?;
    store.close();
    time_all(&database, "a subscription to all types at the start")?;
    // As it was, for the next run.
    let store = open(&folder, Arc::new(SystemClock))?;
    for id in [all, all - 1] {
        let id = ringrift_events::store::subscriptions::SubscriptionId(id);
        store.remove(id, "five_million".to_owned(), false).wait()?;
    }
    store.close();
    Ok(())
}

fn since(began: Duration) -> f64 {
    SystemClock.monotonic().saturating_sub(began).as_secs_f64()
}

fn open(folder: &Path, clock: ringrift_events::clock::SharedClock) -> Outcome<Arc<SqliteStore>> {
    let process = ProcessIdentity {
        id: ProcessId::new(&*clock),
        host: "bench".to_owned(),
        pid: std::process::id(),
        command: "five_million".to_owned(),
        started_at: clock.now(),
        catalog_hash: 0,
        version: "0".to_owned(),
    };
    let mut options = OpenOptions::new(folder.to_owned(), process, clock);
    options.create = true;
    Ok(SqliteStore::open(options)?)
}

/// Seven days of events up to now, then twenty subscriptions near the end.
fn generate(folder: &Path, events: i64) -> Outcome<()> {
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    let start = SystemClock.now().before(week);
    let clock = Arc::new(ManualClock::new(start, 5));
    let store = open(folder, clock.clone())?;
    let batches = usize::try_from(events)?.div_ceil(BATCH);
    for batch in 0..batches {
        let drafts = (0..BATCH).map(|i| draft(&store, &clock, batch * BATCH + i));
        let drafts = drafts.collect();
        let durability = Durability::Process;
        store.append(Batch { drafts, durability }, None).wait()?;
        clock.advance(week / u32::try_from(batches)?);
    }
    let head = store.head().wait()?.seq;
    for n in 0..SUBSCRIPTIONS {
        let after = Start::After(Seq((head.0 - PENDING).max(0)));
        let types = format!("type_{}", n % TYPES);
        subscribe(&store, &format!("sub-{n}"), Some(&types), after)?;
    }
    store.beat(Counters::default(), head);
    println!("{} events are pending", store.count_pending().wait()?);
    store.close();
    Ok(())
}

fn draft(store: &SqliteStore, clock: &ManualClock, n: usize) -> Draft {
    let padding = "x".repeat(220);
    let payload = format!(
        r#"{{"config_key":"cfg_{}","n":{n},"pad":"{padding}"}}"#,
        n % 50
    );
    let event = Event {
        id: EventId::new(clock),
        event_type: EventType::from_canonical(&format!("type_{}", n % TYPES)),
        payload: Payload::from_checked(payload),
        source: "bench".to_owned(),
        key: None,
        published_at: Time(clock.now().0),
        trace_id: TraceId(EventId::new(clock).0),
        parent_id: None,
        depth: 0,
        origin: store.process_id(),
        stage: None,
        seq: None,
    };
    Draft {
        event: Arc::new(event),
        idempotency_key: None,
    }
}

fn subscribe(store: &SqliteStore, name: &str, only: Option<&str>, start: Start) -> Outcome<i64> {
    let types = match only {
        Some(name) => TypeSet::only([EventType::from_canonical(name)]),
        None => TypeSet::All,
    };
    let definition = Definition {
        name: name.to_owned(),
        kind: Kind::Durable,
        types,
        filter: None,
        start,
        dedup: Vec::new(),
        ordered_by_key: false,
    };
    Ok(store.subscribe(definition, false).wait()?.id.0)
}

fn time_all(database: &Path, state: &str) -> Outcome<()> {
    println!("\n{state}");
    for (name, sql) in QUERIES {
        time(database, name, sql)?;
    }
    let copy = database.with_extension("copy");
    std::fs::copy(database, &copy)?;
    time(&copy, "clear the queue", CLEAR)?;
    time(&copy, "delete old letters", CLEAR_LETTERS)?;
    std::fs::remove_file(&copy)?;
    Ok(())
}

fn time(database: &Path, name: &str, sql: &str) -> Outcome<()> {
    let began = SystemClock.monotonic();
    let done = Command::new("sqlite3").arg(database).arg(sql).output()?;
    let took = since(began);
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned().into());
    }
    let rows = String::from_utf8_lossy(&done.stdout).lines().count();
    println!("  {name:<24} {took:>7.2} s   {rows} rows");
    Ok(())
}
