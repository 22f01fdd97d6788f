//! A verb is one question to a database thread: plain data in, one transaction, plain data out.

use std::cell::{Cell, OnceCell, RefCell};
use std::time::Duration;

use rusqlite::Connection;

use super::news::Fresh;
use super::verbs::append::Append;
use crate::clock::Time;
use crate::event::{ProcessId, Seq};
use crate::store::Error;
use crate::store::log::Appended;
use crate::store::pages::Bells;

/// Plain data: nothing in it owns a descriptor, a waker, a callback or a log subscriber, so that a
/// database thread, whose descriptor table is its own, may hold and drop it.
///
/// Implement it only for such types; `tests/tidy.rs` lists the implementations.
pub(crate) trait Plain: Send + 'static {}

impl Plain for () {}
impl Plain for bool {}
impl Plain for i64 {}
impl Plain for u64 {}
impl Plain for String {}
impl<T: Plain> Plain for Option<T> {}
impl<T: Plain> Plain for Vec<T> {}
impl<A: Plain, B: Plain> Plain for (A, B) {}

/// How the failure of a verb is undone without those that share its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undo {
    /// By a savepoint around it.
    Savepoint,
    /// Not at all: what it writes is one statement, which SQLite undoes by itself, or may stay.
    Itself,
    /// Not without them, once it has written: it refuses before that, so only the database can fail
    /// it afterwards.
    Whole,
}

/// One verb of the store: one file, one transaction.
pub(crate) trait Verb: Plain {
    /// What it answers.
    type Answer: Plain + Clone;

    /// Runs inside a write transaction (a savepoint of it where several verbs share one commit).
    /// An error rolls back this verb alone.
    fn run(self, tx: &Tx<'_>) -> Result<Self::Answer, Error>;

    /// About how many bytes it holds: what waits in memory is bounded in bytes too.
    fn bytes(&self) -> usize {
        0
    }

    /// Its answer waits for a sync that began after its commit.
    fn power(&self) -> bool {
        false
    }

    /// Who has something new to look at once it is committed.
    fn rings(&self) -> Bells {
        Bells::WORK
    }

    /// The append that it is: another process may make it.
    fn as_append(&mut self) -> Option<&mut Append> {
        None
    }

    /// What it answers once another process has made it.
    fn appended(_appended: Appended) -> Option<Self::Answer> {
        None
    }

    /// It may have taken effect before: a failure leaves open whether it has.
    fn may_have_applied(&self) -> bool {
        false
    }

    /// How its failure is undone where it shares a transaction.
    fn undo(&self) -> Undo {
        Undo::Savepoint
    }
}

/// How long a question may take when it does not say: long enough for a scan of a few million
/// rows, short enough that the WAL cannot grow for minutes under it.
pub(crate) const READ_TIME_LIMIT: Duration = Duration::from_secs(10);

/// One question that only reads.
pub(crate) trait Question: Plain {
    /// What it answers.
    type Answer: Plain + Clone;

    /// Runs inside a read transaction, ended after [`Question::time_limit`].
    fn run(self, tx: &Tx<'_>) -> Result<Self::Answer, Error>;

    /// The place of the log that it reads on from.
    fn place(&self) -> Option<Seq> {
        None
    }

    /// How long it may take: a read transaction that stays open keeps the WAL from shrinking.
    fn time_limit(&self) -> Duration {
        READ_TIME_LIMIT
    }
}

/// What a verb may use: a connection inside a transaction, the time of that transaction, and who
/// asks.
pub(crate) struct Tx<'a> {
    /// The connection; always inside a transaction.
    pub(crate) conn: &'a Connection,
    /// The wall clock when the transaction began.
    pub(crate) now: Time,
    /// This process.
    pub(crate) process: ProcessId,
    /// This process's row in `processes`; 0 while it has none (read-only handles).
    pub(crate) process_row: i64,
    /// A call site got its number in it.
    pub(crate) names_call_sites: Cell<bool>,
    /// What was appended in it.
    pub(crate) fresh: RefCell<Fresh>,
    now_text: OnceCell<String>,
}

impl<'a> Tx<'a> {
    /// Inside a transaction that `conn` has begun.
    pub(crate) fn new(
        conn: &'a Connection,
        now: Time,
        process: ProcessId,
        process_row: i64,
    ) -> Tx<'a> {
        Tx {
            conn,
            now,
            process,
            process_row,
            names_call_sites: Cell::new(false),
            fresh: RefCell::default(),
            now_text: OnceCell::new(),
        }
    }

    /// `now` as public columns have it: written once for all verbs of the transaction.
    pub(crate) fn now_text(&self) -> &str {
        self.now_text.get_or_init(|| self.now.to_sql())
    }
}
