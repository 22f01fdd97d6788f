//! What all threads of one store share: its bounds, its end, its poison, and its way to the
//! courier. Memory only.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::courier::OnNotice;
use super::inbox::Inbox;
use super::recent::Recent;
use super::request::Request;
use super::threads::Threads;
use crate::store::spin::Spin;
use crate::store::{Error, ErrorCode};

/// Requests outstanding at once in one process: the design's bound of publishes in flight.
pub(super) const OUTSTANDING_MAX: usize = 65_536;

/// Payload bytes outstanding at once in one process.
pub(super) const OUTSTANDING_BYTES_MAX: usize = 64 << 20;

/// A piece of news for the courier.
pub(super) enum Parcel {
    /// An answered request, to be woken and dropped.
    Answered(Box<dyn Request>),
    /// Something to write to the log.
    Say(Notice),
}

/// What a database thread wants said; the courier says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// Surprising, nothing lost.
    Warn(String),
    /// Someone must act.
    Error(String),
}

/// Shared by all threads of one store.
pub(super) struct Line {
    /// To the writer.
    pub(super) writes: Inbox<Box<dyn Request>>,
    /// Whoever writes for this process holds it from before the commit until the answers are on
    /// their way: they stay in commit order.
    pub(super) writing: Mutex<()>,
    /// To the readers.
    pub(super) reads: Inbox<Box<dyn Request>>,
    /// Ends the thread that looks for changes that nobody tells of.
    pub(super) lookout: Inbox<()>,
    /// Its start was tried: by the first who waits for news.
    pub(super) looks_out: OnceLock<()>,
    /// To the courier.
    pub(super) parcels: Inbox<Parcel>,
    /// Whoever carries parcels holds it, and tells what there is to say: so they stay in order.
    pub(super) carrying: Mutex<OnNotice>,
    /// Where blocking callers wait for their answers.
    pub(super) callers: Spin,
    /// To the housekeeper: the WAL has grown, or the end has come.
    pub(super) chores: Inbox<()>,
    /// Pages in the WAL after the last commit of this process.
    pub(super) wal_pages: AtomicU64,
    /// At this many pages the next checkpoint is due.
    pub(super) checkpoint_due: AtomicU64,
    /// The running threads of this store.
    pub(super) threads: Threads,
    /// Commits of this process since the open.
    pub(super) commits: AtomicU64,
    /// Batches on their way through the syncer: later ones follow them, to keep the order of
    /// answers.
    pub(super) syncing: AtomicUsize,
    /// This process's row in `processes`; 0 until it has joined.
    pub(super) process_row: AtomicI64,
    /// The housekeeper has copied the WAL; the writer is to copy the rest between two commits.
    pub(super) finish_checkpoint: AtomicBool,
    /// Backups, checks and queries that run.
    pub(super) long_works: AtomicUsize,
    /// Events that were read lately.
    pub(super) recent: Arc<Recent>,
    outstanding: AtomicUsize,
    outstanding_bytes: AtomicUsize,
    closed: AtomicBool,
    poison: OnceLock<Error>,
    replaced: OnceLock<Error>,
    /// Why publishing is held back, by reason.
    pressure: Mutex<BTreeMap<&'static str, Error>>,
    is_pressed: AtomicBool,
}

impl Line {
    pub(super) fn new(said: OnNotice) -> Line {
        Line {
            carrying: Mutex::new(said),
            callers: Spin::default(),
            writes: Inbox::new(),
            writing: Mutex::new(()),
            reads: Inbox::new(),
            lookout: Inbox::new(),
            looks_out: OnceLock::new(),
            parcels: Inbox::new(),
            chores: Inbox::new(),
            wal_pages: AtomicU64::new(0),
            checkpoint_due: AtomicU64::new(super::housekeeper::WAL_PAGES),
            threads: Threads::default(),
            commits: AtomicU64::new(0),
            syncing: AtomicUsize::new(0),
            process_row: AtomicI64::new(0),
            finish_checkpoint: AtomicBool::new(false),
            long_works: AtomicUsize::new(0),
            recent: Arc::default(),
            outstanding: AtomicUsize::new(0),
            outstanding_bytes: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            poison: OnceLock::new(),
            replaced: OnceLock::new(),
            pressure: Mutex::new(BTreeMap::new()),
            is_pressed: AtomicBool::new(false),
        }
    }

    /// Counts a request in, or refuses it at the bound.
    pub(super) fn admit(&self, bytes: usize) -> Result<(), Error> {
        let count = self.outstanding.fetch_add(1, Ordering::AcqRel);
        let held = self.outstanding_bytes.fetch_add(bytes, Ordering::AcqRel);
        // One request is always let in, however large.
        if count >= OUTSTANDING_MAX || (held > 0 && held + bytes > OUTSTANDING_BYTES_MAX) {
            self.release(bytes);
            return Err(Error::new(
                ErrorCode::Backpressure,
                format!("{count} requests with {held} bytes wait for the store already"),
            )
            .with_next("ringrift status"));
        }
        Ok(())
    }

    /// Counts a request out.
    pub(super) fn release(&self, bytes: usize) {
        self.outstanding.fetch_sub(1, Ordering::AcqRel);
        self.outstanding_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Fills the answer and passes the request on to the courier, or to the caller that waits for
    /// it. The only way in which a database thread may let go of a request.
    pub(super) fn answer(&self, request: Box<dyn Request>) {
        self.answer_all(vec![request]);
    }

    /// The same of some, which wakes the courier once for all.
    pub(super) fn answer_all(&self, mut requests: Vec<Box<dyn Request>>) {
        requests.retain_mut(|request| {
            let is_neighbours = request.is_neighbours();
            if is_neighbours {
                request.fill();
            }
            !is_neighbours
        });
        self.pass(requests, false);
    }

    /// The same for a caller that carries what follows by itself.
    pub(super) fn answer_here(&self, request: Box<dyn Request>) {
        self.pass(vec![request], true);
    }

    fn pass(&self, requests: Vec<Box<dyn Request>>, is_carried: bool) {
        let parcels = requests.into_iter().map(Parcel::Answered).collect();
        // In the queue first: a caller that has its answer finds there what follows.
        let passed = self.parcels.push_all(parcels, |parcel| match parcel {
            Parcel::Answered(request) => request.fill() || is_carried,
            Parcel::Say(_) => false,
        });
        if let Err(parcels) = passed {
            // The courier ends after every database thread, so this cannot happen; dropping here
            // could touch a descriptor of the other table, so the memory is left instead.
            std::mem::forget(parcels);
        }
    }

    /// Answers with an error.
    pub(super) fn refuse(&self, mut request: Box<dyn Request>, error: Error) {
        request.refuse(error);
        self.answer(request);
    }

    /// Has the courier write to the log.
    pub(super) fn say(&self, notice: Notice) {
        // Closed: nobody is left to read it.
        drop(self.parcels.push(Parcel::Say(notice)));
    }

    /// Makes every later write fail; the first reason stays.
    pub(super) fn poison(&self, why: String) -> Error {
        let error = Error::new(ErrorCode::Poisoned, why).with_next("ringrift db check");
        self.poison.get_or_init(|| error).clone()
    }

    /// Why writes fail, if they do.
    pub(super) fn poisoned(&self) -> Option<&Error> {
        self.poison.get()
    }

    /// Notes that the file under this process is no longer the one it opened.
    pub(super) fn mark_replaced(&self, error: Error) {
        if self.replaced.set(error.clone()).is_ok() {
            self.say(Notice::Error(error.message));
        }
    }

    /// The refusal every verb gets now, if any.
    pub(super) fn refusal(&self) -> Option<Error> {
        if self.closed.load(Ordering::Acquire) {
            return Some(closed());
        }
        self.replaced.get().cloned()
    }

    /// Holds publishing back for one reason, or no longer.
    pub(super) fn press(&self, reason: &'static str, why: Option<Error>) {
        let mut pressure = self.pressure.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            Some(error) => {
                let said = error.message.clone();
                if pressure.insert(reason, error).is_none() {
                    self.say(Notice::Error(said));
                }
            }
            None => {
                if pressure.remove(reason).is_some() {
                    self.say(Notice::Warn(format!("there is room in the {reason} again")));
                }
            }
        }
        self.is_pressed
            .store(!pressure.is_empty(), Ordering::Release);
    }

    /// Why nothing may be published now, if so.
    pub(super) fn pressed(&self) -> Option<Error> {
        if !self.is_pressed.load(Ordering::Acquire) {
            return None;
        }
        let pressure = self.pressure.lock().unwrap_or_else(PoisonError::into_inner);
        pressure.values().next().cloned()
    }

    /// The end has come: long reads stop.
    pub(super) fn closing(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Lets no request in any more; what is there is still served.
    pub(super) fn close_inboxes(&self) {
        self.writes.close();
        self.reads.close();
        self.lookout.close();
    }

    /// Ends the taking of requests. Says whether this call did it.
    pub(super) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }
}

/// The error of every verb after the close.
pub(super) fn closed() -> Error {
    Error::new(ErrorCode::Closed, "the store's handle is closed")
}
