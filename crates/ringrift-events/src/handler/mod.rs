//! The user's function, its policies in their fixed order, and what came of each run.
//!
//! A [`Handler`] joins a [`Function`] with a [`Policy`]. The order of policies is fixed: filter
//! (where events are matched, before a delivery exists), dedup, rate, concurrency, time limit.
//! [`Handler::admit`] takes a delivery through the waiting ones and answers a [`Ticket`];
//! [`Handler::run`] spends it and answers what happened.
//!
//! Promises: a panic, an error, a time-out are outcomes, never the end of anything else; a slot
//! stays taken until its run has really ended; a dedup key is confirmed by success only.
//!
//! It deliberately decides nothing: no retries, no dead letters, no log lines about outcomes.

mod admit;
mod context;
pub mod dedup;
mod foreign;
mod function;
mod guard;
mod lag;
mod lane;
mod named;
mod observer;
mod own_dedup;
mod panics;
mod policy;
mod rate;
mod reply;
pub mod retry;
mod run;
mod run_blocking;
mod series;
mod stats;
#[cfg(test)]
mod testing;
mod thread_state;
pub mod vitals;
mod waiting;
pub mod watch;
mod watched;

pub use admit::{Admission, Ticket};
pub use context::{Context, StepKind};
pub use foreign::{Foreign, Looking};
pub use function::{Function, Kind};
pub use lag::Lag;
pub use named::{Handler, Host};
pub use observer::{Observer, StoreObserver, Unobserved};
pub use policy::{
    CONCURRENCY, DEDUP_TTL, Dedup, IN_FLIGHT_MAX, Policy, Rate, SLOW, TIME_LIMIT,
    TIME_LIMIT_SETTING,
};
pub use reply::{NotDone, Reply};
pub use retry::RetryPolicy;
pub use run::{Delivery, Late, LateEnd, Ran};
pub use series::{Series, Step, Unfinished};
pub use stats::{RecentError, Stats};
pub use vitals::Vitals;
pub use watch::{ForeignStall, Noticed, Watch};
pub use watched::{ThreadLook, WatchedThread};
