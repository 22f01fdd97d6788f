//! Who keeps writers waiting.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::clock::{Clock, SystemClock, Time};
use crate::store::Error;
use crate::store::pages;
use crate::store::registry::Liveness;
use crate::store::sqlite::presence::Presence;
use crate::store::upkeep::WriteLock;

/// Who has the write lock this long without a commit keeps it: ordinary transactions take
/// milliseconds.
const KEPT_AFTER: Duration = Duration::from_millis(50);

/// The process that holds the write lock, its program, and since when at least; nothing while
/// writers come and go. Blocks for [`KEPT_AFTER`] at most, and only while the lock is held. On a
/// database thread that has the database open.
pub(super) fn held(presence: &Presence, wal: &Path) -> Result<Option<WriteLock>, Error> {
    let database = presence.side().database();
    let Some((pid, command)) = pages::write_lock_holder(database) else {
        return Ok(None);
    };
    let waiter = longest_wait(presence, pid)?;
    let asked = SystemClock.now();
    if waiter.is_none() {
        let before = last_write(wal);
        std::thread::park_timeout(KEPT_AFTER);
        let still = pages::write_lock_holder(database).is_some_and(|(now, _)| now == pid);
        if !still || last_write(wal) != before {
            return Ok(None);
        }
    }
    Ok(Some(WriteLock {
        pid,
        command,
        since: waiter.map_or(asked, |(since, _)| since),
        waits: waiter.map(|(_, pid)| pid),
    }))
}

/// The same in words.
pub(super) fn text(lock: &WriteLock) -> String {
    let waits = lock
        .waits
        .map_or(String::new(), |pid| format!("; process {pid} waits for it"));
    let (pid, command, since) = (lock.pid, &lock.command, lock.since.to_sql());
    format!(
        "the write lock is held by process {pid} ({command}) since {since} UTC or before{waits}"
    )
}

/// Since when, and with which pid, a living process has waited longest for the lock that `holder`
/// has. Processes that are just opening the store have a page and no row yet.
fn longest_wait(presence: &Presence, holder: u32) -> Result<Option<(Time, u32)>, Error> {
    let mut longest: Option<(Time, u32)> = None;
    for process in presence.side().pages()? {
        let Some(seen) = presence.look(process)? else {
            continue;
        };
        let lives = seen.liveness == Liveness::Alive || seen.liveness == Liveness::Hung;
        if let Some((_, _, since)) = seen.blocked_by.filter(|(pid, ..)| lives && *pid == holder) {
            let wait = (since, seen.pid);
            longest = Some(longest.map_or(wait, |longest| longest.min(wait)));
        }
    }
    Ok(longest)
}

/// When the WAL was last written: by a commit, or within a large transaction.
fn last_write(wal: &Path) -> Option<(SystemTime, u64)> {
    let found = std::fs::metadata(wal).ok()?;
    Some((found.modified().ok()?, found.len()))
}
