//! One dead letter as scripts read it, and as a row for people.

use ringrift_events::store::letters::{Letter, LetterState};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::call::Call;
use crate::output::{Cell, Moment, PREVIEW_CHARS, Paint, one_line, raw_json};

/// One dead letter.
#[derive(Debug, Serialize)]
pub(crate) struct LetterRow {
    pub(crate) id: i64,
    pub(crate) status: &'static str,
    pub(crate) handler: String,
    pub(crate) event_id: String,
    pub(crate) seq: Option<i64>,
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    pub(crate) key: Option<String>,
    pub(crate) source: String,
    pub(crate) payload: Box<RawValue>,
    pub(crate) error: String,
    pub(crate) error_kind: &'static str,
    pub(crate) step: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) attempts_total: u32,
    pub(crate) deaths: u32,
    pub(crate) created_at: Moment,
    pub(crate) last_attempt_at: Moment,
    pub(crate) next_retry_at: Option<Moment>,
    pub(crate) linked: Option<String>,
}

/// The headings of [`LetterRow::cells`].
pub(crate) const HEADINGS: &[&str] = &[
    "id",
    "status",
    "handler",
    "type",
    "key",
    "attempts",
    "failed",
    "next retry",
    "kind",
    "error",
];

impl LetterRow {
    /// The row of a letter.
    pub(crate) fn of(call: &Call, letter: &Letter) -> LetterRow {
        LetterRow {
            id: letter.id.0,
            status: letter.state.as_str(),
            handler: letter.handler.clone(),
            event_id: letter.event.id.to_string(),
            seq: letter.event.seq.map(|seq| seq.0),
            event_type: letter.event.event_type.to_string(),
            key: letter.event.key.clone(),
            source: letter.event.source.clone(),
            payload: raw_json(letter.event.payload.as_str()),
            error: letter.error.clone(),
            error_kind: letter.error_kind.as_str(),
            step: letter.step.clone(),
            attempts: letter.attempts,
            attempts_total: letter.attempts_total,
            deaths: letter.deaths,
            created_at: call.show(letter.created_at),
            last_attempt_at: call.show(letter.last_attempt_at),
            next_retry_at: letter.next_retry_at.map(|at| call.show(at)),
            linked: letter.linked.map(|id| id.to_string()),
        }
    }

    /// One row of a table.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        vec![
            self.id.into(),
            Cell::painted(status_paint(self.status), self.status),
            self.handler.clone().into(),
            self.event_type.to_ascii_uppercase().into(),
            self.key.clone().unwrap_or_default().into(),
            self.attempts.into(),
            self.last_attempt_at.to_string().into(),
            self.next_retry_at
                .as_ref()
                .map(Moment::to_string)
                .unwrap_or_default()
                .into(),
            self.error_kind.into(),
            one_line(&self.error, PREVIEW_CHARS).into(),
        ]
    }
}

/// One line of a plan.
pub(crate) fn plan_line(letter: &Letter) -> String {
    format!(
        "{} {} {} {}: {}",
        letter.id.0,
        letter.state.as_str(),
        letter.handler,
        letter.event.event_type.constant(),
        one_line(&letter.error, PREVIEW_CHARS)
    )
}

fn status_paint(status: &str) -> Paint {
    match LetterState::parse(status) {
        Some(LetterState::Dead) => Paint::Bad,
        Some(LetterState::Retrying | LetterState::Running) => Paint::Odd,
        Some(LetterState::Recovered) => Paint::Good,
        Some(LetterState::Discarded | LetterState::Expired | LetterState::Purged) | None => {
            Paint::Faint
        }
    }
}
