//! Pipelines as operators ask for them: did every step come, when, and what stands still?
//!
//! A pipeline is declared in the catalog or in `ringrift.toml`; this room reads the log for it.
//! [`Pipelines`] answers for a key or for all keys and stands on nothing but the log. `PIPELINE_WATCH`
//! notes when a step with a time limit is not followed and raises an alert, once, by the time of
//! receipt; the next step takes it back. It deliberately publishes nothing and calls nobody.

mod error;
mod flow;
mod matrix;
mod pipelines;
mod stall;
mod watch;

pub use crate::store::watching::STALLED_RULE;
pub use error::Error;
pub use flow::{Flow, StepFlow};
pub use matrix::{KeyFlow, Matrix};
pub use pipelines::Pipelines;
pub use stall::Stall;
pub use watch::{PipelineWatch, verify};
