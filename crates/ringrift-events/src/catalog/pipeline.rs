//! The pipeline: the types that must follow one another for each configuration.

use serde::Serialize;

use super::{Catalog, TypeEntry};
use crate::event::EventType;

/// The types of the pipeline, in the order in which they must flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pipeline {
    steps: Vec<EventType>,
}

impl Pipeline {
    pub(super) fn of<'e>(entries: impl Iterator<Item = &'e TypeEntry>) -> Pipeline {
        let mut steps: Vec<(u32, EventType)> = entries
            .filter_map(|entry| Some((entry.pipeline_position?, entry.event_type.clone())))
            .collect();
        steps.sort();
        Pipeline {
            steps: steps.into_iter().map(|(_, step)| step).collect(),
        }
    }

    /// Its steps, first to last.
    #[must_use]
    pub fn steps(&self) -> &[EventType] {
        &self.steps
    }

    /// A type's place among the steps, from 0.
    #[must_use]
    pub fn index_of(&self, event_type: &EventType) -> Option<usize> {
        self.steps.iter().position(|step| step == event_type)
    }

    /// The step that must come after this one.
    #[must_use]
    pub fn after(&self, event_type: &EventType) -> Option<&EventType> {
        self.steps.get(self.index_of(event_type)? + 1)
    }
}

impl Catalog {
    /// The seven steps of the RingRift pipeline.
    #[must_use]
    pub fn pipeline(&self) -> &Pipeline {
        &self.shared().pipeline
    }
}
