//! The one door that joins bus, stages, queue and dead letters.
//!
//! Publish goes down: door, catalog, queue (the commit), then stages and bus. Receive comes up:
//! poller, stages, bus. Outcomes return here and nowhere else, for the router alone decides what
//! follows from them: done, dead letter, retry.
//!
//! It promises that a bridged publish is committed before anybody handles it, that a failed commit
//! was delivered to nobody, and that a retry reaches the handler that failed and no other. It
//! deliberately runs no background work of its own: `daemons` does, by the functions here.

mod again;
mod complete;
mod durable;
mod error;
mod here;
mod hosted;
mod in_flight;
mod live;
mod noted;
mod polled;
mod present;
mod publish;
mod publishing;
mod receipt;
mod receive;
mod refusals;
mod restart;
mod retries;
mod runs;
mod settings;
mod settling;
mod shared;
mod shutdown;
mod subscribe;
mod subscription;
mod waits;

pub use error::Error;
pub use in_flight::{IN_FLIGHT_BYTES_MAX, IN_FLIGHT_COUNT_MAX};
pub use polled::PollPlace;
pub use publish::{PUBLISH_MANY_MAX, Publish};
pub use publishing::{Publishing, PublishingMany};
pub use receipt::{Receipt, Route};
pub use restart::Restarted;
pub use settings::{
    CLAIM_AHEAD, FACTS_PER_SECOND, PUBLISH_WAIT, REPEAT_RECORDED_EVERY, Recording, SHUTDOWN_GRACE,
    Settings, WAIT_RECORDED,
};
pub use shared::{LocalStats, Parts, Router};
pub use subscribe::{DEDUP_FIELDS_MAX, NAME_BYTES_MAX, Subscribe, check_name};
pub use subscription::Subscription;

/// The router under the name that operators know.
pub type UnifiedEventRouter = Router;

use shared::Shared;
