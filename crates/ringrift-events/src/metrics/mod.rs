//! What operators measure, as plain numbers: throughput, failures, depth, lag; checks against
//! limits; the series of `/metrics`; spans for OTLP.
//!
//! It reads the store in bounded steps, within a time limit, and says when an answer was cut. What
//! it answers is data that serialises: the command draws it, a server sends it, a script reads it.
//! It deliberately keeps no history: the log, the facts and the processes' pages are the history,
//! and whoever wants more of it asks `/metrics` regularly.

mod ask;
mod chart;
mod check;
mod depth;
mod exporter;
mod failures;
mod history;
mod lag;
mod owed;
mod places;
mod recents;
mod series;
mod spans;
mod standing;
mod throughput;

pub use ask::{Ask, By, LINES_MAX, TIME_LIMIT};
pub use chart::{Chart, Line};
pub use check::{CheckAsk, CheckRules, Checked, Level, Limits, Measure, check};
pub use depth::{Depth, DepthRow, depth};
pub use exporter::{ExportRules, Exporter, SUBSCRIPTIONS_MAX, TYPES_MAX};
pub use failures::{FAILED_ATTEMPTS, FAILURES, failures};
pub use history::{depth_over, lag_over};
pub use lag::{Lag, LagRow, lag};
pub use owed::{Owed, hosted_version};
pub use recents::{DURATION_BOUNDS, Durations, Fresh, Recents};
pub use series::{CONTENT_TYPE, Family, Kind, Sample, float, text};
pub use spans::{SPANS_SENT_MAX, SPANS_WAITING_MAX, Spans, Traced, request};
pub use standing::Standing;
pub use throughput::throughput;
