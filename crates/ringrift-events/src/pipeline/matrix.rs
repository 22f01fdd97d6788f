//! Every key of a pipeline and how far it came.

use std::collections::BTreeMap;

use serde::Serialize;

use super::flow::{self, Came};
use crate::catalog::Pipeline;
use crate::clock::Time;
use crate::event::EventType;
use crate::store::{Error, Store};

/// Most keys of one matrix: further ones are counted and not shown.
const KEYS_MAX: usize = 10_000;

/// Keys by steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Matrix {
    /// The pipeline.
    pub pipeline: String,
    /// Only what was committed at or after this counts.
    pub since: Time,
    /// The steps, in order.
    pub steps: Vec<EventType>,
    /// The keys, by name.
    pub keys: Vec<KeyFlow>,
    /// Events of its types without the key's field.
    pub without_key: u64,
    /// Events of keys beyond the bound.
    pub beyond: u64,
    /// Whether there was more of the log than one answer looks at.
    pub cut: bool,
}

impl Matrix {
    /// Whether every step came for every key.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.keys.iter().all(|key| key.complete)
    }
}

/// One key of a matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyFlow {
    /// The key.
    pub key: String,
    /// How many events came, by step.
    pub counts: Vec<u64>,
    /// When the last one came, by step.
    pub last_at: Vec<Option<Time>>,
    /// Whether every step came.
    pub complete: bool,
}

pub(super) fn of(store: &dyn Store, pipeline: &Pipeline, since: Time) -> Result<Matrix, Error> {
    let steps = pipeline.steps().len();
    let mut keys: BTreeMap<String, Vec<Came>> = BTreeMap::new();
    let (mut without_key, mut beyond) = (0, 0);
    let cut = flow::read(store, pipeline, since, |step, logged| {
        let Some(key) = pipeline.key_of(&logged.event.payload) else {
            without_key += 1;
            return;
        };
        if keys.len() >= KEYS_MAX && !keys.contains_key(&key) {
            beyond += 1;
            return;
        }
        let came = keys
            .entry(key)
            .or_insert_with(|| vec![Came::default(); steps]);
        came[step].note(logged);
    })?;
    Ok(Matrix {
        pipeline: pipeline.name().to_owned(),
        since,
        steps: pipeline.steps().to_vec(),
        keys: keys
            .into_iter()
            .map(|(key, came)| KeyFlow {
                key,
                complete: came.iter().all(|step| step.count > 0),
                counts: came.iter().map(|step| step.count).collect(),
                last_at: came
                    .iter()
                    .map(|step| step.last.map(|(at, _)| at))
                    .collect(),
            })
            .collect(),
        without_key,
        beyond,
        cut,
    })
}
