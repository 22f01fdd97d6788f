//! One line of `publish --jsonl`.

use ringrift_events::event::EventId;
use ringrift_events::router::Publish;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a line may say; more is allowed, so that what `subscribe` prints can be published again.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    event_type: String,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    id: Option<uuid::Uuid>,
    source: Option<String>,
    key: Option<String>,
    idempotency_key: Option<String>,
}

/// What the command line says for every line.
pub(super) struct Given<'a> {
    /// The type: then a line is a payload.
    pub(super) event_type: Option<&'a str>,
    /// The source where a line names none.
    pub(super) source: &'a str,
    /// The key where a line names none.
    pub(super) key: Option<&'a str>,
}

/// The event of a line; the payload's bytes stay as they are.
pub(super) fn read(line: &[u8], given: &Given<'_>) -> Result<Publish, String> {
    let line = line.trim_ascii();
    if let Some(event_type) = given.event_type {
        let publish = Publish::new(event_type, line).source(given.source);
        let publish = publish.without_call_site();
        return Ok(match given.key {
            Some(key) => publish.key(key),
            None => publish,
        });
    }
    let read: Line<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let payload = read.payload.map_or("{}", RawValue::get);
    let source = read.source.as_deref().unwrap_or(given.source);
    let publish = Publish::new(read.event_type, payload.as_bytes()).source(source);
    let mut publish = publish.without_call_site();
    if let Some(key) = read.key.as_deref().or(given.key) {
        publish = publish.key(key);
    }
    if let Some(key) = read.idempotency_key {
        publish = publish.idempotency_key(key);
    }
    if let Some(id) = read.id {
        publish = publish.id(EventId(id));
    }
    Ok(publish)
}
