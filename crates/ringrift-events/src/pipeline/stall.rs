//! A step that is awaited: since when, for which key, and whether it has been reported.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::event::{EventId, Seq};

/// A step that has not followed the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// The pipeline.
    pub pipeline: String,
    /// The key.
    pub key: String,
    /// The awaited step, from 0.
    pub step: usize,
    /// When the step before it was committed: the first of them that was not followed.
    pub since: Time,
    /// That event's place.
    pub seq: Seq,
    /// That event.
    pub event: EventId,
    /// The alert has been raised.
    pub raised: bool,
}

impl Stall {
    /// The name under which it is remembered.
    pub(super) fn name(pipeline: &str, key: &str, step: usize) -> String {
        // The key is last: whatever it contains, names of two stalls differ.
        format!("{step} {} {pipeline} {key}", pipeline.len())
    }

    pub(super) fn own_name(&self) -> String {
        Stall::name(&self.pipeline, &self.key, self.step)
    }
}
