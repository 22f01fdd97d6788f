//! What people and scripts read: tables and lines for people, one JSON envelope or JSON lines
//! for scripts.
//!
//! Standard output carries data only. It never carries colour, wrapping or control characters
//! that a terminal did not ask for, and a reader that goes away is no panic.

mod csv;
mod envelope;
mod moment;
mod patience;
mod plot;
mod preview;
mod sink;
mod style;
mod text;

pub(crate) use csv::Csv;
pub(crate) use envelope::{failure_json, success_json};
pub(crate) use moment::{Moment, Zone, duration_text};
pub(crate) use patience::patiently;
pub(crate) use plot::{bar, spark};
pub(crate) use preview::{PREVIEW_CHARS, bytes_text, count_text, one_line, raw_json, visible};
pub(crate) use sink::Sink;
pub(crate) use style::{ColorChoice, Paint, Style};
pub(crate) use text::{Cell, Text};

/// What a command answers: the same facts for people (text) and for scripts (JSON).
pub(crate) trait Report: serde::Serialize {
    /// Writes it for people.
    fn write(&self, text: &mut Text);
}
