//! The event that everybody publishes, when, and what its receiver reads of it.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::outcome::{now, percent_of_a_core, processor, since};

/// Time for a process to come to rest after it opened, before it is watched.
const COMES_TO_REST: Duration = Duration::from_millis(1_500);

/// The shortest pause between two events.
const PAUSE_MIN: Duration = Duration::from_millis(3);

/// Pauses are this many different ones, a millisecond apart.
const PAUSES: usize = 9;

/// Steps through the pauses so that neighbours differ; it shares no divisor with their number.
const PAUSE_STEP: usize = 7;

/// About 300 bytes, which say when they were made.
pub(crate) fn payload() -> String {
    let (sent_ns, pad) = (now().as_nanos(), "x".repeat(240));
    format!(r#"{{"config_key":"hex8_2p","sent_ns":{sent_ns},"pad":"{pad}"}}"#)
}

/// How long ago this payload was made.
pub(crate) fn age(payload: &[u8]) -> Result<Duration> {
    let came = now();
    let payload: serde_json::Value = serde_json::from_slice(payload)?;
    let sent_ns = payload["sent_ns"].as_u64().context("no sent_ns")?;
    Ok(came.saturating_sub(Duration::from_nanos(sent_ns)))
}

/// The pause before this event: 3 to 11 milliseconds.
pub(crate) fn pause(number: usize) -> Duration {
    PAUSE_MIN + Duration::from_millis((number * PAUSE_STEP % PAUSES) as u64)
}

/// What the process uses of a core while nothing happens.
pub(crate) fn idle(watched: Duration) -> Option<f64> {
    if watched.is_zero() {
        return None;
    }
    std::thread::park_timeout(COMES_TO_REST);
    let (began, used) = (now(), processor());
    std::thread::park_timeout(watched);
    let used = processor().saturating_sub(used);
    Some(percent_of_a_core(used, since(began)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_three_to_eleven_milliseconds_and_each_comes() {
        let mut pauses: Vec<u128> = (0..PAUSES).map(|n| pause(n).as_millis()).collect();
        pauses.sort_unstable();
        assert_eq!(pauses, (3..=11).collect::<Vec<u128>>());
    }

    #[test]
    fn a_payload_says_when_it_was_made() {
        let payload = payload();
        assert!((290..=310).contains(&payload.len()), "{}", payload.len());
        assert!(age(payload.as_bytes()).unwrap() < Duration::from_secs(60));
        age(b"{}").unwrap_err();
    }
}
