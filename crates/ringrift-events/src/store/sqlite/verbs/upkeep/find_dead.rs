//! Which processes are to be taken over.

use std::sync::Arc;

use super::lost::lost;
use crate::store::Error;
use crate::store::sqlite::presence::Presence;
use crate::store::sqlite::verb::{Plain, Question, Tx};

/// Asks which processes are to be taken over.
pub(crate) struct FindDead {
    pub(crate) presence: Arc<Presence>,
}

impl Plain for FindDead {}

impl Question for FindDead {
    /// The numbers of their rows.
    type Answer = Vec<i64>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<i64>, Error> {
        let mut rows = Vec::new();
        for one in lost(tx, &self.presence)? {
            // A hung one is worth a transaction only while it holds something.
            if one.is_over() || holds(tx, one.row)? {
                rows.push(one.row);
            }
        }
        Ok(rows)
    }
}

/// Asks whether there are any. Where not, this was the look.
pub(crate) struct AnyLost {
    pub(crate) find: FindDead,
}

impl Plain for AnyLost {}

impl Question for AnyLost {
    type Answer = bool;

    fn run(self, tx: &Tx<'_>) -> Result<bool, Error> {
        let presence = Arc::clone(&self.find.presence);
        let any = !self.find.run(tx)?.is_empty();
        if let (false, Some(shared)) = (any, presence.shared()) {
            shared.note_swept(tx.process, tx.now);
        }
        Ok(any)
    }
}

/// Whether a process holds claims or redeliveries.
fn holds(tx: &Tx<'_>, row: i64) -> Result<bool, Error> {
    Ok(tx
        .conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM claims WHERE settled_us IS NULL AND owner = ?1) \
             OR EXISTS (SELECT 1 FROM redeliveries WHERE owner = ?1 AND state = 'running') \
             OR EXISTS (SELECT 1 FROM dedup_keys WHERE owner = ?1)",
        )?
        .query_row([row], |row| row.get(0))?)
}
