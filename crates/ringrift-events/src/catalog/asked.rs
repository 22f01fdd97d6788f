//! The fields of a payload that a door asks about: kept in the pass that checks the payload, so that
//! nobody has to read it a second time for them.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use super::payload::{Checked, check_name};
use super::{RequiredPolicy, TypeEntry};
use crate::event::Payload;

/// What a field holds, as far as keys and requirements ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Held<'f> {
    /// `null`.
    Null,
    /// A text.
    Text(&'f str),
    /// A number.
    Number(&'f Number),
    /// A boolean, an array or an object.
    Other,
}

/// Where the fields of a payload are looked up.
pub trait Fields {
    /// What the field of this name holds, or, if the name has dots and no field has it whole, the
    /// field inside.
    fn held(&self, name: &str) -> Option<Held<'_>>;
}

impl Fields for Payload {
    fn held(&self, name: &str) -> Option<Held<'_>> {
        let fields = self.fields();
        if let Some(value) = fields.get(name) {
            return Some(value.into());
        }
        let mut names = name.split('.');
        let mut value = fields.get(names.next()?)?;
        for name in names {
            value = value.get(name)?;
        }
        Some(value.into())
    }
}

impl<'f> From<&'f Value> for Held<'f> {
    fn from(value: &'f Value) -> Held<'f> {
        match value {
            Value::Null => Held::Null,
            Value::String(text) => Held::Text(text),
            Value::Number(number) => Held::Number(number),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => Held::Other,
        }
    }
}

/// A payload and what the pass over it has kept of the fields that were asked for.
#[derive(Debug)]
pub struct Asked<'n> {
    payload: Payload,
    kept: Kept<'n>,
}

impl<'n> Asked<'n> {
    pub(super) fn new(payload: Payload, kept: Kept<'n>) -> Asked<'n> {
        Asked { payload, kept }
    }

    /// The payload, once nothing more is asked.
    #[must_use]
    pub fn into_payload(self) -> Payload {
        self.payload
    }
}

impl Fields for Asked<'_> {
    fn held(&self, name: &str) -> Option<Held<'_>> {
        let place = self.kept.names.iter().position(|asked| *asked == name);
        match place.map(|place| &self.kept.values[place]) {
            Some(Some(value)) => Some(value.into()),
            // A dotted name may also mean a field inside.
            Some(None) if !name.contains('.') => None,
            Some(None) | None => self.payload.held(name),
        }
    }
}

/// The fields asked for, and what the last one of each name holds.
#[derive(Debug, Default)]
pub(super) struct Kept<'n> {
    names: Vec<&'n str>,
    values: Vec<Option<Value>>,
}

impl<'n> Kept<'n> {
    /// For the fields that a publish of this type is asked about.
    pub(super) fn of(entry: &'n TypeEntry) -> Kept<'n> {
        let required = match entry.required_policy {
            RequiredPolicy::Off => &[],
            RequiredPolicy::Warn | RequiredPolicy::Reject => &entry.required[..],
        };
        let names = required.iter().chain(&entry.key_field);
        let names: Vec<&str> = names.map(String::as_str).collect();
        Kept {
            values: vec![None; names.len()],
            names,
        }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Kept<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Kept<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(place) = fields.next_key_seed(Place(&self.names))? {
            match place {
                Some(place) => {
                    let Scalar(value) = fields.next_value()?;
                    self.values[place] = Some(value);
                }
                None => {
                    fields.next_value::<Checked>()?;
                }
            }
        }
        Ok(())
    }
}

/// Finds a field's name among those asked for.
struct Place<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Place<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        check_name(name)?;
        Ok(self.0.iter().position(|asked| *asked == name))
    }
}

/// A value of which only texts, numbers and nulls are kept; others are checked, and stand for
/// themselves as `true`.
struct Scalar(Value);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

/// Stands for what is neither text nor number nor null.
const OTHER: Scalar = Scalar(Value::Bool(true));

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar, E> {
        Ok(OTHER)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar(number.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar(text.into()))
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Scalar, A::Error> {
        Checked.visit_seq(items).map(|Checked| OTHER)
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Scalar, A::Error> {
        Checked.visit_map(fields).map(|Checked| OTHER)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::payload::{check, check_asked};
    use crate::catalog::{Catalog, DeclaredIn, TypeDeclaration};

    fn entry(required: &[&str], key_field: Option<&str>) -> std::sync::Arc<TypeEntry> {
        let catalog = Catalog::ringrift();
        let declaration = TypeDeclaration {
            name: "asked".to_owned(),
            required: Some(required.iter().map(|&name| name.to_owned()).collect()),
            key_field: key_field.map(str::to_owned),
            ..TypeDeclaration::default()
        };
        catalog.declare(&declaration, DeclaredIn::Code).unwrap();
        catalog.resolve("asked").unwrap()
    }

    /// What a door learns of a text in one pass and what it learns of the payload read whole.
    fn both(text: &str, entry: &TypeEntry) {
        let (one, whole) = (
            check_asked(text.into(), 1_000, entry),
            check(text.as_bytes()),
        );
        let (asked, whole) = match (one, whole) {
            (Ok(asked), Ok(whole)) => (asked, whole),
            (one, whole) => {
                assert_eq!(one.map(Asked::into_payload), whole, "{text}");
                return;
            }
        };
        for name in ["a", "b", "a.b", "b.a", "a.b.a", "", "c"] {
            assert_eq!(asked.held(name), whole.held(name), "{name} of {text}");
        }
        assert_eq!(asked.into_payload(), whole);
    }

    #[test]
    fn a_door_learns_in_one_pass_what_the_whole_payload_says() {
        let entry = entry(&["a", "a.b", "a.b.a"], Some("b"));
        for text in [
            "{}",
            r#"{"a":1,"b":"k"}"#,
            r#"{"a":{"b":{"a":null}},"b":9007199254740993}"#,
            r#"{"a":1,"a":{"b":2}}"#,
            r#"{"a":{"b":2},"a":null}"#,
            r#"{"a.b":-0.5,"a":{"b":1e-400}}"#,
            r#"{"\u0061":"ß\u00e4","b":[1,{"c":true}]}"#,
            r#"{"a":{"$serde_json::private::RawValue":"1"}}"#,
            r#"{"$serde_json::private::RawValue":"1"}"#,
            r#"{"a":1e400}"#,
            r#"{"a":tru}"#,
            r#"{"a":1"#,
            "[1]",
            "\"a\"",
            "1.5",
            "null",
            " {\"a\":1} x",
            "",
        ] {
            both(text, &entry);
        }
    }

    /// JSON of a few names, nested, some of it broken.
    fn texts() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            any::<i64>().prop_map(|n| n.to_string()),
            any::<f64>().prop_map(|n| format!("{n:?}")),
            "[a-b\\\\\"]{0,3}".prop_map(|text| serde_json::Value::from(text).to_string()),
            "[\\[\\]{},:\"a1]{0,4}",
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let name = prop_oneof![Just("a"), Just("b"), Just("a.b"), Just("")];
            prop::collection::vec((name, inner), 0..4).prop_map(|fields| {
                let fields = fields
                    .iter()
                    .map(|(name, value)| format!("\"{name}\":{value}"));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
            })
        })
    }

    proptest! {
        #[test]
        fn a_door_learns_the_same_of_any_text(text in texts()) {
            both(&text, &entry(&["a", "a.b"], Some("b")));
        }
    }
}
