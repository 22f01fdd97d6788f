//! The store in memory: the oracle that every other store is compared with, and what tests of
//! higher rooms run on.
//!
//! One [`MemoryHub`] stands for one home; each [`MemoryStore`] opened on it for one process. It
//! keeps every promise of the traits that does not need a disk: [`Upkeep::backup`] and
//! [`Upkeep::query`] are refused, and nothing outlives the hub. It deliberately has no threads:
//! each verb is done when its call returns.
//!
//! The state of every durable delivery is written down one by one ([`state::Delivery`]), where
//! SQLite keeps ranges: two ways to the same sums.
//!
//! [`Upkeep::backup`]: crate::store::Upkeep::backup
//! [`Upkeep::query`]: crate::store::Upkeep::query

mod hub;
mod state;
mod verbs;

mod claims;
mod counting;
mod dedup;
mod due;
mod facts;
mod give_back;
mod letters;
mod log;
mod matching;
mod records;
mod redeliveries;
mod registry;
mod retention;
mod scan;
mod seek;
mod settle;
mod standing;
mod subscriptions;
mod takeover;
mod tallies;
mod trail;
mod upkeep;
mod watching;
mod watching_verbs;

#[cfg(test)]
pub(crate) mod harness;
#[cfg(test)]
mod tests;

pub use hub::{LEASE, MEMORY_EVENTS_MAX, MemoryHub, MemoryStore};
