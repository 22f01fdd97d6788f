//! A function that looks for duplicates by itself: what it told of that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::dedup::RanBefore;
use super::policy::Dedup;

/// By what a handler's function dedups, as its last run told.
#[derive(Debug, Default)]
pub(super) struct OwnDedup {
    told: Mutex<Option<Dedup>>,
    is_news: AtomicBool,
}

impl OwnDedup {
    pub(super) fn tell(&self, dedup: Dedup) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref() != Some(&dedup) {
            *told = Some(dedup);
            self.is_news.store(true, Ordering::Release);
        }
    }

    pub(super) fn read(&self) -> Option<Dedup> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.clone()
    }

    /// Whether it has changed since this was asked last.
    pub(super) fn take_news(&self) -> bool {
        // Asked after each run, and hardly ever so.
        self.is_news.load(Ordering::Relaxed) && self.is_news.swap(false, Ordering::AcqRel)
    }
}

/// What one run found while it looked for duplicates.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) missing_field: Option<String>,
    pub(super) ran_before: Option<RanBefore>,
}
