//! Facts about single deliveries that nobody else keeps: live skips and duplicates, long waits.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::Shared;
use super::hosted::Hosted;
use crate::event::Event;
use crate::store::registry::Fact;
use crate::verdict::{Code, Outcome};

/// What an allowance is for.
const PER: Duration = Duration::from_secs(1);

/// How many facts may be kept at this moment.
#[derive(Debug, Default)]
pub(super) struct Allowance(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    since: Duration,
    kept: u32,
    left_out: u64,
}

impl Allowance {
    /// Whether one more may be kept, `most` in a second, and how many were not since the last one
    /// that was.
    fn take(&self, now: Duration, most: u32) -> Option<u64> {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(spent.since) >= PER {
            spent.since = now;
            spent.kept = 0;
        }
        if spent.kept >= most {
            spent.left_out += 1;
            return None;
        }
        spent.kept += 1;
        Some(std::mem::take(&mut spent.left_out))
    }
}

impl Shared {
    /// Keeps that a live handler skipped an event, or knew its key. Durable ones keep it with
    /// their settlement.
    pub(super) fn note_live_ending(&self, hosted: &Hosted, event: &Event, outcome: &Outcome) {
        let (code, evidence) = match outcome {
            Outcome::Skipped { reason } => (Code::HnSkipped, json!({ "reason": reason })),
            Outcome::Duplicate {
                original,
                key,
                window_ends_at,
            } => (
                Code::HnDuplicate,
                json!({
                    "original": original, "key": key, "window_ends_at": window_ends_at.to_sql()
                }),
            ),
            Outcome::Done | Outcome::Failed(_) => return,
        };
        self.note(hosted, event, code, evidence);
    }

    /// Keeps that a delivery waited long for a limit.
    pub(super) fn note_wait(&self, hosted: &Hosted, event: &Event, (code, wait): (Code, Duration)) {
        if wait < self.settings.recording.wait {
            return;
        }
        if code == Code::WtProcessLimit {
            self.waited.fetch_add(1, Ordering::Relaxed);
        }
        let evidence = json!({
            "waited_ms": u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            "concurrency": hosted.handler.policy().concurrency,
            "in_flight_max": self.settings.handlers_in_flight,
        });
        self.note(hosted, event, code, evidence);
    }

    /// Counts a wait for the process's limit that a shutdown ends: it will not come to its own end,
    /// and what the page shows last must still say that there was one.
    pub(super) fn note_unended_waits(&self, hosts: &[Arc<Hosted>]) {
        let now = self.clock.now();
        let is_long = |hosted: &Arc<Hosted>| {
            let at = hosted.handler.waits_at();
            at.is_some_and(|(code, since)| {
                code == Code::WtProcessLimit && now.since(since) >= self.settings.recording.wait
            })
        };
        if hosts.iter().any(is_long) {
            self.waited.fetch_max(1, Ordering::Relaxed);
        }
    }

    fn note(&self, hosted: &Hosted, event: &Event, code: Code, mut evidence: Value) {
        let most = self.settings.recording.facts_per_second;
        let Some(left_out) = hosted.facts.take(self.clock.monotonic(), most) else {
            return;
        };
        if left_out > 0 {
            evidence["not_recorded_before"] = json!(left_out);
        }
        let fact = Fact {
            at: self.clock.now(),
            code: Some(code),
            event: Some(event.id),
            seq: event.seq,
            seq_to: None,
            event_type: Some(event.event_type.clone()),
            subscription: Some(hosted.id),
            process: Some(self.process),
            act: None,
            generation: None,
            evidence: evidence.to_string(),
        };
        self.store.record(vec![fact]).forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_allowance_is_counted_and_told_with_the_next_one() {
        let allowance = Allowance::default();
        let now = Duration::from_secs(9);
        let kept = (0..27)
            .filter(|_| allowance.take(now, 20).is_some())
            .count();
        assert_eq!(kept, 20);
        assert_eq!(allowance.take(now + PER, 20), Some(7));
        assert_eq!(allowance.take(now + PER, 20), Some(0));
    }
}
