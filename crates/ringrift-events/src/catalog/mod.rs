//! Every known type: category, bridge rule, stage, alert rule, required fields; filters.
//!
//! The catalog answers without a store and without waiting: whether a name is a type, whether it
//! leaves the process, what its payload must carry. An unknown name is refused with the nearest
//! ones. It deliberately keeps no subscriptions, no counters and nothing that changes while events
//! flow, and it reads no file: `config` parses `[[types]]`, the store keeps what users declared.

pub mod alert;
mod asked;
pub mod declare;
pub mod error;
pub mod filter;
mod known;
mod names;
mod nearest;
pub mod payload;
pub mod pipeline;
mod required;
mod shipped;
pub mod stages;
#[cfg(test)]
mod tests;
pub mod types;

pub use alert::AlertRule;
pub use asked::{Asked, Fields, Held};
pub use error::{Difference, Error};
pub use known::Catalog;
pub(crate) use names::words;
pub use names::{NEAR_MISS_PERCENT, NearNames};
pub use nearest::nearest_words;
pub use pipeline::Pipeline;
pub use required::{key_of, key_of_edited, usual_key};
pub use stages::StageEntry;
pub use types::{DeclaredIn, RequiredPolicy, TypeDeclaration, TypeEntry};
