//! Completing a pipeline stage: publishing its data event once, with the stage's name in it.

use super::publish::Publish;
use super::publishing::Publishing;
use super::{Error, Router};
use crate::stages::StageCompletionResult;

impl Router {
    /// Publishes what a completed stage says of itself as the stage's data event. Whoever wants
    /// the completions of one stage subscribes by [`super::Subscribe::to_stage`].
    ///
    /// # Errors
    /// As [`Router::publish`]; an unknown stage is refused with the nearest names.
    pub fn complete_stage(
        &self,
        mut result: StageCompletionResult,
        source: &str,
    ) -> Result<Publishing, Error> {
        let stage = self.shared.catalog.stage(&result.stage)?;
        result.stage.clone_from(&stage.value);
        let key = result.config_key.clone();
        let payload = serde_json::to_vec(&result).map_err(|error| Error::Definition {
            name: stage.value.clone(),
            problem: format!("its result is no JSON: {error}"),
        })?;
        self.publish(
            Publish::new(stage.data_event.as_str(), payload)
                .source(source)
                .key(key),
        )
    }
}
