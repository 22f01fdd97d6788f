//! The questions about pipelines, for library, command and Python alike.

use std::sync::Arc;

use super::error::Error;
use super::stall::Stall;
use super::watch::WATCH;
use super::{Flow, Matrix, flow, matrix};
use crate::catalog::{Pipeline, nearest_words};
use crate::clock::Time;
use crate::store::Store;

/// The pipelines of a home.
#[derive(Clone)]
pub struct Pipelines {
    store: Arc<dyn Store>,
    known: Arc<[Pipeline]>,
}

impl Pipelines {
    /// The pipelines `known`, over `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, known: Vec<Pipeline>) -> Pipelines {
        Pipelines {
            store,
            known: known.into(),
        }
    }

    /// Every pipeline, the built-in one first.
    #[must_use]
    pub fn list(&self) -> &[Pipeline] {
        &self.known
    }

    /// The pipeline of this name, in any case.
    ///
    /// # Errors
    /// [`Error::Unknown`] with the nearest name.
    pub fn get(&self, name: &str) -> Result<&Pipeline, Error> {
        let found = self
            .known
            .iter()
            .find(|one| one.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| Error::Unknown {
            name: name.chars().take(200).collect(),
            nearest: nearest_words(name, self.known.iter().map(Pipeline::name)).map(str::to_owned),
        })
    }

    /// How a key ran through a pipeline since then. Blocks: it reads the log from there on, one
    /// short transaction for each thousand events, at most a million.
    ///
    /// # Errors
    /// [`Error::Unknown`], and the store's.
    pub fn verify(&self, pipeline: &str, key: &str, since: Time, now: Time) -> Result<Flow, Error> {
        let pipeline = self.get(pipeline)?;
        Ok(flow::of(&*self.store, pipeline, key, since, now)?)
    }

    /// How every key ran through a pipeline since then; blocks as [`Pipelines::verify`].
    ///
    /// # Errors
    /// [`Error::Unknown`], and the store's.
    pub fn matrix(&self, pipeline: &str, since: Time) -> Result<Matrix, Error> {
        let pipeline = self.get(pipeline)?;
        Ok(matrix::of(&*self.store, pipeline, since)?)
    }

    /// The steps that are awaited beyond their limit, longest first.
    ///
    /// # Errors
    /// The store's.
    pub fn stalls(&self) -> Result<Vec<Stall>, Error> {
        let kept = self.store.watched(WATCH.to_owned()).wait()?;
        let stalls = kept.marks.iter();
        let mut stalls: Vec<Stall> = stalls
            .filter_map(|(_, text)| serde_json::from_str(text).ok())
            .filter(|stall: &Stall| stall.raised)
            .collect();
        stalls.sort_by_key(|stall| stall.since);
        Ok(stalls)
    }
}
