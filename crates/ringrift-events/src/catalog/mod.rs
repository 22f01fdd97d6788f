//! Every known type: category, bridge rule, stage, alert rule, required fields; filters.
//!
//! The catalog answers without a store and without waiting: whether a name is a type, whether it
//! leaves the process, what its payload must carry. An unknown name is refused with the nearest
//! ones. It deliberately keeps no subscriptions, no counters and nothing that changes while events
//! flow, and it reads no file: `config` parses `[[types]]`, the store keeps what users declared.

pub mod error;
pub mod filter;
pub mod payload;

pub use error::Error;
