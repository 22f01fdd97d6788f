//! Power durability: commits are answered after one sync of the WAL that began after them, outside
//! the write lock, one sync for everything that waits.
//!
//! A torn tail of the WAL is cut at recovery, so what was synced stays. If somebody checkpoints
//! before the sync, that syncs the WAL first.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::inbox::{Inbox, Taken};
use super::keeper::keeper;
use super::line::{Line, Notice};
use super::neighbours::Neighbours;
use super::news::News;
use super::request::Request;
use crate::store::Error;

/// Batches answered by one sync at most; more than the outstanding bound allows never wait.
const BATCHES_AT_ONCE: usize = 4_096;

/// How long it sleeps when nothing comes. Only a guard.
const NAP: Duration = Duration::from_secs(60);

/// A committed batch on its way to its answers.
pub(super) struct Committed {
    pub(super) requests: Vec<Box<dyn Request>>,
    /// It waits for a sync that covers the log up to here; otherwise only for those before it.
    pub(super) sync_to: Option<i64>,
    pub(super) news: News,
}

/// The writer's way to the disk: a thread that syncs, which starts with the first batch that is
/// passed to it, or the writer itself where nothing could be committed meanwhile.
pub(super) struct Syncer {
    here: Sync,
    inbox: Option<Arc<Inbox<Committed>>>,
}

impl Syncer {
    pub(super) fn new(line: Arc<Line>, neighbours: Arc<Neighbours>, database: &Path) -> Syncer {
        Syncer {
            here: Sync {
                line,
                neighbours,
                name: super::housekeeper::wal_of(database),
                wal: None,
            },
            inbox: None,
        }
    }

    /// Takes a committed batch over. Answers come in the order in which batches were passed.
    /// `more_waits` to be committed: then that goes on while this one is synced.
    pub(super) fn pass(&mut self, batch: Committed, more_waits: bool) {
        let before = self.here.line.syncing.fetch_add(1, Ordering::AcqRel);
        if before == 0 && !more_waits {
            self.here.sync(vec![batch]);
            return;
        }
        let inbox = match self.started() {
            Ok(inbox) => inbox,
            Err(error) => {
                fail(&self.here.line, vec![batch], &error.message);
                return;
            }
        };
        if let Err(batch) = inbox.push(batch) {
            fail(&self.here.line, vec![batch], "the syncing thread has ended");
        }
    }

    fn started(&mut self) -> Result<Arc<Inbox<Committed>>, Error> {
        if let Some(inbox) = &self.inbox {
            return Ok(Arc::clone(inbox));
        }
        let inbox = Arc::new(Inbox::new());
        let mut thread = self.here.another();
        let batches = Arc::clone(&inbox);
        let guard = thread.line.threads.enter();
        keeper()?.spawn("rr-db-sync", move || {
            let _guard = guard;
            thread.run(&batches);
        })?;
        self.inbox = Some(Arc::clone(&inbox));
        Ok(inbox)
    }
}

impl Drop for Syncer {
    /// The writer is done: the thread answers what it has and ends.
    fn drop(&mut self) {
        if let Some(inbox) = &self.inbox {
            inbox.close();
        }
    }
}

struct Sync {
    line: Arc<Line>,
    neighbours: Arc<Neighbours>,
    name: PathBuf,
    /// Kept open: SQLite deletes the WAL only with the store's last connection, and the writer's
    /// outlives this.
    wal: Option<File>,
}

impl Sync {
    /// For another thread.
    fn another(&self) -> Sync {
        Sync {
            line: Arc::clone(&self.line),
            neighbours: Arc::clone(&self.neighbours),
            name: self.name.clone(),
            wal: None,
        }
    }

    fn run(&mut self, batches: &Inbox<Committed>) {
        loop {
            match batches.take(BATCHES_AT_ONCE, NAP, |_| true) {
                Taken::Some(batches) => self.sync(batches),
                Taken::Nothing => {}
                Taken::Closed => return,
            }
        }
    }

    fn sync(&mut self, batches: Vec<Committed>) {
        if self.line.poisoned().is_some() {
            fail(&self.line, batches, "an earlier sync failed");
            return;
        }
        let sync_to = batches.iter().filter_map(|batch| batch.sync_to).max();
        if sync_to.is_some()
            && let Err(error) = self.sync_wal()
        {
            // The kernel may have dropped the pages and report the next sync as good: nobody may
            // sync again and call it safe.
            let text = format!("the WAL could not be synced: {error}");
            self.line.say(Notice::Error(text.clone()));
            self.neighbours.poison();
            fail(&self.line, batches, &text);
            return;
        }
        if let Some(seq) = sync_to {
            self.neighbours.note_synced(seq);
        }
        let mut news = Vec::with_capacity(batches.len());
        for batch in batches {
            self.line.answer_all(batch.requests);
            self.line.syncing.fetch_sub(1, Ordering::AcqRel);
            news.push(batch.news);
        }
        self.neighbours.tell(&news);
    }

    fn sync_wal(&mut self) -> std::io::Result<()> {
        let file = match &self.wal {
            Some(file) => file,
            None => {
                // The file's name must survive too: its directory is synced once.
                if let Some(folder) = self.name.parent() {
                    File::open(folder)?.sync_all()?;
                }
                self.wal
                    .insert(File::options().read(true).write(true).open(&self.name)?)
            }
        };
        file.sync_data()
    }
}

/// Poisons the store and answers everything with that; it is committed, so the outcome is unknown.
fn fail(line: &Line, batches: Vec<Committed>, why: &str) {
    let error = line.poison(why.to_owned()).unknown_outcome();
    for batch in batches {
        for request in batch.requests {
            line.refuse(request, error.clone());
        }
        line.syncing.fetch_sub(1, Ordering::AcqRel);
    }
}
