//! One event as scripts read it, and as a row or line for people.

use ringrift_events::event::Event;
use ringrift_events::store::log::Logged;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::call::Call;
use crate::output::{Cell, Moment, PREVIEW_CHARS, Paint, Style, Zone, one_line, raw_json};

/// One event.
#[derive(Debug, Serialize)]
pub(crate) struct EventRow {
    pub(crate) id: String,
    pub(crate) seq: Option<i64>,
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    pub(crate) payload: Box<RawValue>,
    pub(crate) source: String,
    pub(crate) key: Option<String>,
    pub(crate) time: Moment,
    pub(crate) trace_id: String,
    pub(crate) parent_id: Option<String>,
    pub(crate) depth: u16,
    pub(crate) process: String,
    pub(crate) stage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) committed_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deleted_at: Option<Moment>,
}

/// The headings of [`EventRow::cells`].
pub(crate) const HEADINGS: &[&str] = &["seq", "time", "type", "key", "source", "id", "payload"];

impl EventRow {
    /// An event of the log.
    pub(crate) fn logged(call: &Call, logged: &Logged) -> EventRow {
        EventRow {
            committed_at: Some(call.show(logged.committed_at)),
            deleted_at: logged.deleted_at.map(|at| call.show(at)),
            ..EventRow::of(call, &logged.event)
        }
    }

    /// An event without what the log knows of it.
    pub(crate) fn of(call: &Call, event: &Event) -> EventRow {
        EventRow::shown_in(&call.zone(), event)
    }

    /// The same, its time in this zone.
    pub(crate) fn shown_in(zone: &Zone, event: &Event) -> EventRow {
        EventRow {
            id: event.id.to_string(),
            seq: event.seq.map(|seq| seq.0),
            event_type: event.event_type.to_string(),
            payload: raw_json(event.payload.as_str()),
            source: event.source.clone(),
            key: event.key.clone(),
            time: zone.show(event.published_at),
            trace_id: event.trace_id.to_string(),
            parent_id: event.parent_id.map(|id| id.to_string()),
            depth: event.depth,
            process: event.origin.to_string(),
            stage: event.stage.clone(),
            committed_at: None,
            deleted_at: None,
        }
    }

    /// One row of a table.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        vec![
            self.seq
                .map_or_else(|| "-".to_owned(), |seq| seq.to_string())
                .into(),
            self.time.to_string().into(),
            self.event_type.to_ascii_uppercase().into(),
            self.key.clone().unwrap_or_default().into(),
            self.source.clone().into(),
            self.id.clone().into(),
            one_line(self.payload.get(), PREVIEW_CHARS).into(),
        ]
    }

    /// One line of a stream.
    pub(crate) fn line(&self, style: Style) -> String {
        let place = self
            .seq
            .map_or_else(|| "-".to_owned(), |seq| seq.to_string());
        let key = self
            .key
            .as_deref()
            .map(|key| format!(" key={}", one_line(key, 40)));
        format!(
            "{} {} {}{} {} {}",
            style.paint(Paint::Faint, &self.time.to_string()),
            place,
            style.paint(Paint::Title, &self.event_type.to_ascii_uppercase()),
            key.unwrap_or_default(),
            style.paint(Paint::Faint, &self.id),
            one_line(self.payload.get(), LINE_PAYLOAD_CHARS),
        )
    }
}

/// Characters of a payload that a line of a stream shows: most payloads whole.
const LINE_PAYLOAD_CHARS: usize = 400;
