//! Required fields and keys: what a payload must carry, and what orders its event.

use super::asked::{Fields, Held};
use super::types::CONFIG_KEY;
use super::{Catalog, Error, RequiredPolicy, TypeEntry};
use crate::event::Payload;

impl Catalog {
    /// The required fields of a type that this payload lacks, in the order of the declaration; a
    /// null field is lacking. Whatever the policy.
    #[must_use]
    pub fn check_required(entry: &TypeEntry, payload: &impl Fields) -> Vec<String> {
        let lacks = |field: &&String| matches!(payload.held(field), None | Some(Held::Null));
        entry.required.iter().filter(lacks).cloned().collect()
    }

    /// Applies the type's policy: the fields to warn about, or the refusal. Reads the payload only
    /// if the type requires anything.
    ///
    /// # Errors
    /// [`Error::FieldsMissing`] if a field is missing and the policy is reject.
    pub fn enforce_required(
        entry: &TypeEntry,
        payload: &impl Fields,
    ) -> Result<Vec<String>, Error> {
        match entry.required_policy {
            RequiredPolicy::Off => Ok(Vec::new()),
            RequiredPolicy::Warn => Ok(Catalog::check_required(entry, payload)),
            RequiredPolicy::Reject => {
                let missing = Catalog::check_required(entry, payload);
                if missing.is_empty() {
                    return Ok(missing);
                }
                Err(Error::FieldsMissing {
                    event_type: entry.event_type.clone(),
                    missing,
                })
            }
        }
    }
}

/// An event's key: the one its publisher gave, else the type's key field (text or a number), else
/// none. An empty key is none.
///
/// ```
/// use ringrift_events::catalog::{Catalog, key_of, payload};
/// let catalog = Catalog::ringrift();
/// let payload = payload::check(br#"{"config_key":"hex8_2p"}"#)?;
/// let entry = catalog.resolve("MODEL_PROMOTED")?;
/// assert_eq!(key_of(&entry, &payload, None).as_deref(), Some("hex8_2p"));
/// assert_eq!(key_of(&entry, &payload, Some("mine")).as_deref(), Some("mine"));
/// # Ok::<(), ringrift_events::catalog::Error>(())
/// ```
#[must_use]
pub fn key_of(entry: &TypeEntry, payload: &impl Fields, given: Option<&str>) -> Option<String> {
    if let Some(given) = given {
        return (!given.is_empty()).then(|| given.to_owned());
    }
    scalar_of(payload, entry.key_field.as_ref()?)
}

/// The key of an event whose payload is edited: one that came from the payload follows it, and one
/// that its publisher gave stays.
#[must_use]
pub fn key_of_edited(
    entry: &TypeEntry,
    (was, key): (&Payload, Option<&str>),
    payload: &Payload,
) -> Option<String> {
    match key_of(entry, was, None).as_deref() == key {
        true => key_of(entry, payload, None),
        false => key.map(str::to_owned),
    }
}

/// The key that a payload carries under its usual name, [`CONFIG_KEY`], for events of types that
/// name no key field: their own key is none.
#[must_use]
pub fn usual_key(payload: &Payload) -> Option<String> {
    scalar_of(payload, CONFIG_KEY)
}

/// The text or number of a field as a key; none if it is empty or of another kind.
pub(super) fn scalar_of(payload: &impl Fields, field: &str) -> Option<String> {
    match payload.held(field)? {
        Held::Text(text) => (!text.is_empty()).then(|| text.to_owned()),
        Held::Number(number) => Some(number.to_string()),
        Held::Null | Held::Other => None,
    }
}
