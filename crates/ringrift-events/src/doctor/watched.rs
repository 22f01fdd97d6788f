//! What the watchers have raised: pipelines that stand still, sinks that take no alerts.

use serde_json::{Value, json};

use super::chart::{Chart, utc};
use super::code::FindingCode;
use super::finding::{Finding, Subject};
use super::rules::Rules;
use crate::coded::quoted;
use crate::pipeline::verify;
use crate::store::watching::{Alert, SinkState};

/// Steps of pipelines that did not follow in time.
pub(super) fn stalled(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let one = |alert: &Alert| {
        let says = format!("{} (since {})", alert.summary, utc(alert.opened_at));
        let known: Value = serde_json::from_str(&alert.evidence).unwrap_or(Value::Null);
        // Made anew of its parts: an alert may be of a version that did not quote them.
        let command = match (known["pipeline"].as_str(), known["key"].as_str()) {
            (Some(pipeline), Some(key)) => verify(pipeline, key),
            _ => "ringrift pipeline ls".to_owned(),
        };
        let seen = json!({
            "alert": alert.id, "pipeline": alert.group, "opened_at": utc(alert.opened_at),
            "event": alert.event, "acknowledged": alert.acked.is_some(), "watched": known,
        });
        let subject = Subject {
            event: alert.event,
            ..Subject::thing(&alert.group)
        };
        Finding::new(FindingCode::PipelineStalled, subject, says, seen, command)
    };
    chart.stalled.iter().map(one).collect()
}

/// Sinks whose last message failed.
pub(super) fn sinks(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let fails = |state: &&SinkState| state.failures > 0 && state.failed_at > state.ok_at;
    let one = |state: &SinkState| {
        let (name, error) = (&state.sink, state.error.as_deref().unwrap_or("unknown"));
        let says = match state.failures {
            1 => format!("{name} failed the last time: {error}"),
            times => format!("{name} failed {times} times in a row: {error}"),
        };
        let seen = json!({
            "sink": name, "failures": state.failures, "error": error,
            "failed_at": state.failed_at.map(utc), "last_taken_at": state.ok_at.map(utc),
            "given_up": state.given_up,
        });
        let command = format!("ringrift alerts test {}", quoted(name));
        let code = FindingCode::SinkFailing;
        Finding::new(code, Subject::thing(name), says, seen, command)
    };
    chart.sinks.iter().filter(fails).map(one).collect()
}
