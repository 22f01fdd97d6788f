//! Which processes are lost, for those who take over from them; and the end of their pages.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::event::ProcessId;
use crate::store::pages::Seen;
use crate::store::registry::{Liveness, Running};
use crate::store::sqlite::presence::Presence;
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::{Error, pages};

/// A process whose work others may take: it died, left, or its lease ran out.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    /// Who.
    pub(crate) process: ProcessId,
    /// Its row.
    pub(crate) row: i64,
    /// `Dead` and `Left` are final; `Alive` and `Hung` may come back and are not swept.
    pub(crate) liveness: Liveness,
    /// What its page says; `None` when it has none.
    pub(crate) seen: Option<Seen>,
}

impl Lost {
    /// What ran in it. `None`: unknown, its page is gone or of another boot.
    pub(crate) fn running(&self) -> Option<&[Running]> {
        self.seen.as_ref()?.running.as_deref()
    }

    /// Whether it can never write again.
    pub(crate) fn is_over(&self) -> bool {
        self.liveness.is_over()
    }
}

/// The lost processes that were not taken over yet, this one left out. On a database thread, in the
/// transaction that takes over: who is lost then stays lost, or loses its claims to the fence.
pub(crate) fn lost(tx: &Tx<'_>, presence: &Presence) -> Result<Vec<Lost>, Error> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT id, process_id FROM processes WHERE state = 'joined' AND id <> ?1",
    )?;
    let rows = statement.query_map([tx.process_row], |row| {
        let process = row.get(1)?;
        Ok((row.get::<_, i64>(0)?, process))
    })?;
    let mut found = Vec::new();
    for row in rows {
        let (row, process) = row?;
        // The whole page is read of those that are lost alone.
        let life = presence.life(process)?;
        if life.is_some_and(|life| !life.liveness.is_over() && !life.lease_ran_out) {
            continue;
        }
        let seen = presence.look(process)?;
        // A row without a page died before it could leave.
        let liveness = seen.as_ref().map_or(Liveness::Dead, |seen| seen.liveness);
        let lost = Lost {
            process,
            row,
            liveness,
            seen,
        };
        if lost.is_over() || lost.seen.as_ref().is_some_and(|seen| seen.lease_ran_out) {
            found.push(lost);
        }
    }
    Ok(found)
}

/// Removes the pages of swept processes that ended longer ago than `keep`, the oldest ones beyond
/// `pages_max`, and dead ones that never came to a row. Answers how many. A question, not a verb:
/// pages go only after the sweep was committed.
pub(crate) struct RetirePages {
    /// Where they lie.
    pub(crate) presence: Arc<Presence>,
    /// How long the page of a dead process is kept.
    pub(crate) keep: Duration,
    /// How many such pages are kept.
    pub(crate) pages_max: usize,
}

impl Plain for RetirePages {}

impl Question for RetirePages {
    type Answer = u64;

    fn run(self, tx: &Tx<'_>) -> Result<u64, Error> {
        let side = self.presence.side();
        let mut ended_of = tx.conn.prepare_cached(
            "SELECT state <> 'joined', coalesce(ended_us, 0) FROM processes WHERE process_id = ?1",
        )?;
        let mut ended = BTreeSet::new();
        let mut removed = 0;
        for process in side.pages()? {
            let row = ended_of
                .query_map([process], |row| {
                    Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?))
                })?
                .next()
                .transpose()?;
            match row {
                Some((true, at)) => {
                    ended.insert((at, process));
                }
                Some((false, _)) => {}
                None => {
                    // Its maker may be just about to write the row; a dead one never will.
                    if let Some((_, false)) = pages::glance(side, process)? {
                        side.unlink(process)?;
                        removed += 1;
                    }
                }
            }
        }
        let oldest = tx.now.before(self.keep).0;
        let mut beyond = ended.len().saturating_sub(self.pages_max);
        for (at, process) in ended {
            if at < oldest || beyond > 0 {
                side.unlink(process)?;
                removed += 1;
            }
            beyond = beyond.saturating_sub(1);
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SharedClock, SystemClock};
    use crate::store::conformance::rules;
    use crate::store::pages::{OwnPage, Side};
    use crate::store::sqlite::testing::TestStore;
    use crate::store::upkeep::Upkeep as _;

    #[test]
    fn a_page_whose_maker_died_before_its_row_goes_and_a_living_maker_s_stays() {
        let home = TestStore::new();
        let side = Side::of(home.store.database(), false).unwrap();
        let clock: SharedClock = Arc::new(SystemClock);
        let make = |process| {
            let lease = Duration::from_secs(30);
            OwnPage::create(&side, process, Arc::clone(&clock), lease).unwrap()
        };
        let (dead, living) = (ProcessId::new(&SystemClock), ProcessId::new(&SystemClock));
        let own = home.store.process_id();
        // Dropped, its lock is free: as after a kill.
        drop(make(dead));
        let _living = make(living);
        assert_eq!(side.pages().unwrap().len(), 3);
        home.store.retain(rules()).wait().unwrap();
        let mut left = [own, living];
        left.sort();
        assert_eq!(side.pages().unwrap(), left);
    }
}
