//! A store that fails on purpose, by a seed: for tests of whoever uses a store.
//!
//! [`FaultyStore`] wraps any store. Before a call it draws from its seed what goes wrong: the call
//! is refused and nothing happened, it is applied and its answer is lost
//! ([`Error::may_have_applied`](crate::store::Error::may_have_applied)), its answer is late, the
//! store is busy or full. The same seed and the same calls give the same faults.
//!
//! It deliberately breaks no promise of the traits: whatever it does, a store may do. It never
//! harms what a call without an answer does (heartbeats, running slots, the doorbell).

mod plan;
mod records;
mod verbs;
mod watching;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use plan::{Fault, FaultPlan, FaultyStore};
