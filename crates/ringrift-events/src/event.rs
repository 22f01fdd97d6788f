//! Plain data: what an event is, and the ids that name things.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clock::{Clock, Time};

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id whose order follows the clock's time (UUIDv7).
            #[must_use]
            pub fn new(clock: &dyn Clock) -> $name {
                $name::at(clock.now(), clock)
            }

            /// The same at a moment that the caller has just read from the clock.
            #[must_use]
            pub fn at(now: Time, clock: &dyn Clock) -> $name {
                let ms = u64::try_from(now.0.max(0) / 1_000).unwrap_or(0);
                let (a, b) = clock.random_two();
                let (a, b) = (a.to_be_bytes(), b.to_be_bytes());
                let random = [a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], b[0], b[1]];
                $name(uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_newtype! {
    /// Names one event for ever (UUIDv7).
    EventId
}
uuid_newtype! {
    /// Names one start of one program. Host and pid alone never do: both are used again.
    ProcessId
}

/// When a time-ordered id was made, to the millisecond.
pub(crate) fn made_at(id: Uuid) -> Option<Time> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
    Some(Time(micros + i64::from(nanos / 1_000)))
}

/// A W3C trace id: sixteen bytes, shown as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TraceId(pub Uuid);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.simple())
    }
}

/// An event's place in the log. It never repeats, and grows with every commit.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub i64);

impl Seq {
    /// The place before the first event.
    pub const START: Seq = Seq(0);

    /// A place behind every event.
    pub const END: Seq = Seq(i64::MAX);

    /// The next place.
    #[must_use]
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A type's canonical value, such as `training_completed`.
///
/// Made by the catalog alone once a name has passed the door; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventType(Arc<str>);

impl EventType {
    /// Takes a canonical value as it is. The catalog checks names; this does not.
    #[must_use]
    pub fn from_canonical(value: &str) -> EventType {
        EventType(Arc::from(value))
    }

    /// The canonical value, such as `training_completed`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The constant's name, such as `TRAINING_COMPLETED`: how logs and people write it.
    #[must_use]
    pub fn constant(&self) -> String {
        self.0.to_ascii_uppercase()
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A JSON object, kept byte for byte as the publisher gave it; parsed only when somebody asks. Cheap
/// to clone.
#[derive(Clone)]
pub struct Payload {
    text: Arc<str>,
    fields: OnceLock<Arc<Map<String, Value>>>,
}

impl Payload {
    /// Wraps text that is known to be one JSON object (the router's door and the store check it).
    #[must_use]
    pub fn from_checked(text: impl Into<Arc<str>>) -> Payload {
        Payload {
            text: text.into(),
            fields: OnceLock::new(),
        }
    }

    /// The text, verbatim.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The object's fields, parsed at the first call. Empty if the text is no object after all
    /// (a foreign writer put it there).
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        self.fields
            .get_or_init(|| Arc::new(serde_json::from_str(&self.text).unwrap_or_default()))
    }

    /// Whether `text` is the same JSON, token for token: only white space between tokens may
    /// differ, as it does once a payload was printed on one line.
    #[must_use]
    pub fn is_same_json(&self, text: &str) -> bool {
        self.as_str() == text || tokens(self.as_str()).eq(tokens(text))
    }
}

/// The bytes of JSON text without the white space between its tokens.
fn tokens(text: &str) -> impl Iterator<Item = u8> {
    let (mut in_string, mut escaped) = (false, false);
    text.bytes().filter(move |byte| {
        if !in_string {
            in_string = *byte == b'"';
            return !matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        }
        in_string = escaped || *byte != b'"';
        escaped = !escaped && *byte == b'\\';
        true
    })
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Payload) -> bool {
        self.text == other.text
    }
}

impl Eq for Payload {}

/// One event. Immutable once published; shared as `Arc<Event>` by everyone who handles it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name for ever.
    pub id: EventId,
    /// Its canonical type.
    pub event_type: EventType,
    /// The JSON object it carries.
    pub payload: Payload,
    /// Who published it, in the publisher's words (`debug`, `trainer-3`).
    pub source: String,
    /// What orders and groups it.
    pub key: Option<String>,
    /// When it was made, by the publisher's clock.
    pub published_at: Time,
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// The event whose handler published it.
    pub parent_id: Option<EventId>,
    /// How many parents it has above it; bounded by [`DEPTH_MAX`].
    pub depth: u16,
    /// The process that published it.
    pub origin: ProcessId,
    /// The pipeline stage whose completion it announces, if any (canonical value).
    pub stage: Option<String>,
    /// Its place in the log; `None` for a volatile event and before the commit.
    pub seq: Option<Seq>,
}

/// Circles of handlers end here: a publish deeper than this is refused with `PUB_REJECTED`.
pub const DEPTH_MAX: u16 = 64;

/// Largest payload, in bytes: larger ones belong in a file that the event names.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// Longest key and longest idempotency key, in bytes: they stand in indexes and in tables.
pub const KEY_BYTES_MAX: usize = 1 << 10;

/// Longest source, in bytes: it stands in every row and line.
pub const SOURCE_BYTES_MAX: usize = 200;

/// Longest words for who acted, in bytes; longer ones are cut.
pub const BY_BYTES_MAX: usize = 200;

/// Who acted, as records keep it: at most [`BY_BYTES_MAX`] bytes, cut on a character's border.
#[must_use]
pub fn bounded_by(by: &str) -> String {
    by[..by.floor_char_boundary(BY_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_the_same_whatever_white_space_stands_between_their_tokens() {
        let payload = Payload::from_checked("{ \"a b\":\n[1, 2],\t\"c\\\" d\": \"\\\\\" }");
        assert!(payload.is_same_json("{\"a b\":[1,2],\"c\\\" d\":\"\\\\\"}"));
        assert!(!payload.is_same_json("{\"ab\":[1,2],\"c\\\" d\":\"\\\\\"}"));
        assert!(!payload.is_same_json("{\"a b\":[1,2],\"c\\\"d\":\"\\\\\"}"));
        assert!(!payload.is_same_json("{\"a b\":[12],\"c\\\" d\":\"\\\\\"}"));
    }
}
