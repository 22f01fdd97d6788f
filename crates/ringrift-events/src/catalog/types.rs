//! What the catalog knows of one type, and how users declare one.

use serde::{Deserialize, Serialize};

use super::{AlertRule, Error};
use crate::event::EventType;

/// Longest name of a type, in bytes: names stand in every row, line and metric.
pub const TYPE_NAME_BYTES_MAX: usize = 100;

/// Longest category and longest field name of a declaration, in bytes.
pub const FIELD_BYTES_MAX: usize = 200;

/// Most required fields of a type: each publish looks for all.
pub const REQUIRED_MAX: usize = 100;

/// The field that keys an event on types that require it.
pub const CONFIG_KEY: &str = "config_key";

/// Everything the catalog knows of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TypeEntry {
    /// Its canonical value.
    pub event_type: EventType,
    /// What it is about, in one word.
    pub category: String,
    /// Whether this process's publishes of it go to the log.
    pub bridged: bool,
    /// The payload fields it must carry; a dotted name looks inside objects.
    pub required: Vec<String>,
    /// What happens to a publish without them.
    pub required_policy: RequiredPolicy,
    /// The payload field that keys its events unless the publisher gives a key.
    pub key_field: Option<String>,
    /// Its place in the pipeline, from 1.
    pub pipeline_position: Option<u32>,
    /// When it raises an alert.
    pub alert: Option<AlertRule>,
    /// Who declared it as it stands.
    pub declared_in: DeclaredIn,
    /// Whether it came with this version, amended or not.
    pub shipped: bool,
}

/// What happens to a publish whose payload lacks a required field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequiredPolicy {
    /// Nothing.
    Off,
    /// It goes through, with a warning that names the fields.
    #[default]
    Warn,
    /// It is refused.
    Reject,
}

/// Where a type's declaration came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeclaredIn {
    /// It came with this version.
    RingRift,
    /// Another process declared it; the store's catalog has it.
    Store,
    /// The home's `ringrift.toml`.
    Config,
    /// This process's code.
    Code,
}

impl DeclaredIn {
    /// The place in words, for messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            DeclaredIn::RingRift => "the RingRift catalog",
            DeclaredIn::Store => "the store's catalog",
            DeclaredIn::Config => "ringrift.toml",
            DeclaredIn::Code => "code",
        }
    }
}

/// A user's declaration of a type. What is left out takes its default, or, on a type that came
/// with this version, stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypeDeclaration {
    /// Its name: canonical value (`audit_done`) or constant (`AUDIT_DONE`).
    pub name: String,
    /// What it is about, in one word. Default `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Whether its events stay in the publishing process. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volatile: Option<bool>,
    /// The payload fields it must carry. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<Vec<String>>,
    /// What happens to a publish without them. Default warn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_policy: Option<RequiredPolicy>,
    /// The payload field that keys its events. Default `config_key` if that is required, else none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_field: Option<String>,
    /// When it raises an alert. Default never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<AlertRule>,
}

impl TypeDeclaration {
    /// A declaration with every default.
    #[must_use]
    pub fn new(name: impl Into<String>) -> TypeDeclaration {
        TypeDeclaration {
            name: name.into(),
            ..TypeDeclaration::default()
        }
    }

    /// The entry that this declaration stands for, over `standing` if the type is known.
    ///
    /// # Errors
    /// [`Error::TypeNameInvalid`] unless the name is snake case in one case, a letter first, at
    /// most [`TYPE_NAME_BYTES_MAX`] bytes; [`Error::DeclarationInvalid`] above [`FIELD_BYTES_MAX`] or
    /// [`REQUIRED_MAX`].
    pub(super) fn entry(
        &self,
        standing: Option<&TypeEntry>,
        declared_in: DeclaredIn,
    ) -> Result<TypeEntry, Error> {
        let event_type = EventType::from_canonical(&canonical_name(&self.name)?);
        self.check_lengths(&event_type)?;
        let mut entry = standing.cloned().unwrap_or_else(|| TypeEntry {
            event_type,
            category: "user".to_owned(),
            bridged: true,
            required: Vec::new(),
            required_policy: RequiredPolicy::default(),
            key_field: None,
            pipeline_position: None,
            alert: None,
            declared_in,
            shipped: false,
        });
        if let Some(category) = &self.category {
            entry.category.clone_from(category);
        }
        if let Some(volatile) = self.volatile {
            entry.bridged = !volatile;
        }
        if let Some(required) = &self.required {
            entry.required.clone_from(required);
        }
        if let Some(policy) = self.required_policy {
            entry.required_policy = policy;
        }
        if let Some(field) = &self.key_field {
            entry.key_field = Some(field.clone());
        } else if entry.key_field.is_none() && entry.required.iter().any(|name| name == CONFIG_KEY)
        {
            entry.key_field = Some(CONFIG_KEY.to_owned());
        }
        if self.alert.is_some() {
            entry.alert = self.alert;
        }
        Ok(entry)
    }

    fn check_lengths(&self, event_type: &EventType) -> Result<(), Error> {
        let required = self.required.as_deref().unwrap_or_default();
        let words = self.category.iter().chain(&self.key_field).chain(required);
        let problem = match words.map(String::len).find(|len| *len > FIELD_BYTES_MAX) {
            Some(len) => format!(
                "a category or field name of {len} bytes is longer than {FIELD_BYTES_MAX} bytes"
            ),
            None if required.len() > REQUIRED_MAX => format!(
                "{} required fields are more than {REQUIRED_MAX}",
                required.len()
            ),
            None => return Ok(()),
        };
        Err(Error::DeclarationInvalid {
            event_type: event_type.clone(),
            problem,
        })
    }
}

impl TypeEntry {
    /// The whole declaration of this type in canonical JSON, as the store's catalog keeps it: two
    /// declarations are the same when these texts are. The bridge rule is left out, since it alone
    /// may differ by process.
    #[must_use]
    pub fn declaration_text(&self) -> String {
        let declaration = TypeDeclaration {
            name: self.event_type.as_str().to_owned(),
            category: Some(self.category.clone()),
            volatile: None,
            required: Some(self.required.clone()),
            required_policy: Some(self.required_policy),
            key_field: self.key_field.clone(),
            alert: self.alert,
        };
        // Plain strings and numbers: there is nothing in it that cannot be written as JSON.
        serde_json::to_string(&declaration).unwrap_or_default()
    }
}

/// The canonical value of a name given as value or constant.
pub(super) fn canonical_name(name: &str) -> Result<String, Error> {
    let one_case = !name.bytes().any(|b| b.is_ascii_lowercase())
        || !name.bytes().any(|b| b.is_ascii_uppercase());
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if one_case && letters && starts && name.len() <= TYPE_NAME_BYTES_MAX {
        return Ok(name.to_ascii_lowercase());
    }
    let end = name.floor_char_boundary(TYPE_NAME_BYTES_MAX);
    Err(Error::TypeNameInvalid {
        name: name[..end].to_owned(),
    })
}
