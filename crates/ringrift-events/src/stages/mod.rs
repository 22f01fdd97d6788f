//! Which pipeline stage completed for which key.
//!
//! A stage is completed by an event whose payload field `stage` names it: the event is the one
//! source of truth, so that every process sees the same stages, whoever completed them. The bus of
//! stages only remembers; it publishes nothing and calls nobody.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Time;
use crate::event::{Event, EventId};

/// Most pairs of stage and key that are remembered; the oldest completion goes first.
pub const STAGES_REMEMBERED_MAX: usize = 10_000;

/// The payload field that names the stage an event completes.
pub const STAGE_FIELD: &str = "stage";

/// What a completed stage says of itself; it becomes the payload of the stage's data event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageCompletionResult {
    /// The stage's canonical value, such as `training_complete`.
    pub stage: String,
    /// Whom it completed for (`config_key`).
    pub config_key: String,
    /// Whether the stage reached its goal.
    pub success: bool,
    /// Anything else, flat beside the fields above.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// The last completion of one stage for one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageEvent {
    /// The stage's canonical value.
    pub stage: String,
    /// Whom it completed for; empty if the event has no key.
    pub key: String,
    /// The event that completed it.
    pub event: EventId,
    /// When that event was published.
    pub at: Time,
    /// How often it completed for this key since this process began to look.
    pub count: u64,
}

/// What stages completed, as far as this process has seen.
#[derive(Debug, Default)]
pub struct StageEventBus {
    seen: Mutex<HashMap<(String, String), StageEvent>>,
}

impl StageEventBus {
    /// Notes an event, if it completes a stage. Cheap for all others.
    pub fn note(&self, event: &Event) {
        let Some(stage) = &event.stage else { return };
        let key = event.key.clone().unwrap_or_default();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let count = seen
            .get(&(stage.clone(), key.clone()))
            .map_or(0, |last| last.count)
            + 1;
        let noted = StageEvent {
            stage: stage.clone(),
            key: key.clone(),
            event: event.id,
            at: event.published_at,
            count,
        };
        seen.insert((stage.clone(), key), noted);
        if seen.len() > STAGES_REMEMBERED_MAX {
            let oldest = seen
                .iter()
                .min_by_key(|(_, noted)| noted.at)
                .map(|(at, _)| at.clone());
            if let Some(oldest) = oldest {
                seen.remove(&oldest);
            }
        }
    }

    /// The last completion of `stage` (canonical value) for `key`.
    #[must_use]
    pub fn last(&self, stage: &str, key: &str) -> Option<StageEvent> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&(stage.to_owned(), key.to_owned())).cloned()
    }

    /// Every completion remembered, newest first.
    #[must_use]
    pub fn all(&self) -> Vec<StageEvent> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<StageEvent> = seen.values().cloned().collect();
        all.sort_by_key(|noted| std::cmp::Reverse(noted.at));
        all
    }
}
