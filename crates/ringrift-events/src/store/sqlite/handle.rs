//! One process's handle on the store: asks the database threads, answers with [`Pending`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::claiming::PassedPlaces;
use super::connection::Use;
use super::courier;
use super::keeper::{Keeper, keeper};
use super::line::{Line, Notice};
use super::open::OpenOptions;
use super::open_guard::Held;
use super::presence::Presence;
use super::request::{Reading, Request, Writing};
use super::start::start;
use super::upkeep::Mark;
use super::verb::{Question, Verb};
use super::verbs::upkeep::Depart;
use crate::event::ProcessId;
use crate::store::pages::{Rides, Tail};
use crate::store::pending::{Answer, Carrier};
use crate::store::{Error, ErrorCode, Pending};

/// How long a close waits for what was asked before it.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// A caller's follow-up to an answer.
type Then<T> = Box<dyn FnOnce(&Result<T, Error>) + Send>;

/// A handle on the SQLite store of one home.
pub struct SqliteStore {
    pub(super) line: Arc<Line>,
    pub(super) options: OpenOptions,
    pub(super) home: PathBuf,
    pub(super) database: PathBuf,
    pub(super) presence: Arc<Presence>,
    /// Ways to have an event appended by another process that is just writing.
    pub(super) rides: Option<Rides>,
    /// What was just appended, by whichever process.
    pub(super) tail: Option<Tail>,
    /// For follow-ups that ask again: they must not keep the handle alive.
    pub(super) own: Weak<SqliteStore>,
    /// Where this process knows that its durable subscriptions match nothing.
    pub(super) passed: PassedPlaces,
    /// Up to where the poller has read, and what of it is saved.
    pub(super) mark: Mark,
    pub(super) reading: Use,
    notes: Vec<String>,
    held: Mutex<Option<Held>>,
    keeper: &'static Keeper,
    courier: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore")
            .field("database", &self.database)
            .field("process", &self.options.process.id)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the store of `options.home`, and starts its threads.
    ///
    /// Blocks until it is open, at most the busy limit while another process migrates it.
    ///
    /// # Errors
    /// Each refusal has its code: see [`ErrorCode`].
    pub fn open(options: OpenOptions) -> Result<Arc<SqliteStore>, Error> {
        SqliteStore::open_and_say(options, Box::new(courier::trace))
    }

    /// The same, telling `said` what the store's threads have to say: on a thread with the
    /// ordinary descriptor table, so that it may write a log. `true` means that someone must act.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_and_say(
        options: OpenOptions,
        said: courier::OnNotice,
    ) -> Result<Arc<SqliteStore>, Error> {
        let keeper = keeper()?;
        let line = Arc::new(Line::new(said));
        let courier = courier::start(Arc::clone(&line))?;
        let started = start(keeper, &line, &options);
        let facts = match started {
            Ok(facts) => facts,
            Err(error) => {
                end(&line, &Mutex::new(Some(courier)));
                return Err(error);
            }
        };
        let mut notes = facts.notes;
        if let Some(why) = keeper.refused() {
            notes.push(format!(
                "no private descriptor table ({why}): a second copy of SQLite that opens this file \
                 in this process, such as Python's sqlite3, can lose commits"
            ));
        }
        notes.extend(keeper.note().map(str::to_owned));
        for note in &notes {
            line.say(Notice::Warn(note.clone()));
        }
        Ok(Arc::new_cyclic(|own| SqliteStore {
            own: Weak::clone(own),
            passed: PassedPlaces::default(),
            mark: Mark::default(),
            line,
            home: facts.home,
            database: facts.database,
            options,
            rides: facts.presence.rides(),
            tail: facts.presence.tail(facts.incarnation),
            presence: facts.presence,
            reading: facts.reading,
            held: Mutex::new(Some(facts.held)),
            notes,
            keeper,
            courier: Mutex::new(Some(courier)),
        }))
    }

    /// The database file, without symbolic links.
    #[must_use]
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// The home's folder, without symbolic links.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// What is unusual about this store, in words.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether the handle cannot write.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.options.read_only
    }

    /// This handle's process.
    #[must_use]
    pub fn process_id(&self) -> ProcessId {
        self.options.process.id
    }

    pub(super) fn carried<T: Clone + Send + 'static>(
        &self,
        then: Option<Then<T>>,
    ) -> (Answer<T>, Pending<T>) {
        Pending::channel_carried(then, Arc::clone(&self.line) as Arc<dyn Carrier>)
    }

    /// Asks the writer.
    pub(super) fn write<V: Verb>(&self, verb: V) -> Pending<V::Answer> {
        let (answer, pending) = self.carried(None);
        self.submit_write(verb, answer);
        pending
    }

    /// Asks the writer; `then` is carried in commit order, before async callers wake.
    pub(super) fn write_then<V: Verb>(
        &self,
        verb: V,
        then: impl FnOnce(&Result<V::Answer, Error>) + Send + 'static,
    ) -> Pending<V::Answer> {
        let (answer, pending) = self.carried(Some(Box::new(then)));
        self.submit_write(verb, answer);
        pending
    }

    /// Asks a reader; `then` is carried before async callers wake.
    pub(super) fn read_then<Q: Question>(
        &self,
        question: Q,
        then: impl FnOnce(&Result<Q::Answer, Error>) + Send + 'static,
    ) -> Pending<Q::Answer> {
        let (answer, pending) = self.carried(Some(Box::new(then)));
        self.submit_read(question, answer);
        pending
    }

    /// Asks a reader.
    pub(super) fn read<Q: Question>(&self, question: Q) -> Pending<Q::Answer> {
        let (answer, pending) = self.carried(None);
        self.submit_read(question, answer);
        pending
    }

    fn submit_read<Q: Question>(&self, question: Q, answer: Answer<Q::Answer>) {
        match self.admit(0) {
            Err(error) => now(&answer, error),
            Ok(()) => self.push(Box::new(Reading::new(question, answer)), false),
        }
    }

    /// What every call looks at first.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.keeper.check_not_forked()?;
        self.line.refusal().map_or(Ok(()), Err)
    }

    pub(super) fn admit(&self, bytes: usize) -> Result<(), Error> {
        self.check()?;
        self.line.admit(bytes)
    }

    fn submit_write<V: Verb>(&self, verb: V, answer: Answer<V::Answer>) {
        let allowed = if self.options.read_only {
            Err(Error::new(
                ErrorCode::ReadOnly,
                format!("{} is open read-only", self.database.display()),
            ))
        } else {
            self.admit(verb.bytes())
        };
        match allowed {
            Err(error) if verb.may_have_applied() => now(&answer, error.unknown_outcome()),
            Err(error) => now(&answer, error),
            Ok(()) => self.push(Box::new(Writing::new(verb, answer)), true),
        }
    }

    fn push(&self, request: Box<dyn Request>, write: bool) {
        let inbox = if write {
            &self.line.writes
        } else {
            &self.line.reads
        };
        if let Err(mut request) = inbox.push_before(request, |one, new| one.gives_way(&**new)) {
            // Closed in this moment. This thread is the caller's: it may wake.
            self.line.release(request.bytes());
            request.refuse(super::line::closed());
            request.fill();
            request.wake();
        }
    }

    /// Answers what was asked, leaves the store's processes, ends the threads, and empties the WAL
    /// if nobody else uses it. Blocks at most a few seconds; may be called twice.
    pub fn close(&self) {
        if self.keeper.check_not_forked().is_err() || self.line.closing() {
            // In a forked child the threads are the parent's.
            return;
        }
        if !self.options.read_only {
            self.write(Depart {
                presence: Arc::clone(&self.presence),
            })
            .forget();
        }
        end(&self.line, &self.courier);
        // The row says that it left before the page says so.
        self.presence.close();
        drop(
            self.held
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
    }
}

/// Answers on the caller's own thread.
pub(super) fn now<T: Clone>(answer: &Answer<T>, error: Error) {
    answer.fill(Err(error));
    answer.wake();
}

/// Lets what was asked be answered, then ends every thread of the store.
fn end(line: &Line, courier: &Mutex<Option<JoinHandle<()>>>) {
    if !line.close() {
        return;
    }
    line.close_inboxes();
    // The housekeeper is last: it empties the WAL once the others are out of its way.
    line.threads.wait(1, CLOSE_WAIT);
    line.chores.close();
    let ended = line.threads.wait(0, CLOSE_WAIT);
    if !ended {
        // A write still waits for another process's lock. Its thread answers it when that ends,
        // and the courier stays for it.
        line.say(Notice::Warn(
            "the store's threads are still busy after the close".to_owned(),
        ));
        return;
    }
    // A caller whose event went along passes its answer on.
    drop(line.writing.lock());
    line.parcels.close();
    let handle = courier
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if courier::carries() {
        // A follow-up let go of the last handle: this thread would wait for itself.
        return;
    }
    if let Some(handle) = handle
        && handle.join().is_err()
    {
        tracing::error!("the store's courier panicked");
    }
    // A caller may have the last parcels in its hands.
    drop(line.carrying.lock());
}
