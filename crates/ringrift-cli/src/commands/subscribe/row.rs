//! One delivery as commands and readers of the stream get it.

use ringrift_events::handler::Context;
use ringrift_events::trace;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::output::{Moment, Zone, raw_json};

/// The JSON line of one delivery.
#[derive(Serialize)]
pub(super) struct Line {
    id: String,
    seq: Option<i64>,
    #[serde(rename = "type")]
    event_type: String,
    payload: Box<RawValue>,
    source: String,
    key: Option<String>,
    time: Moment,
    trace_id: String,
    parent_id: Option<String>,
    subscription: String,
    attempt: u32,
}

impl Line {
    /// The line of the delivery at hand.
    pub(super) fn of(zone: &Zone, context: &Context) -> Line {
        let event = context.event();
        Line {
            id: event.id.to_string(),
            seq: event.seq.map(|seq| seq.0),
            event_type: event.event_type.to_string(),
            payload: raw_json(event.payload.as_str()),
            source: event.source.clone(),
            key: event.key.clone(),
            time: zone.show(event.published_at),
            trace_id: event.trace_id.to_string(),
            parent_id: event.parent_id.map(|id| id.to_string()),
            subscription: context.handler().to_owned(),
            attempt: context.attempt(),
        }
    }
}

/// What a command finds in its environment.
///
/// A `ringrift publish` in it takes the event as parent: `TRACEPARENT` carries the trace,
/// `RINGRIFT_EVENT_ID` the parent, `RINGRIFT_DEPTH` how deep its child stands.
pub(super) fn environment(home: &str, context: &Context) -> Vec<(&'static str, String)> {
    let event = context.event();
    let inside = trace::Context::of(event);
    vec![
        ("RINGRIFT_HOME", home.to_owned()),
        ("RINGRIFT_EVENT_ID", event.id.to_string()),
        ("RINGRIFT_EVENT_TYPE", event.event_type.to_string()),
        ("RINGRIFT_KEY", event.key.clone().unwrap_or_default()),
        ("RINGRIFT_ATTEMPT", context.attempt().to_string()),
        ("RINGRIFT_SUBSCRIPTION", context.handler().to_owned()),
        ("RINGRIFT_DEPTH", inside.depth.to_string()),
        ("TRACEPARENT", inside.traceparent().to_string()),
    ]
}
