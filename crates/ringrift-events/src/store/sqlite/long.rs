//! Work on the file that may take minutes (backup, check, an operator's query): each on a database
//! thread and a connection of its own, so that neither publishing nor polling waits behind it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::SqliteStore;
use super::connection::Use;
use super::keeper::keeper;
use super::line::Line;
use super::request::Worked;
use super::writer::panic_text;
use crate::clock::SharedClock;
use crate::store::{Error, ErrorCode, Pending};

/// Such works at once of one store: each keeps a read transaction open, and the WAL with it.
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
}

/// One running work of a store.
struct Turn(Arc<Line>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.long_works.fetch_sub(1, Ordering::AcqRel);
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
        let running = self.line.long_works.fetch_add(1, Ordering::AcqRel);
        let turn = Turn(Arc::clone(&self.line));
        if running >= AT_ONCE_MAX {
            return Err(Error::new(
                ErrorCode::Busy,
                format!("{AT_ONCE_MAX} backups, checks or queries of this store run already"),
            ));
        }
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
            let result = catch_unwind(AssertUnwindSafe(|| work(&place))).unwrap_or_else(|panic| {
                let text = panic_text(&*panic);
                Err(Error::new(
                    ErrorCode::Io,
                    format!("a long work panicked: {text}"),
                ))
            });
            // Who asks again at the answer finds its place free.
            drop(turn);
            line.answer(Box::new(Worked::new(result, answer)));
        });
        if spawned.is_err() {
            self.line.release(0);
        }
        spawned.map(|()| pending)
    }
}
