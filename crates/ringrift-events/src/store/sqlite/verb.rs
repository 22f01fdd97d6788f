//! A verb is one question to a database thread: plain data in, one transaction, plain data out.

use rusqlite::Connection;

use crate::clock::Time;
use crate::event::ProcessId;
use crate::store::Error;

/// Plain data: nothing in it owns a descriptor, a waker, a callback or a log subscriber, so that a
/// database thread, whose descriptor table is its own, may hold and drop it.
///
/// Implement it only for such types; `tests/tidy.rs` lists the implementations.
pub(crate) trait Plain: Send + 'static {}

/// One verb of the store: one file, one transaction.
pub(crate) trait Verb: Plain {
    /// What it answers.
    type Answer: Plain + Clone;

    /// Runs inside a write transaction (a savepoint of it where several verbs share one commit).
    /// An error rolls back this verb alone.
    fn run(self, tx: &Tx<'_>) -> Result<Self::Answer, Error>;
}

/// One question that only reads.
pub(crate) trait Question: Plain {
    /// What it answers.
    type Answer: Plain + Clone;

    /// Runs inside a read transaction, bounded in time by the caller.
    fn run(self, tx: &Tx<'_>) -> Result<Self::Answer, Error>;
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
}
