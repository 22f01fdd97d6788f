//! Reading `ringrift.toml`: keys with their lines, types, expected handlers.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Error, Place};
use super::load::nearest_key;
use crate::catalog::TypeDeclaration;

/// Largest file, in bytes: a person writes it.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;

/// A type of the file and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The declaration.
    pub declaration: TypeDeclaration,
    /// Where it stands.
    pub place: Place,
}

/// A handler that must exist in some process of the home: health looks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The handler's name.
    pub handler: String,
    /// Where it stands.
    pub place: Place,
}

/// The file as read, nothing yet judged but its form.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) values: Vec<(String, String, Place)>,
    pub(super) types: Vec<Declared>,
    pub(super) expected: Vec<Expected>,
}

const TYPE_KEYS: [&str; 7] = [
    "name",
    "category",
    "volatile",
    "required",
    "required_policy",
    "key_field",
    "alert",
];

const EXPECT_KEYS: [&str; 1] = ["handler"];

/// Reads a file's text.
pub(super) fn read(path: &Path, text: &str) -> Result<File, Error> {
    let at = |offset: usize| {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Place::File(path.to_owned(), line)
    };
    let unreadable = |error: &toml::de::Error| Error::Unreadable {
        place: at(error.span().map_or(0, |span| span.start)),
        reason: error.message().to_owned(),
    };
    let table = DeTable::parse(text).map_err(|error| unreadable(&error))?;
    let mut file = File::default();
    for (name, value) in table.get_ref() {
        let place = at(name.span().start);
        match (name.get_ref().as_ref(), value.get_ref()) {
            ("types", DeValue::Array(entries)) => {
                // Serde reads the values; the spans above tell where they stand.
                let plain: toml::Table =
                    toml::from_str(text).map_err(|error| unreadable(&error))?;
                let plain = plain
                    .get("types")
                    .and_then(toml::Value::as_array)
                    .cloned()
                    .unwrap_or_default();
                for (entry, plain) in entries.iter().zip(plain) {
                    let place = at(entry.span().start);
                    known_keys(entry, "types", &TYPE_KEYS, &at)?;
                    file.types.push(Declared {
                        declaration: declaration(plain, &place)?,
                        place,
                    });
                }
            }
            ("expect", DeValue::Array(entries)) => {
                for entry in entries {
                    known_keys(entry, "expect", &EXPECT_KEYS, &at)?;
                    file.expected.push(expected(entry, at(entry.span().start))?);
                }
            }
            (list @ ("types" | "expect"), other) => {
                return Err(Error::ValueInvalid {
                    place,
                    key: list.to_owned(),
                    value: other.type_str().to_owned(),
                    expected: format!("entries of the form `[[{list}]]`"),
                });
            }
            (section, DeValue::Table(inner)) => {
                for (key, value) in inner {
                    let key_place = at(key.span().start);
                    let key = format!("{section}.{}", key.get_ref());
                    let text = scalar(value.get_ref()).ok_or_else(|| Error::ValueInvalid {
                        place: key_place.clone(),
                        key: key.clone(),
                        value: value.get_ref().type_str().to_owned(),
                        expected: "one value".to_owned(),
                    })?;
                    file.values.push((key, text, key_place));
                }
            }
            (name, _) => return Err(unknown(place, name.to_owned())),
        }
    }
    Ok(file)
}

fn unknown(place: Place, key: String) -> Error {
    let nearest = nearest_key(&key);
    Error::KeyUnknown {
        place,
        key,
        nearest,
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Integer(_) => None,
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn known_keys(
    entry: &Spanned<DeValue<'_>>,
    list: &str,
    known: &[&str],
    at: &impl Fn(usize) -> Place,
) -> Result<(), Error> {
    let Some(table) = entry.get_ref().as_table() else {
        return Err(Error::ValueInvalid {
            place: at(entry.span().start),
            key: list.to_owned(),
            value: entry.get_ref().type_str().to_owned(),
            expected: format!("entries of the form `[[{list}]]`"),
        });
    };
    for key in table.keys() {
        let name = key.get_ref().as_ref();
        if !known.contains(&name) {
            return Err(Error::KeyUnknown {
                place: at(key.span().start),
                key: format!("{list}.{name}"),
                nearest: super::load::nearest_of(name, known.iter().copied())
                    .map(|nearest| format!("{list}.{nearest}")),
            });
        }
    }
    Ok(())
}

fn declaration(plain: toml::Value, place: &Place) -> Result<TypeDeclaration, Error> {
    let shown = plain
        .get("name")
        .map_or_else(String::new, ToString::to_string);
    TypeDeclaration::deserialize(plain).map_err(|error| Error::ValueInvalid {
        place: place.clone(),
        key: "types".to_owned(),
        value: shown,
        expected: format!("a type ({})", error.message()),
    })
}

fn expected(entry: &Spanned<DeValue<'_>>, place: Place) -> Result<Expected, Error> {
    let handler = entry
        .get_ref()
        .get("handler")
        .and_then(|name| name.get_ref().as_str());
    match handler {
        Some(handler) if !handler.is_empty() => Ok(Expected {
            handler: handler.to_owned(),
            place,
        }),
        _ => Err(Error::ValueInvalid {
            place,
            key: "expect.handler".to_owned(),
            value: String::new(),
            expected: "a handler's name".to_owned(),
        }),
    }
}
