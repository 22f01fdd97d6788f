//! Every setting with its name, default, limits and reason: one table.

use std::time::Duration;

use super::value::{Bytes, LogLevel, Value};
use crate::bus::MAILBOX_CAPACITY;
use crate::catalog;
use crate::event::{DEPTH_MAX, PAYLOAD_BYTES_MAX};
use crate::handler;
use crate::lint;
use crate::log::Level;
use crate::metrics;
use crate::recovery;
use crate::router;
use crate::store::log::Durability;
use crate::store::{deliveries, sqlite};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

/// Makes one struct a section, with a named constant for each default, and the walk over all of
/// them that files, environment and `config show` share.
macro_rules! settings {
    ($(
        #[doc = $section_doc:literal]
        $section:ident: $Section:ident {
            $( #[doc = $doc:literal]
               $name:ident: $kind:ty = $constant:ident($default:expr) $(, $least:expr => $most:expr)?; )*
        }
    )*) => {
        $(
            #[doc = $section_doc]
            #[derive(Clone, Debug, PartialEq)]
            pub struct $Section { $( #[doc = $doc] pub $name: $kind, )* }

            impl $Section {
                $( #[doc = concat!("Default of `", stringify!($section), ".", stringify!($name), "`.")]
                   pub const $constant: $kind = $default; )*
            }

            impl Default for $Section {
                fn default() -> $Section { $Section { $( $name: $Section::$constant, )* } }
            }
        )*

        /// Every setting, by section.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Settings { $( #[doc = $section_doc] pub $section: $Section, )* }

        impl Settings {
            /// The sections' names.
            pub(super) const SECTIONS: &'static [&'static str] = &[$( stringify!($section), )*];

            /// Shows every setting to `visit`, in the order of the table.
            pub(super) fn each(&mut self, mut visit: impl FnMut(&mut dyn Slot)) {
                $( $( {
                    let limits: Option<($kind, $kind)> = settings!(@limits $( $least, $most )?);
                    visit(&mut Entry {
                        name: concat!(stringify!($section), ".", stringify!($name)),
                        doc: $doc,
                        value: &mut self.$section.$name,
                        limits,
                    });
                } )* )*
            }
        }
    };
    (@limits) => { None };
    (@limits $least:expr, $most:expr) => { Some(($least, $most)) };
}

settings! {
    /// What publishing may take.
    publish: Publish {
        /// Largest payload: larger things belong in a file that the event names.
        payload_max: Bytes = PAYLOAD_MAX(Bytes(PAYLOAD_BYTES_MAX as u64)), Bytes(2) => Bytes(PAYLOAD_BYTES_MAX as u64);
        /// Publishes in flight per process; beyond it `PUB_BACKPRESSURE`.
        in_flight_max: usize = IN_FLIGHT_MAX(router::IN_FLIGHT_COUNT_MAX), 1 => 1 << 24;
        /// Bytes of payload in flight per process; beyond it `PUB_BACKPRESSURE`.
        in_flight_bytes_max: Bytes = IN_FLIGHT_BYTES_MAX(Bytes(router::IN_FLIGHT_BYTES_MAX as u64)), Bytes(1 << 20) => Bytes(16 << 30);
        /// Circles of handlers end at this depth.
        depth_max: u32 = DEPTH(DEPTH_MAX as u32), 1 => DEPTH_MAX as u32;
        /// How long a receipt waits for this process's live handlers when asked to.
        wait: Duration = WAIT(router::PUBLISH_WAIT), ms(0) => secs(3_600);
    }
    /// What handlers may take, unless their own policy says otherwise.
    handler: Handlers {
        /// How long a run may take; known handlers run 500 s and more and raise it.
        time_limit: Duration = TIME_LIMIT(handler::TIME_LIMIT), ms(1) => days(7);
        /// From when on a run is called slow in the log.
        slow: Duration = SLOW(handler::SLOW), ms(1) => days(1);
        /// Runs of one handler at once.
        concurrency: u32 = CONCURRENCY(handler::CONCURRENCY), 1 => 10_000;
        /// Runs of all handlers of a process at once; each may hold a thread.
        in_flight_max: usize = IN_FLIGHT_MAX(handler::IN_FLIGHT_MAX), 1 => 10_000;
        /// From when on a handler that does not yield is named in the log.
        held_max: Duration = HELD_MAX(handler::watch::HELD_MAX), ms(10) => secs(3_600);
        /// How long a handler's confirmed dedup key lives.
        dedup_ttl: Duration = DEDUP_TTL(handler::DEDUP_TTL), ms(1) => days(365);
        /// Dedup keys that one live handler keeps in memory; expired ones go first.
        dedup_keys_max: usize = DEDUP_KEYS_MAX(handler::dedup::KEYS_MAX), 1 => 100_000_000;
    }
    /// Live subscriptions.
    live: Live {
        /// Events in one mailbox; a full one reads on from the log.
        mailbox: usize = MAILBOX(MAILBOX_CAPACITY), 1 => 10_000_000;
    }
    /// The store.
    store: Store {
        /// What an acknowledged publish survives: the death of processes, or power loss too.
        durability: Durability = DURABILITY(Durability::Process);
        /// How long a write waits for a foreign writer's lock, then `PUB_STORE_FAILED`.
        busy_limit: Duration = BUSY_LIMIT(sqlite::BUSY_TIMEOUT), ms(1) => secs(3_600);
        /// How long a hung process keeps its claims; extended while its handlers run.
        lease: Duration = LEASE(secs(30)), ms(500) => days(1);
        /// How often to look for what foreign writers wrote; our own ring the doorbell.
        poll_interval: Duration = POLL_INTERVAL(ms(500)), ms(1) => secs(60);
        /// Most events of one claim; with many durable subscriptions in a process, fewer.
        claim_events_max: usize = CLAIM_EVENTS_MAX(deliveries::CLAIM_EVENTS_MAX), 1 => deliveries::CLAIM_EVENTS_MAX;
        /// A claim takes what its handler's recent pace finishes in this time.
        claim_pace: Duration = CLAIM_PACE(secs(1)), ms(1) => secs(60);
        /// Deaths of its process while it ran alone that make an event poison.
        poison_deaths: u32 = POISON_DEATHS(2), 1 => 1_000;
        /// Share of the disk, in percent, that must stay free; below it `PUB_BACKPRESSURE`.
        disk_free_min_percent: u32 = DISK_FREE_MIN_PERCENT(5), 0 => 90;
        /// Size of the WAL above which health names who holds it.
        wal_max: Bytes = WAL_MAX(Bytes(sqlite::WAL_BYTES_MAX)), Bytes(1 << 20) => Bytes(1 << 40);
        /// Threads that answer questions; one may scan while the other serves the poller.
        readers: usize = READERS(sqlite::READERS), 1 => 64;
    }
    /// Dead letters and their retries.
    dlq: DeadLetters {
        /// Runs of one delivery before its letter is dead; the first one counts.
        attempts: u32 = ATTEMPTS(5), 1 => 10_000;
        /// Longest pause before the second run; each further one grows, with full jitter.
        backoff_first: Duration = BACKOFF_FIRST(secs(1)), ms(1) => days(1);
        /// By how much each further pause grows.
        backoff_factor: u32 = BACKOFF_FACTOR(2), 1 => 100;
        /// Longest pause before any run.
        backoff_most: Duration = BACKOFF_MOST(secs(300)), ms(1) => days(7);
        /// A live handler's letter becomes dead after this long without a process to retry it.
        orphaned: Duration = ORPHANED(days(1)), secs(1) => days(365);
    }
    /// How long things are kept.
    retention: Retention {
        /// Settled events.
        settled: Duration = SETTLED(days(7)), secs(1) => days(3_650);
        /// Verdicts and the audit.
        facts: Duration = FACTS(days(30)), secs(1) => days(3_650);
        /// Deleted rows, which can be restored that long.
        deleted: Duration = DELETED(days(7)), secs(1) => days(3_650);
        /// Work of a durable subscription without a process; then it expires with an alert.
        orphaned: Duration = ORPHANED(days(30)), secs(1) => days(3_650);
        /// Most bytes of the database file; the oldest settled events go first.
        log_bytes_max: Bytes = LOG_BYTES_MAX(Bytes(sqlite::LOG_BYTES_MAX)), Bytes(1 << 20) => Bytes(16 << 40);
        /// Most events in the log; the oldest settled ones go first.
        log_events_max: u64 = LOG_EVENTS_MAX(sqlite::LOG_EVENTS_MAX), 100 => 10_000_000_000;
        /// Pages of dead processes.
        pages: Duration = PAGES(days(1)), secs(1) => days(365);
        /// Most rows that one sweep deletes in one transaction.
        rows_max: usize = ROWS_MAX(1_000), 1 => 100_000;
    }
    /// This process.
    process: Process {
        /// How often it says that it lives.
        heartbeat: Duration = HEARTBEAT(secs(1)), ms(10) => secs(60);
        /// A living process without a heartbeat for this long is hung.
        hung_after: Duration = HUNG_AFTER(secs(10)), ms(100) => secs(3_600);
        /// How long a shutdown waits for what runs before it hands back the rest.
        shutdown_grace: Duration = SHUTDOWN_GRACE(router::SHUTDOWN_GRACE), ms(0) => secs(3_600);
        /// How long a command waits for another process's answer.
        command_wait: Duration = COMMAND_WAIT(secs(5)), ms(1) => secs(600);
    }
    /// Daemons and their supervision.
    daemons: Daemons {
        /// How often the sweeper looks for dead and hung processes.
        sweep_interval: Duration = SWEEP_INTERVAL(ms(500)), ms(10) => secs(60);
        /// How often the sweeper looks for what retention lets go.
        retention_interval: Duration = RETENTION_INTERVAL(secs(60)), ms(100) => days(1);
        /// First pause before a daemon is restarted; each further one doubles.
        restart_first: Duration = RESTART_FIRST(secs(1)), ms(1) => secs(3_600);
        /// Longest pause before a restart.
        restart_most: Duration = RESTART_MOST(secs(60)), ms(1) => days(1);
        /// Restarts of one daemon within `restart_window` before it has failed for good.
        restarts_max: u32 = RESTARTS_MAX(5), 1 => 1_000;
        /// The window of `restarts_max`.
        restart_window: Duration = RESTART_WINDOW(secs(600)), ms(100) => days(1);
        /// Restarts of all daemons within `breaker_window` that stop all restarting.
        breaker_restarts: u32 = BREAKER_RESTARTS(25), 1 => 10_000;
        /// The window of `breaker_restarts`.
        breaker_window: Duration = BREAKER_WINDOW(secs(300)), ms(100) => days(1);
    }
    /// What health calls degraded.
    health: Health {
        /// Pending events above which it is degraded.
        backlog: u64 = BACKLOG(1_000), 0 => 1_000_000_000;
        /// Dead letters above which it is degraded.
        dead_letters: u64 = DEAD_LETTERS(100), 0 => 1_000_000_000;
    }
    /// What is recorded so that it can be told later why.
    record: Record {
        /// How long a delivery waits for a limit before that is recorded: shorter waits are use.
        wait: Duration = WAIT(router::WAIT_RECORDED), ms(1) => days(1);
        /// How long a write waits for the lock before that is recorded, with who held it.
        lock_wait: Duration = LOCK_WAIT(sqlite::LOCK_WAIT_RECORDED), ms(100) => secs(3_600);
        /// Live skips, live duplicates and waits of one subscription recorded in a second; the rest is counted with the next.
        facts_per_second: u32 = FACTS_PER_SECOND(router::FACTS_PER_SECOND), 1 => 10_000;
        /// How long one event's repeated publishes are not recorded once more.
        repeat_every: Duration = REPEAT_EVERY(router::REPEAT_RECORDED_EVERY), ms(1) => days(1);
    }
    /// What operators do to recover.
    recovery: Recovery {
        /// Events a second of one replay; handlers get their own new events beside them. 0 is no limit.
        replay_per_second: u32 = REPLAY_PER_SECOND(recovery::PER_SECOND), 0 => 1_000_000;
    }
    /// What `lint` goes by.
    lint: Lint {
        /// How far back what was published and subscribed counts: what happens once a week is seen.
        since: Duration = SINCE(lint::SINCE), secs(1) => days(3_650);
        /// How similar two names must be, in percent, to be called a near miss: by lint, doctor, why-not and route.
        near_miss_percent: u32 = NEAR_MISS_PERCENT(catalog::NEAR_MISS_PERCENT), 50 => 100;
    }
    /// What `stats`, `check` and `/metrics` read and show.
    metrics: Metrics {
        /// How long one answer may read; then it says what it left out.
        time_limit: Duration = TIME_LIMIT(metrics::TIME_LIMIT), ms(10) => secs(600);
        /// Types that have a series of their own in `/metrics`; the rest is `other`.
        types_max: usize = TYPES_MAX(metrics::TYPES_MAX), 1 => 10_000;
        /// Subscriptions that have series of their own in `/metrics`; the rest is `other`.
        subscriptions_max: usize = SUBSCRIPTIONS_MAX(metrics::SUBSCRIPTIONS_MAX), 1 => 10_000;
        /// Connections to `run --listen` at once; beyond it 503.
        connections_max: usize = CONNECTIONS_MAX(16), 1 => 1_024;
        /// How long one connection to `run --listen` may last; it serves one request.
        connection_limit: Duration = CONNECTION_LIMIT(secs(30)), ms(100) => secs(600);
    }
    /// From when on doctor calls something a finding.
    doctor: Doctor {
        /// How long events may wait for a handler that no process runs: a restart takes a moment.
        unhosted_after: Duration = UNHOSTED_AFTER(secs(10)), ms(0) => days(1);
        /// How long somebody may hold the write lock: a statement by hand takes a moment.
        lock_held: Duration = LOCK_HELD(secs(1)), ms(1) => secs(3_600);
        /// How long a dead letter may be due before somebody has retried it.
        overdue: Duration = OVERDUE(secs(10)), ms(0) => days(1);
        /// Share of starts, in percent, from which on a handler fails consistently.
        failing_percent: u32 = FAILING_PERCENT(80), 1 => 100;
        /// Starts below which nothing is said of a share.
        failing_starts: u64 = FAILING_STARTS(20), 1 => 1_000_000;
        /// Events that must have failed: one bad event is no failing handler.
        failing_events: u64 = FAILING_EVENTS(3), 1 => 1_000_000;
        /// Equal content of one publisher within this time was meant as one event.
        twice_within: Duration = TWICE_WITHIN(secs(10)), ms(1) => secs(3_600);
        /// More equal copies than this are a beat and no slip.
        twice_copies: usize = TWICE_COPIES(3), 2 => 1_000;
        /// Events of a type that every filter must have turned away.
        filtered_events: u64 = FILTERED_EVENTS(20), 1 => 1_000_000;
        /// How late a dedup key may come after its window, in percent of it, to have been missed.
        window_missed_percent: u32 = WINDOW_MISSED_PERCENT(100), 1 => 1_000;
        /// Share of the dead letters, in percent, that one error makes up to be named.
        one_fault_percent: u32 = ONE_FAULT_PERCENT(80), 1 => 100;
        /// Dead letters below which nothing is said of a share.
        one_fault_letters: usize = ONE_FAULT_LETTERS(20), 1 => 100_000;
        /// How long a poller may leave an event unread.
        unread: Duration = UNREAD(secs(30)), ms(100) => days(1);
        /// Within which time somebody must have looked for dead processes.
        unswept: Duration = UNSWEPT(secs(30)), ms(100) => days(1);
        /// How long deliveries may wait for a place among their process's handlers.
        crowded_after: Duration = CROWDED_AFTER(secs(1)), ms(1) => days(1);
        /// By how much the clocks of a home's processes may differ.
        clock_skew: Duration = CLOCK_SKEW(secs(5)), ms(1) => days(1);
        /// Share of the disk, in percent, that must be free; publishing stops at half of it.
        disk_free_percent: u32 = DISK_FREE_PERCENT(10), 0 => 90;
    }
    /// From when on `check` calls a number critical, or warns where `health` has no figure.
    check: Check {
        /// Pending events that are critical; `health.backlog` warns.
        backlog_crit: u64 = BACKLOG_CRIT(10_000), 0 => 10_000_000_000;
        /// Dead letters that are critical; `health.dead_letters` warns.
        dead_letters_crit: u64 = DEAD_LETTERS_CRIT(1_000), 0 => 10_000_000_000;
        /// Age of the oldest unsettled event that warns: longer than most handlers run.
        lag_warn: Duration = LAG_WARN(secs(60)), ms(1) => days(30);
        /// Age of the oldest unsettled event that is critical.
        lag_crit: Duration = LAG_CRIT(secs(600)), ms(1) => days(30);
        /// Failed attempts that warn: any.
        failures_warn: u64 = FAILURES_WARN(0), 0 => 1_000_000_000;
        /// Failed attempts that are critical.
        failures_crit: u64 = FAILURES_CRIT(100), 0 => 1_000_000_000;
        /// Size of the WAL that is critical; `store.wal_max` warns.
        wal_crit: Bytes = WAL_CRIT(Bytes(4 * sqlite::WAL_BYTES_MAX)), Bytes(1 << 20) => Bytes(1 << 40);
    }
    /// Alerts and their sending.
    alerts: Alerts {
        /// How often rules look at what no event brings: absence, standstill, windows that pass.
        look_interval: Duration = LOOK_INTERVAL(secs(1)), ms(50) => secs(3_600);
        /// Occurrences that are older when they are first read raise nothing; as long as settled events are kept.
        look_back: Duration = LOOK_BACK(days(7)), secs(1) => days(3_650);
        /// An alert that nothing ends by itself is over after this long without an occurrence.
        resolve_after: Duration = RESOLVE_AFTER(days(1)), secs(1) => days(365);
        /// Tries of one message to a sink before it is given up; with these pauses about a quarter of an hour.
        attempts: u32 = ATTEMPTS(10), 1 => 1_000;
        /// Longest time of one try.
        send_limit: Duration = SEND_LIMIT(secs(5)), ms(10) => secs(60);
        /// Pause after the first failed try; each further one doubles.
        backoff_first: Duration = BACKOFF_FIRST(secs(1)), ms(1) => days(1);
        /// Longest pause between two tries.
        backoff_most: Duration = BACKOFF_MOST(secs(300)), ms(1) => days(7);
    }
    /// The log file.
    log: Log {
        /// Least level that is written.
        level: LogLevel = LEVEL(LogLevel(Level::Info));
        /// Size at which the file is turned over.
        bytes_max: Bytes = BYTES_MAX(Bytes(crate::log::LOG_BYTES_MAX)), Bytes(1 << 10) => Bytes(1 << 40);
        /// Files kept, the current one included.
        files_max: u32 = FILES_MAX(crate::log::LOG_FILES_MAX), 2 => 1_000;
    }
}

/// One setting while the walk stands at it.
pub(super) struct Entry<'s, V> {
    name: &'static str,
    doc: &'static str,
    value: &'s mut V,
    limits: Option<(V, V)>,
}

/// One setting, whatever its value is.
pub(super) trait Slot {
    /// Its name, such as `handler.time_limit`.
    fn name(&self) -> &'static str;

    /// Its reason, one sentence.
    fn doc(&self) -> &'static str;

    /// Its unit.
    fn unit(&self) -> &'static str;

    /// Its value as text.
    fn text(&self) -> String;

    /// Sets it, or says what was expected.
    fn set(&mut self, text: &str) -> Result<(), String>;
}

impl<V: Value> Slot for Entry<'_, V> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn doc(&self) -> &'static str {
        self.doc.trim()
    }

    fn unit(&self) -> &'static str {
        V::UNIT
    }

    fn text(&self) -> String {
        self.value.text()
    }

    fn set(&mut self, text: &str) -> Result<(), String> {
        let value = V::read(text).ok_or_else(|| V::FORM.to_owned())?;
        if let Some((least, most)) = &self.limits
            && !(least.amount()..=most.amount()).contains(&value.amount())
        {
            return Err(format!("{} to {}", least.text(), most.text()));
        }
        *self.value = value;
        Ok(())
    }
}
