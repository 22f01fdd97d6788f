//! Deletes the pending events as the runbook's block does; they are restorable.

use super::count_pending::PENDING;
use crate::store::Error;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::positions::natural;
use crate::store::sqlite::verbs::record::{About, act};

/// See [`crate::store::Upkeep::clear_queue`].
pub(crate) struct ClearQueue {
    pub(crate) by: String,
}

impl Plain for ClearQueue {}

impl Verb for ClearQueue {
    type Answer = u64;

    fn run(self, tx: &Tx<'_>) -> Result<u64, Error> {
        // A delete through a view reports no count of its own.
        let pending: u64 = tx.conn.prepare_cached(PENDING)?.query_row([], natural)?;
        if pending > 0 {
            tx.conn
                .prepare_cached("DELETE FROM cross_process_events WHERE acked = 0")?
                .execute([])?;
        }
        let evidence = serde_json::json!({ "events": pending });
        act(tx, "queue.clear", &self.by, About::default(), &evidence)?;
        Ok(pending)
    }
}
