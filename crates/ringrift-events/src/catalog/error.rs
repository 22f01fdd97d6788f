//! What the catalog refuses.

use std::borrow::Cow;

use super::filter::FilterError;
use super::types::{DeclaredIn, TYPE_NAME_BYTES_MAX};
use crate::coded::{Class, Coded, quoted};
use crate::event::EventType;

/// A refusal by the catalog: nothing was changed and nothing was published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No type has this name. `TYPE_UNKNOWN`.
    #[error("unknown event type `{name}`{}", did_you_mean(nearest))]
    TypeUnknown {
        /// The name, at most its first 100 bytes.
        name: String,
        /// Canonical values that may have been meant, best first, at most three.
        nearest: Vec<String>,
    },
    /// A declared name cannot be one. `TYPE_NAME_INVALID`.
    #[error(
        "type name `{name}` is not snake case in one case, a letter first, of at most \
         {TYPE_NAME_BYTES_MAX} bytes"
    )]
    TypeNameInvalid {
        /// The name, at most its first 100 bytes.
        name: String,
    },
    /// A declaration names too much, or at too great length. `TYPE_DECLARATION_INVALID`.
    #[error("declaration of type `{event_type}`: {problem}")]
    DeclarationInvalid {
        /// The type.
        event_type: EventType,
        /// What is too much, with its size and the bound.
        problem: String,
    },
    /// A type was declared in two ways. `TYPE_DIFFERS`.
    #[error(
        "type `{event_type}` of {} is declared differently in {}: {}",
        standing_in.as_str(), declared_in.as_str(), Difference::list(differences)
    )]
    TypeDiffers {
        /// The type.
        event_type: EventType,
        /// Where the declaration that stands came from.
        standing_in: DeclaredIn,
        /// Where the refused one came from.
        declared_in: DeclaredIn,
        /// What differs.
        differences: Vec<Difference>,
    },
    /// The catalog is full. `TYPES_TOO_MANY`.
    #[error("a catalog has at most {max} types")]
    TypesTooMany {
        /// The bound.
        max: usize,
    },
    /// The store's catalog holds a text that is no declaration. `TYPE_DECLARATION_UNREADABLE`.
    #[error("declaration of type `{value}` in the store's catalog is unreadable: {reason}")]
    DeclarationUnreadable {
        /// The type it was kept under.
        value: String,
        /// What the parser expected.
        reason: String,
    },
    /// No stage has this name. `STAGE_UNKNOWN`.
    #[error("unknown stage `{name}`{}", did_you_mean(nearest))]
    StageUnknown {
        /// The name, at most its first 100 bytes.
        name: String,
        /// Canonical values that may have been meant, best first, at most three.
        nearest: Vec<String>,
    },
    /// The payload lacks required fields. `FIELDS_MISSING`.
    #[error("payload of `{event_type}` lacks required field{} `{}`", plural(missing), missing.join("`, `"))]
    FieldsMissing {
        /// The type.
        event_type: EventType,
        /// The fields.
        missing: Vec<String>,
    },
    /// The filter's text is not in the filter language. `FILTER_INVALID`.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The payload is larger than the bound. `PAYLOAD_TOO_LARGE`.
    #[error("payload of {bytes} bytes is larger than {max} bytes")]
    PayloadTooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The payload is not UTF-8. `PAYLOAD_NOT_UTF8`.
    #[error("payload is not UTF-8 from byte {at} on")]
    PayloadNotUtf8 {
        /// The first byte that is not.
        at: usize,
    },
    /// The payload is not JSON. `PAYLOAD_NOT_JSON`.
    #[error("payload is not JSON: {reason}")]
    PayloadNotJson {
        /// What the parser expected, and where.
        reason: String,
    },
    /// The payload is JSON, but no object. `PAYLOAD_NOT_OBJECT`.
    #[error("payload is {found}, not a JSON object")]
    PayloadNotObject {
        /// What it is: `an array`, `a string`, ….
        found: &'static str,
    },
    /// The payload is nested deeper than the bound. `PAYLOAD_TOO_DEEP`.
    #[error("payload is nested deeper than {max} levels at byte {at}")]
    PayloadTooDeep {
        /// Where the bound was passed.
        at: usize,
        /// The bound.
        max: usize,
    },
}

/// One field in which two declarations differ.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// The field.
    pub field: &'static str,
    /// What stands.
    pub standing: String,
    /// What was declared.
    pub declared: String,
}

impl Difference {
    fn list(differences: &[Difference]) -> String {
        let one = |d: &Difference| format!("{} is {}, not {}", d.field, d.standing, d.declared);
        differences.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

fn did_you_mean(nearest: &[String]) -> String {
    if nearest.is_empty() {
        return String::new();
    }
    format!("; did you mean `{}`?", nearest.join("`, `"))
}

fn plural(names: &[String]) -> &'static str {
    if names.len() == 1 { "" } else { "s" }
}

/// A refused name as an error keeps it.
pub(super) fn bounded_name(name: &str) -> String {
    name[..name.floor_char_boundary(TYPE_NAME_BYTES_MAX)].to_owned()
}

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::TypeUnknown { .. } => "TYPE_UNKNOWN",
            Error::TypeNameInvalid { .. } => "TYPE_NAME_INVALID",
            Error::DeclarationInvalid { .. } => "TYPE_DECLARATION_INVALID",
            Error::TypeDiffers { .. } => "TYPE_DIFFERS",
            Error::TypesTooMany { .. } => "TYPES_TOO_MANY",
            Error::DeclarationUnreadable { .. } => "TYPE_DECLARATION_UNREADABLE",
            Error::StageUnknown { .. } => "STAGE_UNKNOWN",
            Error::FieldsMissing { .. } => "FIELDS_MISSING",
            Error::Filter(_) => "FILTER_INVALID",
            Error::PayloadTooLarge { .. } => "PAYLOAD_TOO_LARGE",
            Error::PayloadNotUtf8 { .. } => "PAYLOAD_NOT_UTF8",
            Error::PayloadNotJson { .. } => "PAYLOAD_NOT_JSON",
            Error::PayloadNotObject { .. } => "PAYLOAD_NOT_OBJECT",
            Error::PayloadTooDeep { .. } => "PAYLOAD_TOO_DEEP",
        }
    }

    fn class(&self) -> Class {
        match self {
            Error::DeclarationUnreadable { .. } => Class::Damaged,
            Error::TypeUnknown { .. }
            | Error::TypeNameInvalid { .. }
            | Error::DeclarationInvalid { .. }
            | Error::TypeDiffers { .. }
            | Error::TypesTooMany { .. }
            | Error::StageUnknown { .. }
            | Error::FieldsMissing { .. }
            | Error::Filter(_)
            | Error::PayloadTooLarge { .. }
            | Error::PayloadNotUtf8 { .. }
            | Error::PayloadNotJson { .. }
            | Error::PayloadNotObject { .. }
            | Error::PayloadTooDeep { .. } => Class::Refused,
        }
    }

    fn value(&self) -> Option<Cow<'_, str>> {
        match self {
            Error::TypeUnknown { name, .. }
            | Error::TypeNameInvalid { name }
            | Error::StageUnknown { name, .. } => Some(Cow::Borrowed(name)),
            Error::DeclarationInvalid { event_type, .. }
            | Error::TypeDiffers { event_type, .. } => Some(Cow::Borrowed(event_type.as_str())),
            Error::TypesTooMany { max } => Some(Cow::Owned(max.to_string())),
            Error::DeclarationUnreadable { value, .. } => Some(Cow::Borrowed(value)),
            Error::FieldsMissing { missing, .. } => Some(Cow::Owned(missing.join(", "))),
            Error::Filter(error) => Some(Cow::Borrowed(&error.text)),
            Error::PayloadTooLarge { bytes, .. } => Some(Cow::Owned(bytes.to_string())),
            Error::PayloadNotUtf8 { at } | Error::PayloadTooDeep { at, .. } => {
                Some(Cow::Owned(at.to_string()))
            }
            Error::PayloadNotJson { reason } => Some(Cow::Borrowed(reason)),
            Error::PayloadNotObject { found } => Some(Cow::Borrowed(found)),
        }
    }

    fn next(&self) -> Option<Cow<'_, str>> {
        match self {
            Error::TypeUnknown { nearest, .. } => Some(match nearest.first() {
                Some(meant) => Cow::Owned(format!("ringrift types show {}", quoted(meant))),
                None => Cow::Borrowed("ringrift types ls"),
            }),
            Error::TypeDiffers { event_type, .. } | Error::FieldsMissing { event_type, .. } => {
                Some(Cow::Owned(format!(
                    "ringrift types show {}",
                    quoted(event_type.as_str())
                )))
            }
            Error::TypeNameInvalid { .. } | Error::DeclarationInvalid { .. } => {
                Some(Cow::Borrowed("ringrift types add --help"))
            }
            Error::TypesTooMany { .. } | Error::StageUnknown { .. } => {
                Some(Cow::Borrowed("ringrift types ls"))
            }
            Error::DeclarationUnreadable { .. } => Some(Cow::Borrowed("ringrift db check")),
            Error::Filter(_) => Some(Cow::Borrowed("ringrift subscribe --help")),
            Error::PayloadTooLarge { .. }
            | Error::PayloadNotUtf8 { .. }
            | Error::PayloadNotJson { .. }
            | Error::PayloadNotObject { .. }
            | Error::PayloadTooDeep { .. } => Some(Cow::Borrowed("ringrift publish --help")),
        }
    }
}

impl Error {
    /// What a file should have named where it named an unknown type, with the nearest one.
    #[must_use]
    pub fn expected_type(&self) -> String {
        let nearest = if let Error::TypeUnknown { nearest, .. } = self {
            nearest.first()
        } else {
            None
        };
        match nearest {
            Some(nearest) => {
                let constant = EventType::from_canonical(nearest).constant();
                format!("a known type; the nearest is `{constant}`")
            }
            None => "a known type; `[[types]]` declares one".to_owned(),
        }
    }
}
