//! Processes, their daemons and commands, types, and what must outlast them.

use serde::{Deserialize, Serialize};

use super::Pending;
use super::log::TypeSet;
use super::records::{Cycle, HostState, Load, Stall};
use super::subscriptions::{Generation, SubscriptionId};
use crate::clock::Time;
use crate::event::{EventId, EventType, ProcessId, Seq};
use crate::verdict::{Code, Effort};

/// Last deliveries that a process shows.
pub const RECENT_MAX: usize = 256;

/// What a process says of itself when it joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// One start of one program.
    pub id: ProcessId,
    /// Its host's name.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Its command line, at most 1 KiB.
    pub command: String,
    /// When it started.
    pub started_at: Time,
    /// The hash of the catalog it publishes by.
    pub catalog_hash: u64,
    /// Its version of this library.
    pub version: String,
}

/// Whether a process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    /// It lives and beats.
    Alive,
    /// It lives, but its last beat is older than ten seconds.
    Hung,
    /// It ended by itself.
    Left,
    /// It died.
    Dead,
}

impl Liveness {
    /// Whether it can never write again.
    #[must_use]
    pub fn is_over(self) -> bool {
        match self {
            Liveness::Left | Liveness::Dead => true,
            Liveness::Alive | Liveness::Hung => false,
        }
    }
}

/// What a handler runs at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The event.
    pub event: EventId,
    /// The event's place, if it is in the log.
    pub seq: Option<Seq>,
    /// Since when, by the wall clock.
    pub since: Time,
    /// The step it named last.
    pub step: Option<String>,
    /// Since when it is in that step.
    pub step_since: Option<Time>,
    /// It has been given up; its thread still runs.
    pub abandoned: bool,
    /// What it has used so far, as it last said.
    pub effort: Effort,
}

/// One of the last deliveries of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recent {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The event.
    pub event: EventId,
    /// What came of it.
    pub code: Code,
    /// How long it took.
    pub took_us: u64,
    /// When it ended.
    pub at: Time,
}

/// A process's counters since its start, or their folded sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Events published.
    pub published: u64,
    /// Of those, events that stayed in the process.
    pub published_volatile: u64,
    /// Publishes that failed or were refused.
    pub publish_failed: u64,
    /// Events received from other processes.
    pub received: u64,
    /// Deliveries to handlers.
    pub delivered: u64,
    /// Of those, succeeded.
    pub done: u64,
    /// Of those, skipped by the handler.
    pub skipped: u64,
    /// Of those, duplicates.
    pub deduplicated: u64,
    /// Of those, failed.
    pub failed: u64,
}

/// A process as operators see it: from its page while there is one, from its row afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessState {
    /// What it said of itself.
    pub process: ProcessIdentity,
    /// Whether it lives.
    pub liveness: Liveness,
    /// Its last heartbeat; of one that left, when it did.
    pub beat_at: Time,
    /// Its counters.
    pub counters: Counters,
    /// What it runs now, or ran when it died.
    pub running: Vec<Running>,
    /// Its last deliveries, newest first, at most [`RECENT_MAX`].
    pub recent: Vec<Recent>,
    /// Up to where its poller has read.
    pub polled_to: Seq,
    /// While it waits for the write lock: who holds it (pid, command line) and since when it waits.
    pub blocked_by: Option<(u32, String, Time)>,
    /// How its subscriptions stand, or stood when it ended.
    pub hosts: Vec<HostState>,
    /// Who holds threads of it.
    pub stalls: Vec<Stall>,
    /// How busy it is.
    pub load: Load,
    /// When its daemons last finished a cycle.
    pub cycles: Vec<Cycle>,
}

/// How a daemon stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DaemonState {
    /// The process it runs in.
    pub process: ProcessId,
    /// Its name, such as `CROSS_PROCESS_POLLER`.
    pub name: String,
    /// `running`, `stopped`, `backoff`, `failed` or `standby`.
    pub state: String,
    /// Who stopped it.
    pub stopped_by: Option<String>,
    /// Restarts since its process started.
    pub restarts: u32,
    /// Its last error.
    pub error: Option<String>,
    /// When it last finished a cycle.
    pub cycle_at: Option<Time>,
    /// Since when it is in this state.
    pub since: Time,
}

/// A request to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Its number.
    pub id: i64,
    /// Whom it is for.
    pub process: ProcessId,
    /// What to do: `daemon.stop`, `daemon.start`, `daemon.restart`, `log.level`, `audit`, …
    pub verb: String,
    /// Its arguments, JSON.
    pub args: String,
    /// Who asked.
    pub by: String,
    /// When.
    pub at: Time,
    /// When the process took it.
    pub taken_at: Option<Time>,
    /// What it answered: `ok …` or `error …`.
    pub result: Option<String>,
}

/// A recorded fact, or an operator's act.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// When.
    pub at: Time,
    /// The verdict, for facts about events; none for operators' acts.
    pub code: Option<Code>,
    /// The event, if it is about one.
    pub event: Option<EventId>,
    /// Its place.
    pub seq: Option<Seq>,
    /// The last place, when the fact is about a range.
    pub seq_to: Option<Seq>,
    /// Its type.
    pub event_type: Option<EventType>,
    /// The subscription, if it is about one.
    pub subscription: Option<SubscriptionId>,
    /// The process it happened in.
    pub process: Option<ProcessId>,
    /// Who did it, for operators' acts; what was done, such as `dlq.retry`.
    pub act: Option<(String, String)>,
    /// The subscription's generation that it is about; recording fills in the present one.
    pub generation: Option<Generation>,
    /// Evidence, JSON.
    pub evidence: String,
}

/// Which facts; every field narrows.
#[derive(Clone, Debug, Default)]
pub struct FactFilter {
    /// About this event.
    pub event: Option<EventId>,
    /// About this subscription.
    pub subscription: Option<SubscriptionId>,
    /// With one of these codes.
    pub codes: Vec<Code>,
    /// Operators' acts only.
    pub acts_only: bool,
    /// At or after.
    pub since: Option<Time>,
    /// At most this many, newest first.
    pub limit: usize,
}

/// A type that users declared, as the store's catalog keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredType {
    /// Its canonical value.
    pub value: String,
    /// Its declaration in canonical JSON: two different ones of one value are an error.
    pub declaration: String,
}

/// The verbs on processes and on what they know together.
pub trait Registry: Send + Sync {
    /// This handle's process.
    fn process(&self) -> ProcessId;

    /// Every process known, live ones first.
    fn processes(&self) -> Pending<Vec<ProcessState>>;

    /// Writes the heartbeat, counters and poller's place of this process. Never waits, fails
    /// silently only after [`super::Store::close`]. The place is also saved where public SQL sees
    /// it (`acked`), at most once a second and only while it moves: an idle home commits nothing.
    fn beat(&self, counters: Counters, polled_to: Seq);

    /// Notes that a handler starts; the slot is to be given back to [`Registry::ended`]. Never
    /// waits. `None` when all slots are in use: the run goes on, unseen.
    fn started(&self, running: Running) -> Option<Slot>;

    /// Notes that the run in this slot has ended, told later by [`Registry::recent`], and that
    /// another of the same handler starts in its place. Answers as [`Registry::started`]; what is
    /// said of the ended run by its slot from now on is not taken. Never waits.
    fn next(&self, slot: Option<Slot>, running: Running) -> Option<Slot>;

    /// Notes that the run in this slot has ended, told by [`Registry::recent`]. Never waits.
    fn vacant(&self, slot: Option<Slot>);

    /// Notes what came of runs that have ended, oldest first. Never waits.
    fn recent(&self, recent: &[Recent]);

    /// Notes the step a running handler is in. Never waits.
    fn step(&self, slot: Slot, step: &str);

    /// Notes that the run was given up although its thread goes on. Never waits.
    fn abandoned(&self, slot: Slot);

    /// Notes that a handler ended and what came of it. Never waits.
    fn ended(&self, slot: Option<Slot>, recent: Recent);

    /// Blocks until something may be new (an append by any process, a command for this one, a
    /// call to [`Registry::ring`]) or `at_most` passed. May return early for no reason. `seen` is the
    /// value the last call returned; start with 0. Another value than that means that something may
    /// be new; the same value, that nothing was committed since, but within the last half second by
    /// somebody who does not ring.
    fn wait_for_news(&self, seen: u64, at_most: std::time::Duration) -> u64;

    /// The same for a caller that looks for appends of these types only, or of none: appends of
    /// other types need not end the wait. Work that no append brings does. Pass the same types
    /// with the value they answered.
    fn wait_for_news_of(
        &self,
        types: Option<&TypeSet>,
        seen: u64,
        at_most: std::time::Duration,
    ) -> u64 {
        // A store that cannot tell them apart wakes too often, which is allowed.
        let _any = types;
        self.wait_for_news(seen, at_most)
    }

    /// Rings the doorbell of every process of this store.
    fn ring(&self);

    /// Tries to become the one host of `role` in this home; the lock goes with the process or
    /// with [`Registry::resign`]. Idempotent.
    fn elect(&self, role: &str) -> Pending<bool>;

    /// Gives a role back.
    fn resign(&self, role: &str) -> Pending<()>;

    /// Who hosts a role, if anybody does.
    fn elected(&self, role: &str) -> Pending<Option<ProcessId>>;

    /// Whether the host of a role is [`Liveness::Hung`]: its lock stays, so that nobody else is elected.
    fn host_hangs(&self, role: &str) -> Pending<bool>;

    /// Writes how this process's daemons stand; one row a daemon.
    fn report_daemons(&self, states: Vec<DaemonState>) -> Pending<()>;

    /// How daemons stand in every process.
    fn daemons(&self) -> Pending<Vec<DaemonState>>;

    /// Leaves a command for another process and rings. [`super::ErrorCode::WrongState`] for a dead or stopped one.
    fn send(&self, process: ProcessId, verb: String, args: String, by: String) -> Pending<i64>;

    /// Takes this process's open commands.
    fn take_commands(&self) -> Pending<Vec<Command>>;

    /// Answers one.
    fn answer(&self, id: i64, result: String) -> Pending<()>;

    /// A command as it stands.
    fn command(&self, id: i64) -> Pending<Command>;

    /// Adds types to the store's catalog. Declaring the same again is fine; another declaration
    /// of a known value is [`super::ErrorCode::TypeDiffers`], showing both.
    fn declare_types(&self, types: Vec<DeclaredType>) -> Pending<()>;

    /// The types users declared.
    fn declared_types(&self) -> Pending<Vec<DeclaredType>>;

    /// Keeps the catalog this process publishes by from now on, its text once a hash.
    fn keep_catalog(&self, hash: u64, text: String) -> Pending<()>;

    /// Keeps facts. Bounded: the oldest go with retention.
    fn record(&self, facts: Vec<Fact>) -> Pending<()>;

    /// Facts, newest first.
    fn facts(&self, filter: FactFilter) -> Pending<Vec<Fact>>;
}

/// A running slot of this process's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(pub u32);
