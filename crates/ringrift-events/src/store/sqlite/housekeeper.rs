//! The housekeeper thread: checkpoints off the publishing path, and a look each second whether the
//! file is still the one that was opened. It commits nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Connection;

use super::checkpoint;
use super::connection::version_of;
use super::inbox::Taken;
use super::line::{Line, Notice};
use super::raw;
use super::room::Bounds;
use super::watch::FileWatch;
use crate::store::{Error, ErrorCode};

/// A WAL of this many pages is copied. Below the 1,000 at which a foreign connection's commit
/// would checkpoint by itself, maybe with an older SQLite.
pub(super) const WAL_PAGES: u64 = 800;

/// Between two looks when nobody calls: a store quiet for this long is checkpointed wholly, so
/// that a copy of its file is a backup.
const LOOK: Duration = Duration::from_secs(1);

/// The housekeeper thread's own.
pub(super) struct Housekeeper {
    /// Its busy timeout is zero: it never waits for anybody.
    pub(super) conn: Connection,
    pub(super) line: Arc<Line>,
    pub(super) database: PathBuf,
    pub(super) watch: FileWatch,
    /// Publishing is held back where they are reached.
    pub(super) bounds: Bounds,
}

/// What the last look saw.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    version: i64,
    commits: u64,
}

/// The WAL beside a database.
pub(super) fn wal_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

impl Housekeeper {
    /// Works until the store closes; then empties the WAL if nobody else uses it.
    pub(super) fn run(&mut self) {
        let mut last = None;
        while let Taken::Some(_) | Taken::Nothing = self.line.chores.take(1, LOOK, |()| true) {
            self.look(&mut last);
        }
        // What lies in the WAL of a file that was replaced is not for the one that lies there now.
        if self.is_ours()
            && let Err(error) = checkpoint::truncate(&self.conn)
        {
            self.complain(&error);
        }
    }

    fn look(&mut self, last: &mut Option<Seen>) {
        if !self.is_ours() {
            return;
        }
        self.look_at_room();
        let pages = self.line.wal_pages.load(Ordering::Acquire);
        if pages >= self.line.checkpoint_due.load(Ordering::Acquire) {
            self.copy(pages);
            return;
        }
        let wal_bytes = std::fs::metadata(wal_of(&self.database)).map_or(0, |found| found.len());
        if wal_bytes == 0 {
            *last = None;
            return;
        }
        match self.seen() {
            Ok(seen) if *last == Some(seen) => {
                // Quiet for a whole look.
                match checkpoint::truncate(&self.conn) {
                    Ok(copied) if !copied.busy => *last = None,
                    Ok(_) => {}
                    Err(error) => self.complain(&error),
                }
            }
            Ok(seen) => *last = Some(seen),
            Err(error) => self.complain(&error),
        }
    }

    fn copy(&self, pages: u64) {
        // Where a reader keeps the WAL from starting anew, the next copy is due after as many
        // pages again, not at each commit.
        self.line
            .checkpoint_due
            .store(pages + WAL_PAGES, Ordering::Release);
        match checkpoint::passive(&self.conn) {
            // Commits have come meanwhile: only the writer itself can copy the last ones. It finds
            // the disk with little left to do.
            Ok(copied) if !copied.busy => {
                raw::sync_file(&self.conn);
                self.line.finish_checkpoint.store(true, Ordering::Release);
            }
            // Somebody else is copying.
            Ok(_) => {}
            Err(error) => self.complain(&error),
        }
    }

    fn seen(&self) -> Result<Seen, Error> {
        Ok(Seen {
            version: version_of(&self.conn)?,
            commits: self.line.commits.load(Ordering::Acquire),
        })
    }

    /// A file that was deleted, replaced or moved away under us takes our commits with it.
    fn is_ours(&mut self) -> bool {
        match self.watch.look(&self.conn) {
            Ok(()) => true,
            Err(error) => {
                self.line.mark_replaced(error);
                false
            }
        }
    }

    fn complain(&self, error: &Error) {
        if error.code != ErrorCode::Busy {
            self.line.say(Notice::Warn(format!(
                "a checkpoint failed: {}",
                error.message
            )));
        }
    }
}
