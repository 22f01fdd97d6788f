//! The pipeline's stages: what completing one publishes.

use std::sync::Arc;

use serde::Serialize;

use super::error::{Error, bounded_name};
use super::{Catalog, nearest};
use crate::event::EventType;

/// One stage of the pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageEntry {
    /// Its constant, such as `TRAINING_COMPLETE`.
    pub constant: String,
    /// Its canonical value, such as `training_complete`.
    pub value: String,
    /// The type that completing it publishes; a stage without a data event publishes its own value.
    pub data_event: EventType,
}

impl Catalog {
    /// Every stage, in the pipeline's order.
    #[must_use]
    pub fn stages(&self) -> &[Arc<StageEntry>] {
        &self.shared().stages
    }

    /// The stage of this constant or canonical value.
    ///
    /// # Errors
    /// [`Error::StageUnknown`] with the nearest names.
    ///
    /// ```
    /// use ringrift_events::catalog::Catalog;
    /// let catalog = Catalog::ringrift();
    /// assert_eq!(catalog.stage("sync_complete")?.data_event.as_str(), "data_sync_completed");
    /// assert_eq!(catalog.stage("ITERATION_COMPLETE")?.data_event.as_str(), "iteration_complete");
    /// # Ok::<(), ringrift_events::catalog::Error>(())
    /// ```
    pub fn stage(&self, name: &str) -> Result<Arc<StageEntry>, Error> {
        let found = self
            .stages()
            .iter()
            .find(|stage| stage.value == name || stage.constant == name);
        found.cloned().ok_or_else(|| Error::StageUnknown {
            name: bounded_name(name),
            nearest: nearest::nearest(name, self.stages().iter().map(|stage| stage.value.as_str())),
        })
    }
}
