//! What can be set about the router.

use std::time::Duration;

use super::in_flight::{IN_FLIGHT_BYTES_MAX, IN_FLIGHT_COUNT_MAX};
use crate::bus::MAILBOX_CAPACITY;
use crate::event::{DEPTH_MAX, PAYLOAD_BYTES_MAX};
use crate::handler::{IN_FLIGHT_MAX, Policy};
use crate::store::deliveries::CLAIM_EVENTS_MAX;
use crate::store::log::Durability;

/// How long a receipt waits for local handlers when it is asked to: longer would make every slow
/// handler its publishers' problem.
pub const PUBLISH_WAIT: Duration = Duration::from_secs(5);

/// How long a shutdown waits for what runs before it is given up.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// A claim takes what the handler's recent pace finishes in this time: enough to keep it busy
/// while the next claim is made, little enough that an idle process finds work.
pub const CLAIM_AHEAD: Duration = Duration::from_secs(1);

/// A wait this long is recorded: shorter ones are use.
pub const WAIT_RECORDED: Duration = Duration::from_secs(1);

/// Facts of one subscription that one process records in a second: a handler that skips all day
/// must not fill the store.
pub const FACTS_PER_SECOND: u32 = 20;

/// How long one event's repetition is not recorded once more: whoever publishes in a loop is told
/// of often enough.
pub const REPEAT_RECORDED_EVERY: Duration = Duration::from_secs(60);

/// When something is recorded that no row would tell otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recording {
    /// How long a delivery waits for a limit before that is recorded.
    pub wait: Duration,
    /// Live skips, live duplicates and waits of one subscription that are recorded in a second;
    /// the rest is counted with the next one.
    pub facts_per_second: u32,
    /// How long a repeated publish of one event is not recorded once more.
    pub repeat_every: Duration,
}

impl Default for Recording {
    fn default() -> Recording {
        Recording {
            wait: WAIT_RECORDED,
            facts_per_second: FACTS_PER_SECOND,
            repeat_every: REPEAT_RECORDED_EVERY,
        }
    }
}

/// The router's settings; `config` fills them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What an acknowledged publish survives.
    pub durability: Durability,
    /// Publishes in flight.
    pub in_flight_count: usize,
    /// Bytes of payload in flight.
    pub in_flight_bytes: usize,
    /// Events in one live subscription's mailbox.
    pub mailbox: usize,
    /// Handlers that run at once in this process.
    pub handlers_in_flight: usize,
    /// The policy of a handler that brings none.
    pub policy: Policy,
    /// How long a shutdown waits for what runs.
    pub shutdown_grace: Duration,
    /// Largest payload, in bytes; at most [`PAYLOAD_BYTES_MAX`].
    pub payload_bytes_max: usize,
    /// Deepest chain of events; at most [`DEPTH_MAX`].
    pub depth_max: u16,
    /// How long a receipt waits for local handlers when it is asked to.
    pub publish_wait: Duration,
    /// Most events of one claim; at most [`CLAIM_EVENTS_MAX`].
    pub claim_events_max: usize,
    /// A claim takes what its handler's recent pace finishes in this time.
    pub claim_ahead: Duration,
    /// When something is recorded that no row would tell otherwise.
    pub recording: Recording,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            durability: Durability::Process,
            in_flight_count: IN_FLIGHT_COUNT_MAX,
            in_flight_bytes: IN_FLIGHT_BYTES_MAX,
            mailbox: MAILBOX_CAPACITY,
            handlers_in_flight: IN_FLIGHT_MAX,
            policy: Policy::default(),
            shutdown_grace: SHUTDOWN_GRACE,
            payload_bytes_max: PAYLOAD_BYTES_MAX,
            depth_max: DEPTH_MAX,
            publish_wait: PUBLISH_WAIT,
            claim_events_max: CLAIM_EVENTS_MAX,
            claim_ahead: CLAIM_AHEAD,
            recording: Recording::default(),
        }
    }
}
