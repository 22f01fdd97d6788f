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
mod hosted;
mod in_flight;
mod live;
mod polled;
mod publish;
mod publishing;
mod receipt;
mod receive;
mod retries;
mod runs;
mod settings;
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
pub use settings::{CLAIM_AHEAD, PUBLISH_WAIT, SHUTDOWN_GRACE, Settings};
pub use shared::{LocalStats, Parts, Router};
pub use subscribe::{NAME_BYTES_MAX, Subscribe};
pub use subscription::Subscription;

/// The router under the name that operators know.
pub type UnifiedEventRouter = Router;

use shared::Shared;
