//! Where one event stands with each subscription, and why: facts in, verdicts out.
//!
//! It promises that a verdict is what was recorded, or what follows exactly from the versions,
//! positions and claims of that time. What cannot be known is [`crate::verdict::Code::HnNoRecord`]
//! and says so. Each verdict is made in one place, with what is, what was expected, and the command
//! to run next.
//!
//! `Known` reads everything once; the rest is plain functions of it, and asks neither the store
//! nor the clock. The files follow the way of an event: `route` is whether the subscription takes
//! it, `wait` what it waits for, `handle` what a handler made of it, `settle` how it ended
//! otherwise; `judge` puts their answers in order.
//!
//! It deliberately changes nothing, and looks at no process but through the store.

mod bridge;
mod busy;
mod dry;
mod edited;
mod error;
mod evidence;
mod explanation;
mod gone;
mod handle;
mod judge;
mod known;
pub mod name;
mod publication;
mod route;
mod settle;
mod standing;
mod tree;
mod unlogged;
mod wait;
mod whole;
mod why_not;

#[cfg(test)]
mod busy_tests;
#[cfg(test)]
mod end_tests;
#[cfg(test)]
mod generation_tests;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod wait_tests;

pub use dry::{Draft, Foreseen, Prediction};
pub use error::Error;
pub use evidence::readable;
pub use explanation::{Author, Cause, Explanation, Findings, Told};
pub use known::{Known, Scenery};
pub use standing::{Earlier, Recorded, Standing, Verdict};
pub use tree::{Node, Tree};
pub use whole::{Side, Whole};
pub use why_not::{Asked, Group, NearType, WhyNot, Window};
