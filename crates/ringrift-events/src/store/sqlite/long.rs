//! Work on the file that may take minutes (backup, check, an operator's query): each on a database
//! thread and a connection of its own, so that neither publishing nor polling waits behind it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::SqliteStore;
use super::connection::Use;
use super::keeper::keeper;
use super::line::Line;
use super::request::Worked;
use super::writer::panic_text;
use crate::clock::SharedClock;
use crate::store::{Error, ErrorCode, Pending};

/// Such works at once in one process: each keeps a read transaction open, and the WAL with it.
const AT_ONCE_MAX: usize = 4;

/// What a long work may use.
pub(super) struct Place {
    /// The database.
    pub(super) database: PathBuf,
    /// How this handle reads it.
    pub(super) reading: Use,
    /// The clock.
    pub(super) clock: SharedClock,
    /// How long it waits for locks.
    pub(super) busy: Duration,
    line: Arc<Line>,
}

impl Place {
    /// The store is closing: the work ends with an error.
    pub(super) fn go_on(&self) -> Result<(), Error> {
        if self.line.closing() {
            return Err(super::line::closed());
        }
        Ok(())
    }

    /// For callbacks of SQLite, which own what they look at.
    pub(super) fn is_closing(&self) -> impl Fn() -> bool + Send + 'static {
        let line = Arc::clone(&self.line);
        move || line.closing()
    }

    /// The database's name for people.
    pub(super) fn shown(&self) -> std::path::Display<'_> {
        Path::new(&self.database).display()
    }
}

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Counts one out, also when it panics.
struct Turn;

impl Drop for Turn {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::AcqRel);
    }
}

impl SqliteStore {
    /// Runs `work` on a database thread of its own. It must hold plain data only.
    pub(super) fn work<T: Clone + Send + 'static>(
        &self,
        work: impl FnOnce(&Place) -> Result<T, Error> + Send + 'static,
    ) -> Pending<T> {
        match self.start_work(work) {
            Ok(pending) => pending,
            Err(error) => Pending::ready(Err(error)),
        }
    }

    fn start_work<T: Clone + Send + 'static>(
        &self,
        work: impl FnOnce(&Place) -> Result<T, Error> + Send + 'static,
    ) -> Result<Pending<T>, Error> {
        self.check()?;
        let turn = if RUNNING.fetch_add(1, Ordering::AcqRel) < AT_ONCE_MAX {
            Turn
        } else {
            drop(Turn);
            return Err(Error::new(
                ErrorCode::Busy,
                format!("{AT_ONCE_MAX} backups, checks or queries run in this process already"),
            ));
        };
        self.line.admit(0)?;
        let (answer, pending) = Pending::channel();
        let line = Arc::clone(&self.line);
        let place = Place {
            database: self.database.clone(),
            reading: self.reading,
            clock: Arc::clone(&self.options.clock),
            busy: self.options.busy_timeout,
            line: Arc::clone(&self.line),
        };
        let guard = self.line.threads.enter();
        let spawned = keeper()?.spawn("rr-db-long", move || {
            let _guard = guard;
            let _turn = turn;
            let result = catch_unwind(AssertUnwindSafe(|| work(&place))).unwrap_or_else(|panic| {
                let text = panic_text(&*panic);
                Err(Error::new(
                    ErrorCode::Io,
                    format!("a long work panicked: {text}"),
                ))
            });
            line.answer(Box::new(Worked::new(result, answer)));
        });
        if spawned.is_err() {
            self.line.release(0);
        }
        spawned.map(|()| pending)
    }
}
