//! Recorded evidence as people read it.

use serde_json::{Map, Value};

use super::known::utc;
use crate::clock::Time;

/// What is said first, in this order: what went wrong, then where and how often.
const FIRST: [&str; 8] = [
    "error",
    "reason",
    "kind",
    "step",
    "attempt",
    "took_us",
    "next_retry_at",
    "letter",
];

/// Most entries of a list that are said.
const LISTED_MAX: usize = 8;

/// Evidence in words, the error first: `out of memory; kind error; attempt 2; took 1.500 ms`.
/// What is no JSON object is said as it stands.
#[must_use]
pub fn readable(evidence: &str) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str(evidence) else {
        return evidence.to_owned();
    };
    said(&fields, "; ")
}

fn said(fields: &Map<String, Value>, between: &str) -> String {
    let first = FIRST.iter().filter_map(|name| fields.get_key_value(*name));
    let rest = fields
        .iter()
        .filter(|(name, _)| !FIRST.contains(&name.as_str()));
    let words = first
        .chain(rest)
        .filter_map(|(name, value)| field(name, value));
    words.collect::<Vec<_>>().join(between)
}

/// `attempt 2`; nothing for what is empty.
fn field(name: &str, value: &Value) -> Option<String> {
    if matches!(name, "error" | "reason") && value.is_string() {
        return text(value);
    }
    let words = |name: &str| name.replace('_', " ");
    let (unit, number) = match name.rsplit_once('_') {
        Some((of, unit @ ("ms" | "us" | "bytes"))) => (Some((of, unit)), value.as_i64()),
        _ => (None, None),
    };
    match (unit, number) {
        (Some((of @ ("since" | "until"), "us")), Some(micros)) => {
            Some(format!("{of} {}", utc(Time(micros))))
        }
        (Some((of, "us")), Some(micros)) => Some(format!(
            "{} {}.{:03} ms",
            words(of),
            micros / 1_000,
            micros % 1_000
        )),
        (Some((of, unit)), Some(number)) => Some(format!("{} {number} {unit}", words(of))),
        _ if name.ends_with("_at") => Some(format!("{} {} UTC", words(name), text(value)?)),
        _ => Some(format!("{} {}", words(name), text(value)?)),
    }
}

/// The value alone; nothing if it is empty.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::Bool(is) => is.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(all) => {
            let shown: Vec<String> = all.iter().take(LISTED_MAX).filter_map(text).collect();
            let more = match all.len() > LISTED_MAX {
                true => format!(" and {} more", all.len() - LISTED_MAX),
                false => String::new(),
            };
            format!("{}{more}", shown.join(", "))
        }
        Value::Object(fields) => match said(fields, ", ") {
            inner if inner.is_empty() => inner,
            inner => format!("({inner})"),
        },
    };
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_comes_first_and_nothing_empty_is_said() {
        let evidence = r#"{"attempt":2,"effort":{"polls":3,"cpu_us":1500},"error":"out of memory",
            "errno":null,"kind":"error","letter":7,"next_retry_at":"2026-11-24 03:55:00.000",
            "steps":["db:load","gpu"],"took_us":2250001,"notes":[]}"#;
        assert_eq!(
            readable(evidence),
            "out of memory; kind error; attempt 2; took 2250.001 ms; \
             next retry at 2026-11-24 03:55:00.000 UTC; letter 7; \
             effort (cpu 1.500 ms, polls 3); steps db:load, gpu"
        );
        assert_eq!(readable("{}"), "");
        assert_eq!(readable("as it is"), "as it is");
        assert_eq!(
            readable(r#"{"held_ms":40,"since_us":0}"#),
            "held 40 ms; since 1970-01-01 00:00:00.000 UTC"
        );
    }
}
