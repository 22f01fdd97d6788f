//! The writer thread: what waits shares one transaction, and everybody is answered after its
//! commit, in commit order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::begin::{Waited, begin};
use super::checkpoint;
use super::fault;
use super::frames;
use super::housekeeper::WAL_PAGES;
use super::inbox::Taken;
use super::line::{Line, Notice};
use super::neighbours::Neighbours;
use super::news::News;
use super::request::Request;
use super::riding::{self, Along, Rider};
use super::syncer::{Committed, Syncer};
use super::verb::{Tx, Undo};
use super::verbs::head;
use super::watch::FileWatch;
use crate::clock::SharedClock;
use crate::event::ProcessId;
use crate::store::pages::{Guard, Rode};
use crate::store::spin::Spin;
use crate::store::{Error, ErrorCode};

/// Verbs in one transaction at most: beyond this a commit costs nothing per verb any more, and
/// the first ones wait longer.
const BATCH_MAX: usize = 1_024;

/// Payload bytes in one transaction at most, for the same reason.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// How long the writer sleeps when nothing comes. Only a guard: each request wakes it.
const NAP: Duration = Duration::from_secs(60);

/// Other processes let each other in for at most this long; then it goes without.
const TURN: Duration = Duration::from_secs(1);

/// How often a single append looks for the turn or a ride before it stands in line.
const TRIES: u32 = 3;

/// How long the turn is kept for those who went along: most come again as soon as they have their
/// answers, and one commit then answers all of them.
const COME_AGAIN: Duration = Duration::from_micros(60);

/// The writer thread's own.
pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) line: Arc<Line>,
    pub(super) clock: SharedClock,
    pub(super) process: ProcessId,
    pub(super) neighbours: Arc<Neighbours>,
    /// How long the lock is waited for, and from when on that is told.
    pub(super) patience: (Duration, Duration),
    pub(super) syncer: Syncer,
    pub(super) watch: Option<FileWatch>,
    /// A long wait for the lock that no transaction has recorded yet.
    pub(super) waited: Option<Waited>,
    /// Whether waiting for those who went along pays.
    pub(super) company: Spin,
}

/// How running a batch inside the transaction went.
enum Ran {
    /// To be committed; the first answers are kept in the requests.
    Through,
    /// SQLite has rolled everything back by itself.
    RolledBack(Error),
    /// A verb panicked, or could not be undone alone: nothing of the transaction is to stay.
    Broken(String),
}

/// How one verb went.
enum One {
    Done,
    /// Its own answer; what it did is undone.
    Refused,
    RolledBack(Error),
    Broken(String),
}

impl Writer {
    /// Serves until the inbox is closed and empty.
    pub(super) fn run(&mut self) {
        let line = Arc::clone(&self.line);
        if let Err(error) = self.watch_wal() {
            line.poison(format!("the writer could not start: {error}"));
        }
        frames::keep_together(&self.conn);
        loop {
            let rest = || self.neighbours.rest();
            let taken = line.writes.take_or_rest(BATCH_MAX, NAP, rest, fits_batch());
            match taken {
                Taken::Some(batch) => self.serve(batch),
                Taken::Nothing => {}
                Taken::Closed => return,
            }
        }
    }

    fn watch_wal(&mut self) -> Result<(), Error> {
        let line = Arc::clone(&self.line);
        self.conn.wal_hook(Some(move |_: &mut _, pages| {
            let pages = u64::try_from(pages).unwrap_or(0);
            if pages < WAL_PAGES {
                // The WAL has started anew.
                line.checkpoint_due.store(WAL_PAGES, Ordering::Release);
            }
            line.wal_pages.store(pages, Ordering::Release);
            Ok(())
        }))?;
        Ok(())
    }

    /// Writes what was taken, and what other processes ask to have taken along: one commit answers
    /// for all of it, and as long as they ask the turn stays here.
    fn serve(&mut self, batch: Vec<Box<dyn Request>>) {
        let line = Arc::clone(&self.line);
        let _writing = line.writing.lock().unwrap_or_else(PoisonError::into_inner);
        line.writes.begun();
        let mut waiting = batch;
        let Some(mut turn) = self.enter(&mut waiting) else {
            return;
        };
        loop {
            let along = self.neighbours.passengers();
            let company = u32::try_from(along.len()).unwrap_or(u32::MAX);
            waiting.extend(along.into_iter().filter_map(Along::of));
            self.write(waiting);
            if company > 0 {
                let all_are_here = || self.neighbours.waiting() >= company;
                self.company.wait(COME_AGAIN, all_are_here);
            }
            let is_asked =
                self.neighbours.waiting() > 0 || (company > 0 && line.writes.is_filled());
            if !is_asked || line.closing() || !turn.as_mut().is_some_and(Guard::go_on) {
                break;
            }
            waiting = line.writes.take_now(BATCH_MAX, fits_batch());
        }
        if let Some(turn) = turn {
            turn.end_quietly();
        }
    }

    /// The turn, if there is one to have; `None` where a single append has gone along with the
    /// process that had it.
    fn enter(&mut self, waiting: &mut Vec<Box<dyn Request>>) -> Option<Option<Guard>> {
        for _ in 0..TRIES {
            if let Some(turn) = self.neighbours.enter_if_free() {
                return Some(turn);
            }
            match self.ride(waiting) {
                Rode::Committed { seq, at } => {
                    for mut request in waiting.drain(..) {
                        request.appended(riding::appended(seq, at));
                        self.line.answer(request);
                    }
                    return None;
                }
                Rode::Not => {}
                Rode::Unknown => break,
            }
        }
        Some(self.neighbours.enter(TURN))
    }

    fn ride(&self, waiting: &mut [Box<dyn Request>]) -> Rode {
        let ([request], Some(rides)) = (waiting, self.neighbours.rides()) else {
            return Rode::Not;
        };
        let Some(append) = request.as_append() else {
            return Rode::Not;
        };
        let rider = Rider {
            rides,
            line: &self.line,
            process: self.process,
        };
        let rode = rider.ride(append.batch());
        if rode == Rode::Unknown {
            append.repeat();
        }
        rode
    }

    /// One transaction for all, or more where SQLite ended one by itself.
    fn write(&mut self, batch: Vec<Box<dyn Request>>) {
        let mut waiting = batch.into_iter();
        while waiting.len() > 0 {
            if let Some(why) = self.line.poisoned().cloned() {
                waiting.for_each(|request| self.line.refuse(request, why.clone()));
                return;
            }
            if let Err(error) = self.begin() {
                // What makes no sense may be somebody else's file.
                let error = self.look_at_file(FileWatch::look).err().unwrap_or(error);
                waiting.for_each(|request| self.line.refuse(request, error.clone()));
                return;
            }
            let sync = match self.needs_sync(waiting.as_slice()) {
                Ok(sync) => sync,
                Err(error) => {
                    self.roll_back();
                    waiting.for_each(|request| self.line.refuse(request, error.clone()));
                    return;
                }
            };
            let mut done = Vec::with_capacity(waiting.len());
            let mut news = News::none();
            match self.run_all(&mut waiting, &mut done, &mut news) {
                Ran::Through => {
                    let committed = self.commit(sync);
                    self.answer(done, committed, news);
                    // Still in our turn: nobody commits in between.
                    self.finish_checkpoint();
                }
                Ran::RolledBack(error) => {
                    done.into_iter()
                        .for_each(|request| self.line.refuse(request, error.clone()));
                }
                Ran::Broken(what) => {
                    self.roll_back();
                    let why = self
                        .line
                        .poison(format!("a transaction broke and was rolled back: {what}"));
                    self.line.say(Notice::Error(why.message.clone()));
                    done.into_iter()
                        .for_each(|request| self.line.refuse(request, why.clone()));
                }
            }
        }
    }

    fn begin(&mut self) -> Result<(), Error> {
        let begun = begin(&self.conn, self.neighbours.presence(), self.patience);
        if let Some(waited) = begun.waited {
            if begun.result.is_ok() {
                self.line.say(Notice::Warn(waited.text()));
            }
            self.waited = Some(waited);
        }
        begun.result
    }

    fn run_all(
        &mut self,
        waiting: &mut std::vec::IntoIter<Box<dyn Request>>,
        done: &mut Vec<Box<dyn Request>>,
        news: &mut News,
    ) -> Ran {
        let waited = self.waited.take();
        let tx = Tx::new(
            &self.conn,
            self.clock.now(),
            self.process,
            self.line.process_row.load(Ordering::Acquire),
        );
        // It stands whatever becomes of the verbs, so it goes before their savepoints.
        let recorded = waited.map_or(Ok(()), |waited| waited.record(&tx));
        if let Err(error) = recorded {
            // What the transaction is for matters more.
            let what = format!("a wait for the lock is not recorded: {}", error.message);
            self.line.say(Notice::Warn(what));
        }
        let alone = waiting.len() == 1;
        for mut request in waiting.by_ref() {
            let ran = catch_unwind(AssertUnwindSafe(|| run_one(&tx, &mut *request, alone)));
            let rings_if_done = request.rings();
            done.push(request);
            match ran {
                Ok(One::Done) => news.rings = news.rings.and(rings_if_done),
                Ok(One::Refused) => {}
                Ok(One::RolledBack(error)) => return Ran::RolledBack(error),
                Ok(One::Broken(what)) => return Ran::Broken(what),
                Err(panic) => return Ran::Broken(format!("panic: {}", panic_text(&*panic))),
            }
        }
        news.fresh = tx.fresh.take().dated();
        Ran::Through
    }

    /// Whether the answers of this transaction wait for a sync.
    fn needs_sync(&self, batch: &[Box<dyn Request>]) -> Result<bool, Error> {
        let asked = batch.iter().any(|request| request.power());
        let sync = asked || (self.neighbours.syncs() && batch.iter().any(|one| one.bytes() > 0));
        if sync && self.neighbours.is_poisoned() {
            return Err(self
                .line
                .poison("a sync of the log failed earlier; nothing is durable until every process has closed and the store was checked".to_owned()));
        }
        if asked && !self.neighbours.syncs() {
            self.neighbours.begin_syncing(head::log_end(&self.conn)?);
        }
        Ok(sync)
    }

    /// Answers up to where the log must be synced before anybody is answered, if it must.
    fn commit(&mut self, sync: bool) -> Result<Option<i64>, Error> {
        // Nothing is written into a file that somebody put in place of ours.
        if let Err(error) = self.look_at_file(FileWatch::look_if_due) {
            self.roll_back();
            return Err(error);
        }
        let sync_to = if sync {
            Some(head::log_end(&self.conn)?)
        } else {
            None
        };
        let committed = self
            .conn
            .prepare_cached("COMMIT")
            .and_then(|mut statement| statement.execute([]));
        match committed {
            Ok(_) => {
                self.line.commits.fetch_add(1, Ordering::AcqRel);
                // A commit into a file that was taken away meanwhile is in nobody's log.
                self.look_at_file(FileWatch::look)
                    .map_err(Error::unknown_outcome)?;
                Ok(sync_to)
            }
            Err(error) => {
                let error = fault::with_system(error.into(), &self.conn);
                self.roll_back();
                if fault::certainly_not_applied(error.code) {
                    Err(error)
                } else {
                    Err(error.unknown_outcome())
                }
            }
        }
    }

    fn answer(
        &mut self,
        done: Vec<Box<dyn Request>>,
        committed: Result<Option<i64>, Error>,
        news: News,
    ) {
        match committed {
            Err(error) => done
                .into_iter()
                .for_each(|request| self.line.refuse(request, error.clone())),
            Ok(sync_to) if sync_to.is_some() || self.line.syncing.load(Ordering::Acquire) > 0 => {
                let committed = Committed {
                    requests: done,
                    sync_to,
                    news,
                };
                self.syncer.pass(committed, self.line.writes.is_filled());
            }
            Ok(_) => {
                self.line.answer_all(done);
                self.neighbours.tell(&[news]);
            }
        }
        let pages = self.line.wal_pages.load(Ordering::Acquire);
        if pages >= self.line.checkpoint_due.load(Ordering::Acquire) {
            self.line.chores.nudge();
        }
    }

    /// The housekeeper has copied nearly everything: copying the few pages since lets the next
    /// commit start the WAL anew. Under steady load no other moment comes.
    fn finish_checkpoint(&self) {
        if self.line.finish_checkpoint.swap(false, Ordering::AcqRel)
            && let Err(error) = checkpoint::passive(&self.conn)
        {
            self.line.say(Notice::Warn(format!(
                "a checkpoint could not be finished: {}",
                error.message
            )));
        }
    }

    fn look_at_file(
        &mut self,
        look: fn(&mut FileWatch, &Connection) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(watch) = &mut self.watch else {
            return Ok(());
        };
        look(watch, &self.conn).inspect_err(|error| {
            self.line.mark_replaced(error.clone());
        })
    }

    /// Rolls back unless SQLite already has: a ROLLBACK after that would hide the first error.
    fn roll_back(&self) {
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            self.line
                .poison(format!("a transaction could not be rolled back: {error}"));
        }
    }
}

/// Whether one more goes into a transaction, asked of each in turn.
fn fits_batch() -> impl FnMut(&Box<dyn Request>) -> bool {
    let mut bytes = 0;
    move |request| {
        bytes += request.bytes();
        bytes <= BATCH_BYTES_MAX
    }
}

/// Runs one verb; its failure undoes it alone, or where that is not to be had ([`Undo::Whole`]) the
/// whole transaction.
fn run_one(tx: &Tx<'_>, request: &mut dyn Request, alone: bool) -> One {
    let undo = request.undo();
    let saved = !alone && undo == Undo::Savepoint;
    let (changes, appended) = (tx.conn.total_changes(), tx.fresh.borrow().end());
    if saved && let Err(error) = step(tx.conn, "SAVEPOINT verb") {
        return One::Broken(error.message);
    }
    let ran = request
        .run(tx)
        .map_err(|error| fault::with_system(error, tx.conn));
    if tx.conn.is_autocommit() {
        // SQLite rolled the whole transaction back; the verb's own error says why.
        return One::RolledBack(ran.err().unwrap_or_else(|| {
            Error::new(ErrorCode::Io, "sqlite ended the transaction by itself")
        }));
    }
    let whole = alone || (undo == Undo::Whole && tx.conn.total_changes() != changes);
    let ended = match (&ran, saved) {
        (Ok(()), true) => step(tx.conn, "RELEASE verb"),
        (Err(_), true) => {
            step(tx.conn, "ROLLBACK TO verb").and_then(|()| step(tx.conn, "RELEASE verb"))
        }
        (Err(_), false) if whole => step(tx.conn, "ROLLBACK"),
        (Ok(()) | Err(_), false) => Ok(()),
    };
    match (ended, ran) {
        (Err(error), _) => One::Broken(error.message),
        (Ok(()), Ok(())) => One::Done,
        (Ok(()), Err(error)) if whole => One::RolledBack(error),
        (Ok(()), Err(_)) => {
            tx.fresh.borrow_mut().back_to(appended);
            One::Refused
        }
    }
}

fn step(conn: &Connection, sql: &str) -> Result<(), Error> {
    conn.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// The panic's words, if it had any.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no words".to_owned())
}
