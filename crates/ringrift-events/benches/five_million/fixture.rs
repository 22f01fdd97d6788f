//! The store of five million events: generated once, copied for whatever changes it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ringrift_events::clock::{Clock as _, ManualClock, SharedClock, SystemClock, Time};
use ringrift_events::event::{Event, EventId, EventType, Payload, ProcessId, Seq, TraceId};
use ringrift_events::store::log::{Batch, Draft, Durability, TypeSet};
use ringrift_events::store::registry::{Counters, ProcessIdentity};
use ringrift_events::store::sqlite::{OpenOptions, SqliteStore, database_of};
use ringrift_events::store::subscriptions::{Definition, Kind, Start};
use ringrift_events::store::{Log as _, Registry as _, Subscriptions as _, Upkeep as _};

use crate::figure::Stopwatch;
use crate::{Outcome, sql};

const TYPES: usize = 20;
const SUBSCRIPTIONS: usize = 20;
const PENDING: i64 = 100_000;
const BATCH: usize = 10_000;

/// Generating and copying needs about 7 GB; a machine must not run full in between.
const FREE_BYTES_MIN: u64 = 10 << 30;

/// Reads the schema as text: a fixture of another one is generated anew.
const SCHEMA: &str =
    "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_master ORDER BY name)";

/// Generates the store in `folder`, unless there is one of this schema and size.
pub(crate) fn provide(folder: &Path, events: i64) -> Outcome<()> {
    let database = database_of(folder);
    if database.exists() && is_current(folder, &database, events)? {
        return Ok(());
    }
    require_room(folder)?;
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    let watch = Stopwatch::start();
    generate(folder, events)?;
    println!("generated {events} events in {:.0} s", watch.seconds());
    Ok(())
}

fn is_current(folder: &Path, database: &Path, events: i64) -> Outcome<bool> {
    let fresh = folder.with_extension("schema");
    let store = open(&fresh, Arc::new(SystemClock))?;
    store.close();
    let schema = sql::answer(&database_of(&fresh), SCHEMA);
    std::fs::remove_dir_all(&fresh)?;
    // One that cannot be asked is not current.
    let has = |question: &str| sql::answer(database, question).unwrap_or_default();
    let last = has("SELECT MAX(seq) FROM events");
    Ok(has(SCHEMA) == schema? && last == events.to_string() && pending(database) <= PENDING)
}

fn pending(database: &Path) -> i64 {
    let count = sql::pending().and_then(|sql| sql::answer(database, &sql));
    count
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(i64::MAX)
}

fn require_room(folder: &Path) -> Outcome<()> {
    let parent = folder.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)?;
    let free = rustix::fs::statvfs(parent)?;
    let free = free.f_bavail * free.f_frsize;
    if free < FREE_BYTES_MIN {
        return Err(format!(
            "{} has {} MiB free, the fixture needs {} MiB",
            parent.display(),
            free >> 20,
            FREE_BYTES_MIN >> 20
        )
        .into());
    }
    Ok(())
}

pub(crate) fn open(folder: &Path, clock: SharedClock) -> Outcome<Arc<SqliteStore>> {
    std::fs::create_dir_all(folder)?;
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
    let event_type = format!("type_{}", n % TYPES);
    event(store, clock, &event_type, payload)
}

/// An event of this store.
pub(crate) fn event(
    store: &SqliteStore,
    clock: &dyn ringrift_events::clock::Clock,
    event_type: &str,
    payload: String,
) -> Draft {
    let event = Event {
        id: EventId::new(clock),
        event_type: EventType::from_canonical(event_type),
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
        call_site: None,
    }
}

fn subscribe(store: &SqliteStore, name: &str, only: Option<&str>, start: Start) -> Outcome<()> {
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
    store.subscribe(definition, false).wait()?;
    Ok(())
}

/// A copy of the fixture, a home of its own that goes with the value.
pub(crate) struct Copy(PathBuf);

impl Copy {
    pub(crate) fn of(fixture: &Path) -> Outcome<Copy> {
        require_room(fixture)?;
        let copy = Copy(fixture.with_extension("copy"));
        copy.remove();
        let database = copy.database();
        std::fs::create_dir_all(database.parent().unwrap_or(&copy.0))?;
        std::fs::copy(database_of(fixture), &database)?;
        // It says that it is the fixture; a file that says nothing belongs to whoever opens it.
        sql::answer(&database, "DELETE FROM home")?;
        Ok(copy)
    }

    pub(crate) fn home(&self) -> &Path {
        &self.0
    }

    pub(crate) fn database(&self) -> PathBuf {
        database_of(&self.0)
    }

    pub(crate) fn open(&self) -> Outcome<Arc<SqliteStore>> {
        open(&self.0, Arc::new(SystemClock))
    }

    /// Adds a subscription that owes everything of its type, or everything.
    pub(crate) fn subscribe_at_the_start(&self, only: Option<&str>) -> Outcome<()> {
        let store = self.open()?;
        subscribe(&store, "start", only, Start::Beginning)?;
        store.close();
        Ok(())
    }

    fn remove(&self) {
        // What is left of a run that was ended; that there is nothing is well.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.remove();
    }
}
