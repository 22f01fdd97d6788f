//! What a fact tells beside its code: the same words in every store.

use serde_json::{Value, json};

use crate::clock::Time;
use crate::verdict::Failure;

/// The letter keeps an error's whole text; facts keep so many bytes of its beginning.
const PREVIEW_BYTES_MAX: usize = 1_024;

/// The evidence of a failed attempt.
pub(super) fn of_failure(
    failure: &Failure,
    (letter, attempt): (i64, u32),
    retry_at: Option<Time>,
) -> Value {
    let message = &failure.message;
    let mut evidence = json!({
        "letter": letter,
        "attempt": attempt,
        "kind": failure.kind.as_str(),
        "error": &message[..message.floor_char_boundary(PREVIEW_BYTES_MAX)],
        "step": failure.step,
        "took_us": u64::try_from(failure.took.as_micros()).unwrap_or(u64::MAX),
        "next_retry_at": retry_at.map(Time::to_sql),
    });
    if let Some(found) = &failure.circumstances {
        evidence["effort"] = json!(found.effort);
        evidence["steps"] = json!(found.steps);
        evidence["errno"] = json!(found.errno);
        evidence["resources"] = json!(found.resources);
        if let Some(thread) = &found.thread {
            evidence["state"] = json!(thread.state);
            evidence["syscall"] = json!(thread.syscall);
            evidence["object"] = json!(thread.object);
        }
    }
    evidence
}
