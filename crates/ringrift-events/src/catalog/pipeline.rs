//! Pipelines: types that must follow one another for each key, and how long a step may take.

use std::time::Duration;

use serde::Serialize;

use super::required::scalar_of;
use super::types::CONFIG_KEY;
use super::{Catalog, TypeEntry};
use crate::event::{EventType, Payload};

/// The name of the pipeline that comes with this version.
pub const RINGRIFT_PIPELINE: &str = "ringrift";

/// Most steps of a pipeline: each is a column of its matrix.
pub const STEPS_MAX: usize = 50;

/// Types that must follow one another, in the order in which they must flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pipeline {
    name: String,
    key_field: String,
    steps: Vec<EventType>,
    limits: Vec<Option<Duration>>,
}

impl Pipeline {
    pub(super) fn of<'e>(entries: impl Iterator<Item = &'e TypeEntry>) -> Pipeline {
        let mut steps: Vec<(u32, EventType)> = entries
            .filter_map(|entry| Some((entry.pipeline_position?, entry.event_type.clone())))
            .collect();
        steps.sort();
        let steps = steps.into_iter().map(|(_, step)| step).collect();
        Pipeline::new(RINGRIFT_PIPELINE, CONFIG_KEY, steps)
    }

    /// A pipeline of these steps without time limits, for each value of a payload field.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        key_field: impl Into<String>,
        steps: Vec<EventType>,
    ) -> Pipeline {
        Pipeline {
            name: name.into(),
            key_field: key_field.into(),
            limits: vec![None; steps.len()],
            steps,
        }
    }

    /// The same with a limit on the time from the step before `step` to `step`; unchanged if it is
    /// no step of this pipeline, or the first.
    #[must_use]
    pub fn with_limit(mut self, step: &EventType, limit: Duration) -> Pipeline {
        if let Some(index) = self.index_of(step).filter(|index| *index > 0) {
            self.limits[index] = Some(limit);
        }
        self
    }

    /// The same for another payload field.
    #[must_use]
    pub fn keyed_by(mut self, field: impl Into<String>) -> Pipeline {
        self.key_field = field.into();
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The payload field whose values run through it, each on its own.
    #[must_use]
    pub fn key_field(&self) -> &str {
        &self.key_field
    }

    /// Its steps, first to last.
    #[must_use]
    pub fn steps(&self) -> &[EventType] {
        &self.steps
    }

    /// How long after the step before it a step, from 0, may take.
    #[must_use]
    pub fn limit_of(&self, index: usize) -> Option<Duration> {
        self.limits.get(index).copied().flatten()
    }

    /// Whether any step has a limit.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.limits.iter().any(Option::is_some)
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

    /// The key under which a payload runs through it: the field's text or number.
    #[must_use]
    pub fn key_of(&self, payload: &Payload) -> Option<String> {
        scalar_of(payload, &self.key_field)
    }
}

impl Catalog {
    /// The seven steps of the RingRift pipeline.
    #[must_use]
    pub fn pipeline(&self) -> &Pipeline {
        &self.shared().pipeline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_waits_for_nothing_and_takes_no_limit() {
        let catalog = Catalog::ringrift();
        let steps = catalog.pipeline().steps().to_vec();
        let hour = Duration::from_secs(3_600);
        let timed = catalog.pipeline().clone().with_limit(&steps[0], hour);
        assert!(!timed.is_timed());
        let timed = timed.with_limit(&steps[2], hour);
        assert_eq!((timed.limit_of(2), timed.limit_of(3)), (Some(hour), None));
    }
}
