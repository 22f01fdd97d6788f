//! The check every payload passes before it becomes an event: bounded, UTF-8, one JSON object,
//! kept byte for byte.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed as _, Deserializer, MapAccess, SeqAccess, Visitor};

use super::asked::{Asked, Kept};
use super::{Error, TypeEntry};
use crate::event::{PAYLOAD_BYTES_MAX, Payload};

/// Deepest nesting of objects and arrays in a payload: less than every JSON reader around us
/// bears (`serde_json` 127, Python about 1,000), more than any honest event needs.
pub const PAYLOAD_NESTING_MAX: usize = 100;

/// The key by which `serde_json` recognises its own raw values. An object that carries it would
/// pass here and then be read as something else.
const RAW_VALUE_KEY: &str = "$serde_json::private::RawValue";

/// Checks that `text` is one JSON object within the bounds, and keeps it byte for byte.
///
/// Costs one pass for the nesting and one for the grammar, and allocates nothing but the copy. The
/// nesting is counted without recursion, so no text can exhaust the stack.
///
/// # Errors
/// [`Error::PayloadTooLarge`] above [`PAYLOAD_BYTES_MAX`], [`Error::PayloadNotUtf8`],
/// [`Error::PayloadTooDeep`] above [`PAYLOAD_NESTING_MAX`], [`Error::PayloadNotObject`] and
/// [`Error::PayloadNotJson`], which also refuses numbers beyond 64-bit floating point.
///
/// ```
/// use ringrift_events::catalog::payload;
/// let payload = payload::check(br#"{ "games": 9007199254740993 }"#)?;
/// assert_eq!(payload.as_str(), r#"{ "games": 9007199254740993 }"#);
/// assert!(payload::check(b"[1, 2]").is_err());
/// # Ok::<(), ringrift_events::catalog::Error>(())
/// ```
pub fn check(text: &[u8]) -> Result<Payload, Error> {
    check_within(text, PAYLOAD_BYTES_MAX)
}

/// As [`check`], with a lower bound on the size, in bytes.
///
/// # Errors
/// As [`check`], [`Error::PayloadTooLarge`] above `bytes_max`.
pub fn check_within(text: &[u8], bytes_max: usize) -> Result<Payload, Error> {
    check_size(text, bytes_max)?;
    let text = std::str::from_utf8(text).map_err(|error| not_utf8(&error))?;
    check_text(text, &mut Kept::default())?;
    Ok(Payload::from_checked(text))
}

/// The same for a text that is given away: it is not copied. Keeps besides what it holds in the
/// fields that a publish of this type is asked about.
///
/// # Errors
/// As [`check_within`].
pub fn check_asked(text: Vec<u8>, bytes_max: usize, entry: &TypeEntry) -> Result<Asked<'_>, Error> {
    check_size(&text, bytes_max)?;
    let mut text = String::from_utf8(text).map_err(|error| not_utf8(&error.utf8_error()))?;
    let mut kept = Kept::of(entry);
    check_text(&text, &mut kept)?;
    // It may wait for long, and what waits is counted by its length.
    text.shrink_to(text.len() * 2);
    Ok(Asked::new(Payload::from_checked(text), kept))
}

fn check_size(text: &[u8], bytes_max: usize) -> Result<(), Error> {
    let (bytes, max) = (text.len(), bytes_max.min(PAYLOAD_BYTES_MAX));
    match bytes > max {
        true => Err(Error::PayloadTooLarge { bytes, max }),
        false => Ok(()),
    }
}

fn not_utf8(error: &std::str::Utf8Error) -> Error {
    Error::PayloadNotUtf8 {
        at: error.valid_up_to(),
    }
}

fn check_text(text: &str, kept: &mut Kept<'_>) -> Result<(), Error> {
    check_nesting(text.as_bytes())?;
    let first = text.trim_start_matches([' ', '\t', '\n', '\r']);
    let first = first.as_bytes().first().copied();
    let mut json = serde_json::Deserializer::from_str(text);
    let read = match first {
        Some(b'{') => kept.deserialize(&mut json),
        Some(_) | None => Checked::deserialize(&mut json).map(|Checked| ()),
    };
    read.and_then(|()| json.end())
        .map_err(|error| Error::PayloadNotJson {
            reason: error.to_string(),
        })?;
    match first {
        Some(b'{') | None => Ok(()),
        Some(first) => Err(Error::PayloadNotObject { found: kind(first) }),
    }
}

fn kind(first: u8) -> &'static str {
    match first {
        b'[' => "an array",
        b'"' => "a string",
        b't' | b'f' => "a boolean",
        b'n' => "null",
        _ => "a number",
    }
}

/// How many brackets of either kind open, wherever they stand.
fn count_opened(text: &[u8]) -> usize {
    /// Their number fits a byte, so that the processor counts many places at once.
    const PART: usize = 240;
    let parts = text.chunks(PART).map(|part| {
        // The two differ in this bit alone.
        let opened = part.iter().map(|byte| u8::from(byte | 0x20 == b'{'));
        usize::from(opened.sum::<u8>())
    });
    parts.sum()
}

/// Counts brackets outside strings. On text that is no JSON the count may be wrong, never the
/// bound: the parser that follows goes no deeper than the brackets counted here.
fn check_nesting(text: &[u8]) -> Result<(), Error> {
    // Nearly every payload has fewer in all, and counting them takes a tenth of looking closer.
    if count_opened(text) <= PAYLOAD_NESTING_MAX {
        return Ok(());
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.iter().enumerate() {
        if in_string {
            match (escaped, byte) {
                (true, _) => escaped = false,
                (false, b'\\') => escaped = true,
                (false, b'"') => in_string = false,
                (false, _) => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > PAYLOAD_NESTING_MAX {
                    return Err(Error::PayloadTooDeep {
                        at,
                        max: PAYLOAD_NESTING_MAX,
                    });
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Accepts exactly what [`serde_json::Value`] accepts, and builds nothing.
pub(super) struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Checked, D::Error> {
        deserializer.deserialize_any(Checked)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = Checked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Checked, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Checked, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Checked, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Checked, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Checked, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Checked, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Checked, A::Error> {
        while items.next_element::<Checked>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Checked, A::Error> {
        while let Some(Key) = fields.next_key()? {
            fields.next_value::<Checked>()?;
        }
        Ok(self)
    }
}

struct Key;

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(Key)
    }
}

impl Visitor<'_> for Key {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Key, E> {
        check_name(name).map(|()| self)
    }
}

/// Refuses the one name that the JSON reader has for itself.
pub(super) fn check_name<E: serde::de::Error>(name: &str) -> Result<(), E> {
    match name == RAW_VALUE_KEY {
        true => Err(E::custom("field name is reserved by the JSON reader")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coded::Coded;

    fn code(text: &[u8]) -> &'static str {
        check(text).map_err(|error| error.code()).unwrap_err()
    }

    #[test]
    fn bytes_are_kept_and_integers_above_2_53_survive() {
        let text = "{\"n\": 9007199254740993 ,\n \"s\":\"ß\\u00e4\"}";
        let payload = check(text.as_bytes()).unwrap();
        assert_eq!(payload.as_str(), text);
        assert_eq!(payload.fields()["n"].as_u64(), Some(9_007_199_254_740_993));
    }

    #[test]
    fn each_kind_of_bad_payload_has_its_own_code() {
        assert_eq!(code(b"[1]"), "PAYLOAD_NOT_OBJECT");
        assert_eq!(code(b"  null"), "PAYLOAD_NOT_OBJECT");
        assert_eq!(code(b""), "PAYLOAD_NOT_JSON");
        assert_eq!(code(b"{\"a\":1} {}"), "PAYLOAD_NOT_JSON");
        assert_eq!(code(b"{\"a\":NaN}"), "PAYLOAD_NOT_JSON");
        assert_eq!(code(b"{\"a\":1e400}"), "PAYLOAD_NOT_JSON");
        assert_eq!(code(b"{\"a\":\"\\ud800\"}"), "PAYLOAD_NOT_JSON");
        assert_eq!(code(b"{\"a\":\"\xff\"}"), "PAYLOAD_NOT_UTF8");
        assert_eq!(
            code(b"{\"a\":{\"$serde_json::private::RawValue\":\"]\"}}"),
            "PAYLOAD_NOT_JSON"
        );
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(PAYLOAD_BYTES_MAX));
        assert_eq!(code(large.as_bytes()), "PAYLOAD_TOO_LARGE");
    }

    #[test]
    fn nesting_is_bounded_without_recursion() {
        for depth in [PAYLOAD_NESTING_MAX + 1, 10_000, 500_000] {
            let text = format!("{{\"a\":{}", "[".repeat(depth - 1));
            assert_eq!(code(text.as_bytes()), "PAYLOAD_TOO_DEEP", "{depth}");
        }
        let inner = PAYLOAD_NESTING_MAX - 1;
        let text = format!("{{\"a\":{}{}}}", "[".repeat(inner), "]".repeat(inner));
        let payload = check(text.as_bytes()).unwrap();
        assert_eq!(payload.fields().len(), 1, "what passes here can be read");
        assert!(check(b"{\"a\":\"[[[[\\\"[[\"}").is_ok());
    }

    #[test]
    fn whatever_passes_can_be_read_as_fields() {
        for text in [
            "{\"a\":-0}",
            "{\"a\":1e-400}",
            "{\"\":0}",
            "{\"a\":1,\"a\":2}",
            "{}",
        ] {
            let payload = check(text.as_bytes()).unwrap();
            let read: Result<serde_json::Map<String, serde_json::Value>, _> =
                serde_json::from_str(payload.as_str());
            assert!(read.is_ok(), "{text}");
        }
    }
}
