//! What can be set about the router.

use std::time::Duration;

use super::in_flight::{IN_FLIGHT_BYTES_MAX, IN_FLIGHT_COUNT_MAX};
use crate::bus::MAILBOX_CAPACITY;
use crate::handler::{IN_FLIGHT_MAX, Policy};
use crate::store::log::Durability;

/// How long a receipt waits for local handlers when it is asked to: longer would make every slow
/// handler its publishers' problem.
pub const PUBLISH_WAIT: Duration = Duration::from_secs(5);

/// How long a shutdown waits for what runs before it is given up.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

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
        }
    }
}
