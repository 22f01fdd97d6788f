//! How many events are pending, by the public view itself.

use crate::store::Error;
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::sqlite::verbs::positions::natural;

/// With everything pending, five million rows are judged one by one.
pub(super) const COUNT_TIME_LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

/// See [`crate::store::Upkeep::count_pending`].
pub(crate) struct CountPending;

impl Plain for CountPending {}

/// The view's own answer: there is no second definition that could differ.
const PENDING: &str = "SELECT COUNT(*) FROM cross_process_events WHERE acked = 0";

impl Question for CountPending {
    type Answer = u64;

    fn run(self, tx: &Tx<'_>) -> Result<u64, Error> {
        Ok(tx.conn.prepare_cached(PENDING)?.query_row([], natural)?)
    }

    fn time_limit(&self) -> std::time::Duration {
        COUNT_TIME_LIMIT
    }
}
