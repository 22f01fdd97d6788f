//! Events and deliveries as OTLP spans.
//!
//! A publish is a span whose id is the low half of the event's id, as in the `traceparent` that
//! its handlers see; a delivery is a span of its own below it, linked to it, so that a fan-out
//! shows as many consumers of one producer. The trace ids are the events' own.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};

use crate::clock::Time;
use crate::event::{Event, EventId, EventType, ProcessId, TraceId};
use crate::store::registry::Recent;
use crate::verdict::Code;

/// Most spans that wait for being sent; beyond it the oldest go, counted.
pub const SPANS_WAITING_MAX: usize = 10_000;

/// Most spans of one request.
pub const SPANS_SENT_MAX: usize = 512;

/// Events whose trace is remembered for their deliveries.
const EVENTS_KNOWN_MAX: usize = 20_000;

const PRODUCER: u8 = 4;
const CONSUMER: u8 = 5;

/// What a delivery must know of its event.
#[derive(Clone)]
pub struct Traced {
    trace: TraceId,
    event_type: EventType,
}

impl Traced {
    /// What is to be known of an event.
    #[must_use]
    pub fn of(event: &Event) -> Traced {
        Traced {
            trace: event.trace_id,
            event_type: event.event_type.clone(),
        }
    }
}

/// The spans that wait, and what became of the others.
#[derive(Default)]
pub struct Spans {
    waiting: VecDeque<Value>,
    known: HashMap<EventId, Traced>,
    order: VecDeque<EventId>,
    /// Spans that were taken by the receiver.
    pub sent: u64,
    /// Spans that went because too many waited.
    pub dropped: u64,
    /// Spans that the receiver refused.
    pub refused: u64,
    /// Requests that failed; their spans are sent again.
    pub failures: u64,
}

impl Spans {
    /// A publish.
    pub fn published(&mut self, event: &Event) {
        self.know(event.id, Traced::of(event));
        let mut attributes = vec![
            text("messaging.system", "ringrift"),
            text("messaging.operation.type", "send"),
            text("messaging.destination.name", event.event_type.as_str()),
            text("messaging.message.id", &event.id.to_string()),
            text("ringrift.source", &event.source),
            text("ringrift.process", &event.origin.to_string()),
        ];
        if let Some(key) = &event.key {
            attributes.push(text("ringrift.key", key));
        }
        if let Some(seq) = event.seq {
            attributes
                .push(json!({"key": "ringrift.seq", "value": {"intValue": seq.0.to_string()}}));
        }
        let at = nanos(event.published_at);
        let mut span = json!({
            "traceId": event.trace_id.to_string(),
            "spanId": span_of(event.id),
            "name": format!("publish {}", event.event_type),
            "kind": PRODUCER,
            "startTimeUnixNano": at,
            "endTimeUnixNano": at,
            "attributes": attributes,
        });
        if let Some(parent) = event.parent_id {
            span["parentSpanId"] = json!(span_of(parent));
        }
        self.push(span);
    }

    /// What is known of an event.
    #[must_use]
    pub fn traced(&self, id: EventId) -> Option<Traced> {
        self.known.get(&id).cloned()
    }

    /// A delivery that ended; `id` makes its span's id.
    pub fn delivered(
        &mut self,
        process: ProcessId,
        subscription: &str,
        recent: &Recent,
        of: &Traced,
        id: u64,
    ) {
        let failed = matches!(
            recent.code,
            Code::HnError | Code::HnPanic | Code::HnTimeout | Code::HnAbandoned | Code::HnLeaseLost
        );
        let began = Time(recent.at.0 - i64::try_from(recent.took_us).unwrap_or(0));
        let publish = span_of(recent.event);
        let trace = of.trace.to_string();
        self.push(json!({
            "traceId": trace,
            "spanId": format!("{:016x}", id.max(1)),
            "parentSpanId": publish,
            "name": format!("{subscription} {}", of.event_type),
            "kind": CONSUMER,
            "startTimeUnixNano": nanos(began),
            "endTimeUnixNano": nanos(recent.at),
            "attributes": [
                text("messaging.system", "ringrift"),
                text("messaging.operation.type", "process"),
                text("messaging.destination.name", of.event_type.as_str()),
                text("messaging.message.id", &recent.event.to_string()),
                text("ringrift.subscription", subscription),
                text("ringrift.code", recent.code.as_str()),
                text("ringrift.process", &process.to_string()),
            ],
            "links": [{"traceId": trace, "spanId": publish}],
            "status": if failed {
                json!({"code": 2, "message": recent.code.meaning()})
            } else {
                json!({})
            },
        }));
    }

    /// The next request's spans, which stay waiting until [`Spans::took`] or [`Spans::refuse`].
    #[must_use]
    pub fn next(&self) -> Vec<Value> {
        self.waiting.iter().take(SPANS_SENT_MAX).cloned().collect()
    }

    /// The receiver took this many of those that waited first.
    pub fn took(&mut self, count: usize) {
        self.sent += self.forget(count);
    }

    /// The receiver will never take this many of those that waited first.
    pub fn refuse(&mut self, count: usize) {
        self.refused += self.forget(count);
    }

    fn forget(&mut self, count: usize) -> u64 {
        let count = count.min(self.waiting.len());
        self.waiting.drain(..count);
        count as u64
    }

    fn push(&mut self, span: Value) {
        if self.waiting.len() >= SPANS_WAITING_MAX {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(span);
    }

    fn know(&mut self, id: EventId, of: Traced) {
        if self.known.insert(id, of).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > EVENTS_KNOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// The body of one request: OTLP/HTTP in JSON.
#[must_use]
pub fn request(spans: &[Value], host: &str, process: ProcessId, version: &str) -> Value {
    json!({"resourceSpans": [{
        "resource": {"attributes": [
            text("service.name", "ringrift"),
            text("service.instance.id", &process.to_string()),
            text("host.name", host),
        ]},
        "scopeSpans": [{
            "scope": {"name": "ringrift", "version": version},
            "spans": spans,
        }],
    }]})
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn span_of(id: EventId) -> String {
    format!("{:016x}", id.0.as_u64_pair().1.max(1))
}

fn nanos(at: Time) -> String {
    (i128::from(at.0) * 1_000).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_what_goes_is_counted() {
        let mut spans = Spans::default();
        for at in 0..=SPANS_WAITING_MAX {
            spans.push(json!(at));
        }
        assert_eq!((spans.waiting.len(), spans.dropped), (SPANS_WAITING_MAX, 1));
        let next = spans.next();
        assert_eq!((next.len(), next[0].as_u64()), (SPANS_SENT_MAX, Some(1)));
        spans.took(next.len());
        spans.refuse(3);
        assert_eq!((spans.sent, spans.refused), (SPANS_SENT_MAX as u64, 3));
        assert_eq!(spans.next()[0].as_u64(), Some(SPANS_SENT_MAX as u64 + 4));
    }
}
