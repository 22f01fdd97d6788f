//! The verbs on the log, as this store answers them.

use std::sync::Arc;

use super::SqliteStore;
use super::verbs::append::Append;
use super::verbs::find::{Children, Find};
use super::verbs::head::LogHead;
use super::verbs::list::List;
use super::verbs::read::ReadLog;
use crate::event::{Event, EventId, Seq};
use crate::store::Pending;
use crate::store::log::{Appended, Batch, EventRef, Head, Log, Logged, OnCommit, Page, TypeSet};

impl Log for SqliteStore {
    fn append(&self, batch: Batch, then: Option<OnCommit>) -> Pending<Vec<Appended>> {
        if let Some(error) = self.line.pressed() {
            return SqliteStore::refuse_with(error, then);
        }
        match then {
            Some(then) => self.write_then(Append(batch), then),
            None => self.write(Append(batch)),
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
