//! Beginning a write transaction, and naming whoever keeps it waiting.

use std::time::Duration;

use rusqlite::Connection;

use super::presence::Presence;
use crate::clock::{Clock, SystemClock};
use crate::store::{Error, ErrorCode};

/// A wait this long is somebody's: shorter ones are the other writers' ordinary transactions.
const NAMED_AFTER: Duration = Duration::from_millis(100);

/// How often the holder is looked up again while the wait goes on.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A wait this long is told in the log once it is over.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// Begins a write transaction, waiting at most `limit` for another's; meanwhile this process's
/// page says who holds the lock. Answers what is to be told of a long wait.
///
/// # Errors
/// [`ErrorCode::Busy`], naming the holder's pid and command line where they can be known.
pub(super) fn begin(
    conn: &Connection,
    presence: &Presence,
    limit: Duration,
) -> Result<Option<String>, Error> {
    conn.busy_timeout(limit.min(NAMED_AFTER))?;
    let Err(error) = try_once(conn) else {
        return Ok(None);
    };
    if error.code != ErrorCode::Busy {
        return Err(error);
    }
    let result = wait(conn, presence, limit);
    presence.note_unblocked();
    result
}

fn wait(conn: &Connection, presence: &Presence, limit: Duration) -> Result<Option<String>, Error> {
    // The first try has taken this long already.
    let began = SystemClock.monotonic().saturating_sub(NAMED_AFTER);
    let since = SystemClock.now().before(NAMED_AFTER);
    let mut holder = None;
    loop {
        let waited = SystemClock.monotonic().saturating_sub(began);
        holder = presence.note_blocked(since).or(holder);
        let left = limit.saturating_sub(waited);
        conn.busy_timeout(left.min(LOOK_EVERY))?;
        let Err(error) = try_once(conn) else {
            let waited = SystemClock.monotonic().saturating_sub(began);
            let tell = || format!("waited {waited:.1?} for the write lock{}", held(&holder));
            return Ok((waited >= TOLD_AFTER).then(tell));
        };
        if error.code != ErrorCode::Busy {
            return Err(error);
        }
        let waited = SystemClock.monotonic().saturating_sub(began);
        if waited >= limit {
            let message = format!(
                "the store's write lock was not free for {waited:.1?}{}",
                held(&holder)
            );
            return Err(Error::new(ErrorCode::Busy, message).with_next("ringrift status"));
        }
    }
}

fn held(holder: &Option<(u32, String)>) -> String {
    match holder {
        Some((pid, command)) => format!(", held by process {pid} ({command})"),
        None => ", held by a process that is not seen from here".to_owned(),
    }
}

fn try_once(conn: &Connection) -> Result<(), Error> {
    conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    Ok(())
}
