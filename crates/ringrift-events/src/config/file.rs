//! Reading `ringrift.toml`: keys with their lines, types, expected handlers.

use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Error, Place};
use super::home::Home;
use super::load::nearest_key;
use super::watching::Watching;
use crate::catalog::TypeDeclaration;
use crate::router::check_name;

/// Largest file, in bytes: a person writes it.
const FILE_BYTES_MAX: u64 = 1 << 20;

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
    pub(super) watching: Watching,
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

/// What is done with a part that is refused: an error ends the reading, `Ok` passes the part over.
pub(super) type Refuse<'a> = &'a mut dyn FnMut(Error) -> Result<(), Error>;

/// Reads the home's file, if there is one.
pub(super) fn of_home(home: &Home, refuse: Refuse<'_>) -> Result<File, Error> {
    match text_of_file(home) {
        Ok(None) => Ok(File::default()),
        Ok(Some(text)) => read(&home.config_file(), &text, refuse),
        Err(error) => refuse(error).map(|()| File::default()),
    }
}

/// The file's text, if there is one.
fn text_of_file(home: &Home) -> Result<Option<String>, Error> {
    let path = home.config_file();
    let unreadable = |reason: String| Error::Unreadable {
        place: Place::File(path.clone(), 1),
        reason,
    };
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let mut text = String::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| unreadable(error.to_string()))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(format!("more than {} bytes", FILE_BYTES_MAX)));
    }
    Ok(Some(text))
}

/// Reads a file's text. Text that is no TOML is passed over as a whole: what would be left of it
/// after a guess is nobody's configuration.
pub(super) fn read(path: &Path, text: &str, refuse: Refuse<'_>) -> Result<File, Error> {
    let at = |offset: usize| {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Place::File(path.to_owned(), line)
    };
    let unreadable = |error: &toml::de::Error| Error::Unreadable {
        place: at(error.span().map_or(0, |span| span.start)),
        reason: error.message().to_owned(),
    };
    let mut file = File::default();
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            refuse(unreadable(&error))?;
            return Ok(file);
        }
    };
    // Serde reads the types' values; the spans of the table tell where they stand.
    let plain: toml::Table = toml::from_str(text).map_err(|error| unreadable(&error))?;
    let types = plain.get("types").and_then(toml::Value::as_array);
    for (name, value) in table.get_ref() {
        let place = at(name.span().start);
        match (name.get_ref().as_ref(), value.get_ref()) {
            (list @ ("types" | "expect" | "alert" | "sink" | "pipeline"), DeValue::Array(all)) => {
                for (number, entry) in all.iter().enumerate() {
                    let plain = types.and_then(|types| types.get(number)).cloned();
                    if let Err(error) = file.entry(list, entry, plain, &at) {
                        refuse(error)?;
                    }
                }
            }
            (list @ ("types" | "expect" | "alert" | "sink" | "pipeline"), other) => {
                refuse(Error::ValueInvalid {
                    place,
                    key: list.to_owned(),
                    value: other.type_str().to_owned(),
                    expected: format!("entries of the form `[[{list}]]`"),
                })?;
            }
            (section, DeValue::Table(inner)) => {
                for (key, value) in inner {
                    let place = at(key.span().start);
                    let key = format!("{section}.{}", key.get_ref());
                    match scalar(value.get_ref()) {
                        Some(text) => file.values.push((key, text, place)),
                        None => refuse(Error::ValueInvalid {
                            place,
                            key,
                            value: value.get_ref().type_str().to_owned(),
                            expected: "one value".to_owned(),
                        })?,
                    }
                }
            }
            (name, _) => refuse(unknown(place, name.to_owned()))?,
        }
    }
    Ok(file)
}

impl File {
    /// Reads one entry of a list; `plain` is its value if it is a type.
    fn entry(
        &mut self,
        list: &str,
        entry: &Spanned<DeValue<'_>>,
        plain: Option<toml::Value>,
        at: &impl Fn(usize) -> Place,
    ) -> Result<(), Error> {
        let place = at(entry.span().start);
        match list {
            "types" => {
                known_keys(entry, list, &TYPE_KEYS, at)?;
                let plain = plain.unwrap_or_else(|| toml::Value::Table(toml::Table::new()));
                let declaration = declaration(plain, &place)?;
                self.types.push(Declared { declaration, place });
            }
            "expect" => {
                known_keys(entry, list, &EXPECT_KEYS, at)?;
                self.expected.push(expected(entry, place)?);
            }
            _ => self.watching.read(list, entry, at)?,
        }
        Ok(())
    }
}

fn unknown(place: Place, key: String) -> Error {
    let nearest = nearest_key(&key);
    Error::KeyUnknown {
        place,
        key,
        nearest,
    }
}

pub(super) fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Integer(_) => None,
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

pub(super) fn known_keys(
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
        Some(handler) if check_name(handler).is_ok() => Ok(Expected {
            handler: handler.to_owned(),
            place,
        }),
        other => Err(Error::ValueInvalid {
            place,
            key: "expect.handler".to_owned(),
            value: other.unwrap_or_default().chars().take(200).collect(),
            expected: "a handler's name".to_owned(),
        }),
    }
}
