//! What is wrong with settings or with the home they belong to.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use crate::coded::{Class, Coded, quoted};

/// Where a setting stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file, at a line from 1.
    File(PathBuf, usize),
    /// In an environment variable.
    Variable(String),
    /// On the command line, or given by code.
    Flag,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path, line) => write!(f, "{}:{line}", path.display()),
            Place::Variable(name) => write!(f, "environment variable {name}"),
            Place::Flag => f.write_str("command line"),
        }
    }
}

/// A refusal to start with these settings, or at this home.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nobody reads this key. `CONFIG_KEY_UNKNOWN`.
    #[error("{place}: unknown key `{key}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    KeyUnknown {
        /// Where it stands.
        place: Place,
        /// The key.
        key: String,
        /// The key that may have been meant.
        nearest: Option<String>,
    },
    /// A value does not fit its key. `CONFIG_VALUE_INVALID`.
    #[error("{place}: `{key}` is `{value}`; expected {expected}")]
    ValueInvalid {
        /// Where it stands.
        place: Place,
        /// The key.
        key: String,
        /// The value, at most its first 200 bytes.
        value: String,
        /// What was expected.
        expected: String,
    },
    /// The file cannot be read, or is not TOML. `CONFIG_UNREADABLE`.
    #[error("{place}: {reason}")]
    Unreadable {
        /// Where.
        place: Place,
        /// What the system or the parser said.
        reason: String,
    },
    /// A type of the file is refused by the catalog; its code is the catalog's.
    #[error("{place}: {source}")]
    Type {
        /// Where it stands.
        place: Place,
        /// Why.
        source: Box<crate::catalog::Error>,
    },
    /// A home was named that does not exist. `HOME_MISSING`.
    #[error("home {} named by {named_by} does not exist", path.display())]
    HomeMissing {
        /// The path.
        path: PathBuf,
        /// What named it.
        named_by: &'static str,
    },
    /// The home's folders or its file cannot be made. `HOME_UNWRITABLE`.
    #[error("home cannot be made at {}: {reason}", path.display())]
    HomeUnwritable {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The group of a shared home does not exist, or one may not give files to it.
    /// `HOME_GROUP_INVALID`.
    #[error("group `{group}` cannot own the home: {reason}")]
    HomeGroupInvalid {
        /// The group as given.
        group: String,
        /// Why.
        reason: String,
    },
}

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::KeyUnknown { .. } => "CONFIG_KEY_UNKNOWN",
            Error::ValueInvalid { .. } => "CONFIG_VALUE_INVALID",
            Error::Unreadable { .. } => "CONFIG_UNREADABLE",
            Error::Type { source, .. } => source.code(),
            Error::HomeMissing { .. } => "HOME_MISSING",
            Error::HomeUnwritable { .. } => "HOME_UNWRITABLE",
            Error::HomeGroupInvalid { .. } => "HOME_GROUP_INVALID",
        }
    }

    fn class(&self) -> Class {
        match self {
            Error::HomeUnwritable { .. } => Class::Unavailable,
            Error::KeyUnknown { .. }
            | Error::ValueInvalid { .. }
            | Error::Unreadable { .. }
            | Error::Type { .. }
            | Error::HomeMissing { .. }
            | Error::HomeGroupInvalid { .. } => Class::Refused,
        }
    }

    fn value(&self) -> Option<Cow<'_, str>> {
        match self {
            Error::KeyUnknown { key, .. } => Some(Cow::Borrowed(key)),
            Error::ValueInvalid { value, .. } => Some(Cow::Borrowed(value)),
            Error::Unreadable { place, .. } => Some(Cow::Owned(place.to_string())),
            Error::Type { source, .. } => source.value(),
            Error::HomeMissing { path, .. } | Error::HomeUnwritable { path, .. } => {
                Some(path.to_string_lossy())
            }
            Error::HomeGroupInvalid { group, .. } => Some(Cow::Borrowed(group)),
        }
    }

    fn next(&self) -> Option<Cow<'_, str>> {
        match self {
            Error::KeyUnknown { .. } | Error::ValueInvalid { .. } | Error::Unreadable { .. } => {
                Some(Cow::Borrowed("ringrift config show --origin"))
            }
            Error::Type { source, .. } => source.next(),
            Error::HomeMissing { path, .. } => Some(Cow::Owned(format!(
                "ringrift init --home {}",
                quoted(&path.to_string_lossy())
            ))),
            Error::HomeUnwritable { path, .. } => {
                Some(Cow::Owned(format!("ls -ld {}", path.display())))
            }
            Error::HomeGroupInvalid { .. } => Some(Cow::Borrowed("getent group")),
        }
    }
}
