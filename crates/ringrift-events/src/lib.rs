//! RingRift Events: one publish reaches handlers in this process, the pipeline's stages, and
//! handlers in other processes; what fails is kept, retried and shown.
//!
//! The rooms, lowest floor first. A room names only rooms of lower floors; `tests/tidy.rs` says so.

pub mod clock;
pub mod coded;
pub mod event;
pub mod verdict;

pub mod audit;
pub mod catalog;
pub mod trace;

pub mod store;

pub mod log;

pub mod bus;
pub mod dead_letters;
pub mod handler;
pub mod queue;
pub mod stages;

pub mod router;

pub mod daemons;

pub mod health;

pub mod config;

pub mod system;
