//! What is kept so that it can be told later why something did not happen.
//!
//! What changes each second stands in the process's page and costs no transaction; rows are written
//! for what was refused, declared or changed, never for a success.

use serde::{Deserialize, Serialize};

use super::Pending;
use super::registry::Slot;
use super::subscriptions::SubscriptionId;
use crate::clock::Time;
use crate::event::{EventId, EventType, ProcessId, Seq};
use crate::verdict::{Code, Effort};

/// Subscriptions of one process that its page shows; of more, the busiest.
pub const HOSTS_SHOWN_MAX: usize = 64;

/// Stalls that a page shows at once: as many as a small machine has runtime threads.
pub const STALLS_SHOWN_MAX: usize = 4;

/// Daemons whose last cycles a page shows.
pub const CYCLES_SHOWN_MAX: usize = 16;

/// Different refusals that one process keeps; more are counted under an empty name.
pub const REFUSALS_MAX: usize = 1_000;

/// How a subscription stands in one process that hosts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostState {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Runs now, those that were given up and still hold their slot included.
    pub in_flight: u32,
    /// Events in this process that wait for their turn.
    pub waiting: u64,
    /// Given-up runs whose threads still run and hold a slot.
    pub abandoned: u32,
    /// Which limit the first of those waiting waits for: `WT_CONCURRENCY`, `WT_PROCESS_LIMIT` or
    /// `WT_RATE`; and since when.
    pub waits_for: Option<(Code, Time)>,
    /// A live one that reads on from the log since its mailbox was full: after which place.
    pub lagging_after: Option<Seq>,
    /// Since when it lags.
    pub lagging_since: Option<Time>,
    /// Runs of this process so far.
    pub ends: Ends,
    /// Runs since `window_since` only.
    pub window: Ends,
    /// When the window began: five to ten minutes ago, or with the handler.
    pub window_since: Time,
    /// The policy in force.
    pub policy: PolicyInForce,
}

/// How a handler's runs ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    /// Succeeded.
    pub done: u64,
    /// Failed, time-outs and panics among them.
    pub failed: u64,
    /// Skipped by the handler.
    pub skipped: u64,
    /// Not run, since their dedup key was known.
    pub duplicates: u64,
}

impl Ends {
    /// The higher of each: two views of the same counters, one of them older.
    #[must_use]
    pub fn max(self, other: Ends) -> Ends {
        Ends {
            done: self.done.max(other.done),
            failed: self.failed.max(other.failed),
            skipped: self.skipped.max(other.skipped),
            duplicates: self.duplicates.max(other.duplicates),
        }
    }
}

/// The policy a handler runs under in one process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyInForce {
    /// Runs at once, at most.
    pub concurrency: u32,
    /// How long a run may take, in milliseconds.
    pub time_limit_ms: u64,
    /// How often it may start: events, in milliseconds.
    pub rate: Option<(u32, u64)>,
    /// Runs of one delivery before its letter is dead.
    pub attempts_max: u32,
    /// The payload fields of its dedup key; none means by event id alone.
    pub dedup_fields: Vec<String>,
    /// How long a confirmed dedup key lives, in milliseconds; 0 without dedup.
    pub dedup_ttl_ms: u64,
}

/// How busy a process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Runs of all its handlers now.
    pub in_flight: u64,
    /// Their bound.
    pub in_flight_max: u64,
    /// Deliveries that wait for that bound now.
    pub waiting: u64,
    /// Deliveries that waited for it so long that it was recorded, since the process started.
    pub waited: u64,
    /// How late a task begins on the runtime, 99 of 100 times at most: over the last minute.
    pub lag_p99_us: u64,
    /// The latest of them; a look that was never answered counts as long as it has waited.
    pub lag_max_us: u64,
    /// Publishes on their way to the store.
    pub publishing: u64,
}

/// When a daemon of a process last finished a cycle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cycle {
    /// The daemon, such as `CROSS_PROCESS_POLLER`.
    pub daemon: String,
    /// When.
    pub at: Time,
}

/// What a process shows of itself with each beat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// Its subscriptions, the busiest first; [`HOSTS_SHOWN_MAX`] are seen.
    pub hosts: Vec<HostState>,
    /// How busy it is.
    pub load: Load,
    /// Its daemons' last cycles; [`CYCLES_SHOWN_MAX`] are seen.
    pub cycles: Vec<Cycle>,
}

/// What keeps a thread from yielding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StallClass {
    /// It waits in the kernel: a file, a socket, a lock.
    Io,
    /// It computes.
    Cpu,
    /// Neither can be said.
    #[default]
    Unknown,
}

impl StallClass {
    /// The class as it stands in evidence.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StallClass::Io => "io",
            StallClass::Cpu => "cpu",
            StallClass::Unknown => "unknown",
        }
    }
}

/// A handler that holds a runtime thread, or another language's loop, without yielding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// The subscription, where it is known.
    pub subscription: Option<SubscriptionId>,
    /// The handler's name, which is its subscription's.
    pub handler: String,
    /// The event it runs on.
    pub event: EventId,
    /// The event's place, if it is in the log.
    pub seq: Option<Seq>,
    /// The event's type.
    pub event_type: EventType,
    /// Since when it holds the thread.
    pub since: Time,
    /// For how long it has, when this was written, in milliseconds.
    pub held_ms: u64,
    /// What keeps it.
    pub class: StallClass,
    /// The processor time that the thread used while it was watched, in milliseconds; none where
    /// the system does not say.
    pub cpu_ms: Option<u64>,
    /// The thread's name.
    pub thread: String,
    /// The thread's number for the operating system; 0 where unknown.
    pub tid: u32,
    /// Its state in the kernel's letter: `R` runs, `S` sleeps, `D` waits for a device.
    pub state: Option<char>,
    /// The system call it is in, by name where known.
    pub syscall: Option<String>,
    /// What that call's descriptor is: a file's path or a peer's address.
    pub object: Option<String>,
    /// The line of source that holds it, where the handler's language tells.
    pub place: Option<String>,
}

/// A refused publish or subscribe, by name; those of one process with the same rest are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The process.
    pub process: ProcessId,
    /// `publish` or `subscribe`.
    pub verb: String,
    /// The name that was asked for, at most its first 100 bytes; empty when it is not about a name.
    pub name: String,
    /// The refusal's code.
    pub code: String,
    /// The subscription that was asked for; empty for publishes.
    pub subscription: String,
    /// The known name that may have been meant.
    pub nearest: Option<String>,
    /// Where the last one was asked for: `file:line`.
    pub call_site: Option<String>,
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first_at: Time,
    /// The last of them.
    pub last_at: Time,
}

/// Events of one type that stayed in their process because the type is not bridged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unbridged {
    /// The process.
    pub process: ProcessId,
    /// The type.
    pub event_type: EventType,
    /// How many.
    pub count: u64,
    /// The last one, and when it was published.
    pub last: Option<(EventId, Time)>,
}

/// Events that lacked a field of a handler's dedup key: they counted as no duplicates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingField {
    /// The process.
    pub process: ProcessId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The field.
    pub field: String,
    /// How many.
    pub count: u64,
    /// The last one, and when it came.
    pub last: (EventId, Time),
}

/// A handler that a program says it has, whether it was started or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredHandler {
    /// The process.
    pub process: ProcessId,
    /// Its name.
    pub name: String,
    /// The types it takes.
    pub types: Vec<String>,
    /// When it was declared.
    pub declared_at: Time,
    /// When it was started; none: never.
    pub started_at: Option<Time>,
}

/// A subscription in one process that hosts or hosted it: kept when the process is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// The process.
    pub process: ProcessId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The policy it ran under.
    pub policy: PolicyInForce,
    /// Since when.
    pub since: Time,
    /// Until when: the end that was seen of one that died; none while it hosts it.
    pub until: Option<Time>,
    /// How its runs ended, as its page said last.
    pub ends: Ends,
}

/// From when on a process published by which catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogSince {
    /// The process.
    pub process: ProcessId,
    /// The catalog's hash, as [`Records::catalog`] takes it.
    pub hash: u64,
    /// Since when.
    pub since: Time,
}

/// The verbs on what is kept so that it can be told.
pub trait Records: Send + Sync {
    /// Writes what this process shows of itself into its page. Never waits.
    fn show(&self, present: Present);

    /// Writes who holds threads of this process now; at most [`STALLS_SHOWN_MAX`] are seen. Never
    /// waits.
    fn show_stalls(&self, stalls: Vec<Stall>);

    /// Notes what a running handler has used so far. Never waits.
    fn progress(&self, slot: Slot, effort: Effort);

    /// Adds to the refusals of this process; the process in them is not looked at. At most
    /// [`REFUSALS_MAX`] different ones are kept, the rest is counted under an empty name.
    fn keep_refusals(&self, refusals: Vec<Refusal>) -> Pending<()>;

    /// The refusals of every process, the last first.
    fn refusals(&self) -> Pending<Vec<Refusal>>;

    /// Adds to the counts of unbridged publishes of this process; the process in them is not
    /// looked at.
    fn count_unbridged(&self, counts: Vec<Unbridged>) -> Pending<()>;

    /// The counts of unbridged publishes of every process, by process and type.
    fn unbridged(&self) -> Pending<Vec<Unbridged>>;

    /// Adds to the events of this process that lacked a field of a dedup key.
    fn count_missing_fields(&self, counts: Vec<MissingField>) -> Pending<()>;

    /// The events that lacked a field of a dedup key, by process, subscription and field.
    fn missing_fields(&self) -> Pending<Vec<MissingField>>;

    /// Keeps which handlers this process has. One that was started stays started.
    fn declare_handlers(&self, handlers: Vec<DeclaredHandler>) -> Pending<()>;

    /// The handlers that programs declared, by process and name.
    fn declared_handlers(&self) -> Pending<Vec<DeclaredHandler>>;

    /// Keeps under which policies this process hosts subscriptions, and how their runs ended.
    fn keep_hosts(&self, hosts: Vec<HostRecord>) -> Pending<()>;

    /// The subscriptions of every process that hosts or hosted some, by process and subscription.
    fn host_records(&self) -> Pending<Vec<HostRecord>>;

    /// Which catalogs processes published by, by process, the last first.
    fn process_catalogs(&self) -> Pending<Vec<CatalogSince>>;

    /// A catalog that some process published by: the text it was kept with.
    fn catalog(&self, hash: u64) -> Pending<Option<String>>;
}
