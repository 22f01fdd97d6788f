//! Which processes have died or hung, by their pages.

use std::sync::Arc;

use crate::event::ProcessId;
use crate::store::Error;
use crate::store::registry::Liveness;
use crate::store::sqlite::presence::Presence;
use crate::store::sqlite::rows::Id;
use crate::store::sqlite::verb::{Plain, Question, Tx};

/// Asks which processes are to be taken over.
pub(crate) struct FindDead {
    pub(crate) presence: Arc<Presence>,
}

impl Plain for FindDead {}

impl Question for FindDead {
    /// Each with the number of its row.
    type Answer = Vec<(i64, ProcessId)>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<(i64, ProcessId)>, Error> {
        let mut statement = tx
            .conn
            .prepare_cached("SELECT id, uuid FROM processes WHERE state = 'joined' ORDER BY id")?;
        let rows = statement.query_map([], |row| {
            Ok((row.get::<_, i64>(0)?, ProcessId(row.get::<_, Id>(1)?.0)))
        })?;
        let mut dead = Vec::new();
        for row in rows {
            let (row, process) = row?;
            if process != tx.process && self.is_gone(tx, row, process)? {
                dead.push((row, process));
            }
        }
        Ok(dead)
    }
}

impl FindDead {
    fn is_gone(&self, tx: &Tx<'_>, row: i64, process: ProcessId) -> Result<bool, Error> {
        // A row without a page died before it could leave.
        let Some(seen) = self.presence.look(process)? else {
            return Ok(true);
        };
        match seen.liveness {
            Liveness::Dead | Liveness::Left => Ok(true),
            // Worth a transaction only while it holds something.
            Liveness::Alive | Liveness::Hung if seen.lease_ran_out => holds(tx, row),
            Liveness::Alive | Liveness::Hung => Ok(false),
        }
    }
}

/// Whether a process holds claims or redeliveries.
fn holds(tx: &Tx<'_>, row: i64) -> Result<bool, Error> {
    Ok(tx
        .conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM claims WHERE settled_us IS NULL AND owner = ?1) \
             OR EXISTS (SELECT 1 FROM redeliveries WHERE owner = ?1 AND state = 'running')",
        )?
        .query_row([row], |row| row.get(0))?)
}
