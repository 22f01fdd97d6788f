//! Beginning a write transaction, and naming whoever keeps it waiting.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;

use super::presence::Presence;
use super::verb::Tx;
use super::verbs::record::{self, About};
use crate::clock::{Clock, SystemClock, Time};
use crate::store::pages;
use crate::store::registry::Running;
use crate::store::{Error, ErrorCode};
use crate::verdict::Code;

/// A wait this long is somebody's: shorter ones are the other writers' ordinary transactions.
const NAMED_AFTER: Duration = Duration::from_millis(100);

/// How often the holder is looked up again while the wait goes on.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A wait this long is told once it is over, in the log and as a fact, unless it is set otherwise.
pub const LOCK_WAIT_RECORDED: Duration = Duration::from_secs(1);

/// A long wait for the write lock.
#[derive(Clone, Debug)]
pub(super) struct Waited {
    since: Time,
    took: Duration,
    /// The last holder that was seen.
    holder: Option<(u32, String)>,
    /// What this process ran while it held the lock itself, the longest first.
    running: Vec<Running>,
}

impl Waited {
    /// The process held the lock that it waited for: it would have waited for ever.
    fn is_for_itself(&self) -> bool {
        let own = |holder: &(u32, String)| holder.0 == std::process::id();
        self.holder.as_ref().is_some_and(own)
    }

    /// The wait in words.
    pub(super) fn text(&self) -> String {
        let held = held(&self.holder);
        format!("waited {:.1?} for the write lock{held}", self.took)
    }

    /// Records it in the transaction that it was waited for, or in the next one.
    pub(super) fn record(&self, tx: &Tx<'_>) -> Result<(), Error> {
        let (pid, command) = self.holder.as_ref().map(|(pid, line)| (pid, line)).unzip();
        let evidence = json!({
            "pid": pid, "command": command, "since": self.since.to_sql(),
            "until": self.since.after(self.took).to_sql(),
            "waited_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        });
        let about = self.running.first().map(|running| About {
            event: Some(running.event),
            seq: running.seq,
            subscription: Some(running.subscription),
            ..About::default()
        });
        let about = about.unwrap_or_default();
        record::verdict(tx, Code::WtStoreBusy, about, &evidence)
    }
}

/// How a wait ended: with the lock, or not.
pub(super) struct Begun {
    /// What is to be told of it.
    pub(super) waited: Option<Waited>,
    /// Whether the transaction has begun.
    pub(super) result: Result<(), Error>,
}

impl Begun {
    fn at_once(result: Result<(), Error>) -> Begun {
        Begun {
            waited: None,
            result,
        }
    }
}

/// Begins a write transaction, waiting at most `limit` for another's; meanwhile this process's
/// page says who holds the lock. Answers what is to be told of a long wait, and whether it has
/// begun: [`ErrorCode::Busy`] names the holder's pid and command line where they can be known.
///
/// A wait of `told_after` is to be told, and one for a lock that this process holds itself however
/// short it was; nothing shorter than a tenth of a second is measured.
pub(super) fn begin(
    conn: &Connection,
    presence: &Presence,
    (limit, told_after): (Duration, Duration),
) -> Begun {
    let first = conn
        .busy_timeout(limit.min(NAMED_AFTER))
        .map_err(Error::from)
        .and_then(|()| try_once(conn));
    match first {
        Err(error) if error.code == ErrorCode::Busy => {}
        ended => return Begun::at_once(ended),
    }
    let mut waited = Waited {
        // The first try has taken this long already.
        since: SystemClock.now().before(NAMED_AFTER),
        took: NAMED_AFTER,
        holder: None,
        running: Vec::new(),
    };
    let result = wait(conn, presence, limit, &mut waited);
    presence.note_unblocked();
    Begun {
        waited: (waited.took >= told_after || waited.is_for_itself()).then_some(waited),
        result,
    }
}

fn wait(
    conn: &Connection,
    presence: &Presence,
    limit: Duration,
    waited: &mut Waited,
) -> Result<(), Error> {
    let began = SystemClock.monotonic().saturating_sub(NAMED_AFTER);
    loop {
        waited.took = SystemClock.monotonic().saturating_sub(began);
        if let Some(holder) = presence.note_blocked(waited.since) {
            if holder.0 == std::process::id() {
                waited.running = presence.running();
            }
            waited.holder = Some(holder);
        }
        let left = limit.saturating_sub(waited.took);
        conn.busy_timeout(left.min(LOOK_EVERY))?;
        let tried = try_once(conn);
        waited.took = SystemClock.monotonic().saturating_sub(began);
        match tried {
            Err(error) if error.code == ErrorCode::Busy => {}
            ended => return ended,
        }
        if waited.took >= limit {
            let message = format!(
                "the store's write lock was not free for {:.1?}{}",
                waited.took,
                held(&waited.holder)
            );
            return Err(Error::new(ErrorCode::Busy, message).with_next("ringrift status"));
        }
    }
}

/// The same error, naming who holds the write lock of the database if that is why it failed: for
/// transactions that begin before this process has a page. While `database` is open on this thread.
pub(super) fn name_holder(mut error: Error, database: &Path, waited: Duration) -> Error {
    if error.code == ErrorCode::Busy {
        let holder = pages::write_lock_holder(database);
        error.message = format!(
            "the store's write lock was not free for {waited:.1?}{}",
            held(&holder)
        );
        error.next = Some("ringrift status".to_owned());
    }
    error
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
