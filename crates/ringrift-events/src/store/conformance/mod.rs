//! What every store must keep, one function a promise.
//!
//! A store passes when [`run`] finds nothing broken. Write a [`Harness`] for it: how a process
//! starts, dies without a word, and hangs. Each promise runs on a harness of its own and is bounded
//! in time. Whatever the traits promise and this suite does not ask for is kept by nobody's word
//! alone: add the promise here first.
//!
//! It deliberately tests through the traits only: files, SQL views and pages have tests of their own.

mod bench;
mod compare;
mod harness;

mod claims;
mod counting;
mod dedup;
mod due;
mod edits;
mod letters;
mod log;
mod ordering;
mod reading;
mod records;
mod registry;
mod seeking;
mod settling;
mod subscriptions;
mod takeover;
mod trail;
mod upkeep;
mod watching;

#[cfg(test)]
pub(in crate::store) use bench::grows;
pub use bench::{Bench, at_once, rules};
pub use compare::compare;
pub use harness::{Broken, Check, Harness, Promise, run};

/// Every promise, by trait.
#[must_use]
pub fn promises() -> Vec<Promise> {
    [
        log::PROMISES,
        reading::PROMISES,
        subscriptions::PROMISES,
        seeking::PROMISES,
        claims::PROMISES,
        settling::PROMISES,
        due::PROMISES,
        ordering::PROMISES,
        dedup::PROMISES,
        letters::PROMISES,
        edits::PROMISES,
        takeover::PROMISES,
        trail::PROMISES,
        records::PROMISES,
        registry::PROMISES,
        upkeep::PROMISES,
        counting::PROMISES,
        watching::PROMISES,
    ]
    .concat()
}
