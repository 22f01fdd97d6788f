//! Deletes the pending events as the runbook's block does; they are restorable.

use super::count_pending::COUNT_TIME_LIMIT;
use crate::event::Seq;
use crate::store::Error;
use crate::store::sqlite::verb::{Plain, Question, Tx, Verb};
use crate::store::sqlite::verbs::positions::natural;
use crate::store::sqlite::verbs::record::{About, act};

/// See [`crate::store::Upkeep::clear_queue_to`]; as a question it counts.
pub(crate) struct ClearQueue {
    pub(crate) by: String,
    pub(crate) last: Seq,
}

impl Plain for ClearQueue {}

impl ClearQueue {
    fn pending(&self, tx: &Tx<'_>) -> Result<u64, Error> {
        let sql = "SELECT COUNT(*) FROM cross_process_events WHERE acked = 0 AND id <= ?1";
        Ok(tx
            .conn
            .prepare_cached(sql)?
            .query_row([self.last.0], natural)?)
    }
}

impl Question for ClearQueue {
    type Answer = u64;

    fn run(self, tx: &Tx<'_>) -> Result<u64, Error> {
        self.pending(tx)
    }

    fn time_limit(&self) -> std::time::Duration {
        COUNT_TIME_LIMIT
    }
}

impl Verb for ClearQueue {
    type Answer = u64;

    fn run(self, tx: &Tx<'_>) -> Result<u64, Error> {
        // A delete through a view reports no count of its own.
        let pending = self.pending(tx)?;
        if pending > 0 {
            tx.conn
                .prepare_cached("DELETE FROM cross_process_events WHERE acked = 0 AND id <= ?1")?
                .execute([self.last.0])?;
        }
        let evidence = serde_json::json!({ "events": pending });
        act(tx, "queue.clear", &self.by, About::default(), &evidence)?;
        Ok(pending)
    }
}
