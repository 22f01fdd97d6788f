//! Why a filter takes a payload or turns it away.

use serde::Serialize;
use serde_json::{Map, Value};

use super::evaluate::{Judged, type_name};
use super::syntax::{Comparison, Filter, Node, Operator, path_text};
use crate::event::Payload;

/// Most bytes of a field's value that an explanation shows.
const PREVIEW_BYTES_MAX: usize = 200;

/// A filter's answer with every comparison it stands on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The filter's canonical text.
    pub filter: String,
    /// Its answer: always what [`Filter::evaluate`] says.
    pub takes: bool,
    /// Every comparison, in the order of the text, also those that did not decide.
    pub comparisons: Vec<Compared>,
}

/// One comparison and what it met.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// The field, as the language writes it.
    pub path: String,
    /// How it was compared.
    pub operator: Operator,
    /// With what.
    pub expected: Value,
    /// What was there.
    pub found: Found,
    /// Whether the comparison holds, before any `not` around it.
    pub holds: bool,
}

/// What a comparison met in the payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// A value; its JSON text, shortened to 200 bytes.
    Value(String),
    /// No such field; the part of the path that is missing.
    Missing(String),
    /// A value of a type that cannot be compared so.
    Mistyped {
        /// Its type: `null`, `boolean`, `number`, `string`, `array` or `object`.
        is: &'static str,
        /// Its JSON text, shortened to 200 bytes.
        value: String,
    },
}

impl Filter {
    /// Says why the filter takes this payload or turns it away.
    ///
    /// ```
    /// use ringrift_events::catalog::filter::{Filter, Found};
    /// use ringrift_events::catalog::payload;
    /// let explained = Filter::parse("elo__gte = 1900")?.explain(&payload::check(b"{}")?);
    /// assert!(!explained.takes);
    /// assert_eq!(explained.comparisons[0].found, Found::Missing("elo".to_owned()));
    /// # Ok::<(), ringrift_events::catalog::Error>(())
    /// ```
    #[must_use]
    pub fn explain(&self, payload: &Payload) -> Explanation {
        let mut comparisons = Vec::new();
        self.root.explain(payload.fields(), &mut comparisons);
        Explanation {
            filter: self.to_string(),
            takes: self.evaluate(payload),
            comparisons,
        }
    }
}

impl Node {
    fn explain(&self, fields: &Map<String, Value>, into: &mut Vec<Compared>) {
        match self {
            Node::And(parts) | Node::Or(parts) => {
                for part in parts {
                    part.explain(fields, into);
                }
            }
            Node::Not(part) => part.explain(fields, into),
            Node::Compare(comparison) => into.push(comparison.explain(fields)),
        }
    }
}

impl Comparison {
    fn explain(&self, fields: &Map<String, Value>) -> Compared {
        let judged = self.judge(fields);
        let found = match judged {
            Judged::True(Some(value)) | Judged::False(Some(value)) => Found::Value(preview(value)),
            Judged::True(None) | Judged::False(None) => Found::Missing(path_text(&self.path)),
            Judged::Missing(depth) => Found::Missing(path_text(&self.path[..=depth])),
            Judged::Mistyped(value) => Found::Mistyped {
                is: type_name(value),
                value: preview(value),
            },
        };
        Compared {
            path: path_text(&self.path),
            operator: self.operator,
            expected: self.expected.clone(),
            found,
            holds: judged.is_true(),
        }
    }
}

fn preview(value: &Value) -> String {
    let mut text = value.to_string();
    if text.len() > PREVIEW_BYTES_MAX {
        text.truncate(text.floor_char_boundary(PREVIEW_BYTES_MAX));
        text.push('…');
    }
    text
}
