//! RingRift Events: one publish reaches handlers in this process, the pipeline's stages, and
//! handlers in other processes; what fails is kept, retried and shown.
//!
//! The path of one event: [`router::Router::publish`] makes it and passes the door
//! ([`catalog`]); the store commits it ([`store`], by way of [`queue`]); then [`stages`] note it and
//! the [`bus`] puts it into the mailboxes of this process's live subscriptions. In every other
//! process the poller ([`daemons`]) reads it from the log, and durable subscriptions claim it.
//! A [`handler`] runs it under its policies; what came of it returns to the [`router`], which
//! settles it or leaves a dead letter ([`dead_letters`]) for the retry daemon.
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

pub mod explain;
pub mod health;
pub mod lint;
pub mod metrics;
pub mod pipeline;
pub mod recovery;

pub mod alerts;
pub mod doctor;

pub mod config;

pub mod system;

/// The first page's code, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod first_page {}
