//! The verbs on the log, as this store answers them.

use std::sync::Arc;

use super::SqliteStore;
use super::handle::now;
use super::verbs::append::Append;
use super::verbs::find::{Children, Find};
use super::verbs::head::LogHead;
use super::verbs::list::List;
use super::verbs::read::ReadLog;
use crate::event::{Event, EventId, Seq};
use crate::store::log::{Appended, Batch, EventRef, Head, Log, Logged, OnCommit, Page, TypeSet};
use crate::store::{Error, Pending};

impl Log for SqliteStore {
    fn append(&self, batch: Batch, then: Option<OnCommit>) -> Pending<Vec<Appended>> {
        match self.line.pressed() {
            Some(error) => refuse(error, then),
            None => self.append_with(Append::new(batch), then),
        }
    }

    fn append_here(&self, batch: Batch, then: Option<OnCommit>) -> Pending<Vec<Appended>> {
        match self.line.pressed() {
            Some(error) => refuse(error, then),
            None => self.append_along(batch, then),
        }
    }

    fn head(&self) -> Pending<Head> {
        self.read(LogHead {
            presence: Arc::clone(&self.presence),
        })
    }

    fn read(&self, after: Seq, types: TypeSet, limit: usize) -> Pending<(Vec<Arc<Event>>, Seq)> {
        SqliteStore::read(
            self,
            ReadLog {
                after,
                types,
                limit,
                presence: Arc::clone(&self.presence),
            },
        )
    }

    fn find(&self, name: EventRef) -> Pending<Vec<Logged>> {
        SqliteStore::read(self, Find(name))
    }

    fn list(&self, page: Page) -> Pending<Vec<Logged>> {
        SqliteStore::read(self, List(page))
    }

    fn children(&self, id: EventId) -> Pending<Vec<Logged>> {
        SqliteStore::read(self, Children(id))
    }
}

/// Answers `error` without asking anybody; `then` runs all the same, here and now.
fn refuse(error: Error, then: Option<OnCommit>) -> Pending<Vec<Appended>> {
    let (answer, pending) = match then {
        Some(then) => Pending::channel_then(then),
        None => Pending::channel(),
    };
    now(&answer, error);
    pending
}
