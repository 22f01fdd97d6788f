//! Wiring as a check: who publishes what, who subscribes to it, and what never meets.
//!
//! A look at the wiring joins three things: the catalog, what was really published and subscribed
//! in the last days (`observe`), and, if asked, the event names in users' sources (`sources`).
//! `judge` turns that into findings by plain rules; the catalog says which two names were meant to
//! be one; `baseline` keeps what was accepted, in a file that may only shrink; `sarif` writes them for
//! tools that show findings beside code.
//!
//! It promises that a finding names its evidence, and that the same wiring gives the same findings
//! in the same order. It deliberately changes nothing, and compiles nobody's code: a source is read
//! tolerantly, and what it hides behind a computed name stays unknown.

mod baseline;
mod error;
mod finding;
mod judge;
mod look;
mod observe;
mod sarif;
mod sources;
mod wiring;

pub use baseline::Baseline;
pub use error::Error;
pub use finding::{Class, Evidence, Finding, Severity};
pub use look::{Linted, Looked, Question, look};
pub use observe::EVENTS_MAX;
pub use sarif::sarif;
pub use sources::{Place, SOURCE_BYTES_MAX};
pub use wiring::{Subscriber, Use, Wiring};

/// How far back `lint` looks unless it is told: long enough for what happens once a week.
pub const SINCE: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);
