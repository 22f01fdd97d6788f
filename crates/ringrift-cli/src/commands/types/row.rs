//! One type as scripts read it, and as a row for people.

use ringrift_events::catalog::{DeclaredIn, RequiredPolicy, TypeEntry};
use serde::Serialize;

use crate::output::{Cell, Paint};

/// One type.
#[derive(Debug, Serialize)]
pub(crate) struct TypeRow {
    /// Its canonical value.
    pub(crate) value: String,
    /// Its constant.
    pub(crate) constant: String,
    pub(crate) category: String,
    /// Whether it goes to the queue.
    pub(crate) bridged: bool,
    pub(crate) required: Vec<String>,
    pub(crate) required_policy: RequiredPolicy,
    pub(crate) key_field: Option<String>,
    /// Its place in the pipeline, from 1.
    pub(crate) pipeline_position: Option<u32>,
    pub(crate) alert: Option<String>,
    pub(crate) declared_in: DeclaredIn,
}

/// The headings of [`TypeRow::cells`].
pub(crate) const HEADINGS: &[&str] = &[
    "type", "category", "bridged", "required", "step", "alert", "from",
];

impl TypeRow {
    /// The row of a type.
    pub(crate) fn of(entry: &TypeEntry) -> TypeRow {
        TypeRow {
            value: entry.event_type.to_string(),
            constant: entry.event_type.constant(),
            category: entry.category.clone(),
            bridged: entry.bridged,
            required: entry.required.clone(),
            required_policy: entry.required_policy,
            key_field: entry.key_field.clone(),
            pipeline_position: entry.pipeline_position,
            alert: entry.alert.map(|rule| rule.to_string()),
            declared_in: entry.declared_in,
        }
    }

    /// One row of a table.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        vec![
            self.constant.clone().into(),
            self.category.clone().into(),
            if self.bridged {
                "yes".into()
            } else {
                Cell::painted(Paint::Faint, "no")
            },
            self.required_text().into(),
            self.pipeline_position
                .map(|step| step.to_string())
                .unwrap_or_default()
                .into(),
            self.alert.clone().unwrap_or_default().into(),
            self.declared_in.as_str().into(),
        ]
    }

    /// The required fields and what happens without them.
    pub(crate) fn required_text(&self) -> String {
        if self.required.is_empty() {
            return String::new();
        }
        let policy = match self.required_policy {
            RequiredPolicy::Off => "off",
            RequiredPolicy::Warn => "warn",
            RequiredPolicy::Reject => "reject",
        };
        format!("{} ({policy})", self.required.join(", "))
    }
}
