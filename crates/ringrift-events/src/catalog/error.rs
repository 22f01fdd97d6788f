//! What the catalog refuses.

use std::borrow::Cow;

use super::filter::FilterError;
use crate::coded::{Class, Coded};

/// A refusal by the catalog: nothing was changed and nothing was published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
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

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Filter(_) => "FILTER_INVALID",
            Error::PayloadTooLarge { .. } => "PAYLOAD_TOO_LARGE",
            Error::PayloadNotUtf8 { .. } => "PAYLOAD_NOT_UTF8",
            Error::PayloadNotJson { .. } => "PAYLOAD_NOT_JSON",
            Error::PayloadNotObject { .. } => "PAYLOAD_NOT_OBJECT",
            Error::PayloadTooDeep { .. } => "PAYLOAD_TOO_DEEP",
        }
    }

    fn class(&self) -> Class {
        Class::Refused
    }

    fn value(&self) -> Option<Cow<'_, str>> {
        match self {
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
            Error::Filter(_) => Some(Cow::Borrowed("ringrift subscribe --help")),
            Error::PayloadTooLarge { .. }
            | Error::PayloadNotUtf8 { .. }
            | Error::PayloadNotJson { .. }
            | Error::PayloadNotObject { .. }
            | Error::PayloadTooDeep { .. } => Some(Cow::Borrowed("ringrift publish --help")),
        }
    }
}
