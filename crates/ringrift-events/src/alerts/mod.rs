//! Alerts: what deserves somebody's attention now, told once, whoever of the processes runs.
//!
//! Rules come from the catalog (the critical types) and from `[[alert]]` in `ringrift.toml`. `ALERTS`
//! reads the log by a place that is kept with the alerts in one transaction, so a rule fires by what
//! was published, also while nobody looked, and once. Messages wait in the store until a sink took
//! them: at least once, and once unless the sender dies between the sink's yes and its own note.
//! Each try is bounded, a failing sink is retried, then given up, and either is recorded.
//!
//! It deliberately knows no handlers and changes nothing in the system it watches.

mod error;
mod judge;
mod memory;
mod operate;
mod progress;
mod rule;
mod send;
mod sink;
mod when;

pub use error::Error;
pub use judge::{AlertRules, AlertWatch};
pub use operate::{Alerts, Tested};
pub use rule::{Refused, Rule, RuleDraft, RuleOrigin, presets};
pub use send::SendRules;
pub use sink::{Form, Sink, SinkDraft, SinkKind, is_web_address, log_sink};
pub use when::When;
