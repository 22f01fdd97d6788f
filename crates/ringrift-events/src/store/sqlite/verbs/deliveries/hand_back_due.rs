//! Gives back a redelivery that did not start.

use rusqlite::params;

use super::reserve::release_key;
use super::settle_due::proven;
use crate::store::Error;
use crate::store::deliveries::LetterId;
use crate::store::sqlite::verb::{Plain, Tx, Verb};

/// See [`crate::store::Deliveries::hand_back_due`].
pub(crate) struct HandBackDue {
    pub(crate) id: LetterId,
    pub(crate) fence: i64,
    pub(crate) dedup_key: Option<String>,
}

impl Plain for HandBackDue {}

impl Verb for HandBackDue {
    type Answer = bool;

    fn run(self, tx: &Tx<'_>) -> Result<bool, Error> {
        let Some(row) = proven(tx, self.id, self.fence)? else {
            return Ok(false);
        };
        let key = self.dedup_key.as_deref();
        release_key(tx, row.subscription, key, row.event.id)?;
        tx.conn
            .prepare_cached(
                "UPDATE redeliveries SET state = iif(failed = 1, 'retrying', 'waiting'), \
                 owner = NULL, attempts = max(attempts - 1, 0), \
                 attempts_total = max(attempts_total - 1, 0), due_us = ?2, \
                 next_retry_at = iif(failed = 1, ?3, NULL) WHERE id = ?1",
            )?
            .execute(params![self.id.0, tx.now.0, tx.now.to_sql()])?;
        Ok(true)
    }
}
