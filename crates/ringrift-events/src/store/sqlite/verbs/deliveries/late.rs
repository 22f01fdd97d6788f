//! Says how a run ended that had been given up while its thread went on.

use rusqlite::{OptionalExtension as _, params};

use super::settle::about;
use super::settle_due::{finish, stands};
use crate::clock::Time;
use crate::event::EventId;
use crate::store::Error;
use crate::store::deliveries::LetterId;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::letters::HELD_DEAD;
use crate::store::sqlite::verbs::record::verdict;
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::{Code, Outcome};

/// See [`crate::store::Deliveries::late`].
pub(crate) struct Late {
    pub(crate) subscription: SubscriptionId,
    pub(crate) event: EventId,
    pub(crate) outcome: Outcome,
}

impl Plain for Late {}

impl Verb for Late {
    type Answer = bool;

    fn run(self, tx: &Tx<'_>) -> Result<bool, Error> {
        let held = tx
            .conn
            .prepare_cached(
                "SELECT id, held_us FROM redeliveries WHERE owner = ?1 AND held_us IS NOT NULL \
                 AND event_id = ?3 AND (subscription = ?2 OR (live = 1 AND handler = \
                     (SELECT name FROM subscription_rows WHERE id = ?2 AND kind = 'live'))) \
                 ORDER BY id LIMIT 1",
            )?
            .query_row(
                params![tx.process_row, self.subscription.0, self.event],
                |row| Ok((LetterId(row.get(0)?), row.get::<_, i64>(1)?)),
            )
            .optional()?;
        let Some((id, due_us)) = held else {
            return Ok(false);
        };
        let Some(row) = stands(tx, id)? else {
            return Ok(false);
        };
        if matches!(self.outcome, Outcome::Done) {
            finish(
                tx,
                id,
                &row,
                &serde_json::json!({ "late": true, "attempts": row.attempts }),
            )?;
            return Ok(true);
        }
        release_held(tx, id, due_us)?;
        let evidence = match &self.outcome {
            Outcome::Failed(failure) => {
                serde_json::json!({ "error": failure.message, "kind": failure.kind.as_str() })
            }
            Outcome::Skipped { reason } => serde_json::json!({ "skipped": reason }),
            Outcome::Duplicate { key, .. } => serde_json::json!({ "duplicate": key }),
            Outcome::Done => serde_json::json!({}),
        };
        verdict(
            tx,
            Code::HnAbandoned,
            about(row.subscription, &row.event),
            &evidence,
        )?;
        Ok(true)
    }
}

/// The thread has ended, or its process died: the letter is due at the time it had been given.
pub(crate) fn release_held(tx: &Tx<'_>, id: LetterId, due_us: i64) -> Result<(), Error> {
    let due = (due_us != HELD_DEAD).then(|| Time(due_us).max(tx.now));
    tx.conn
        .prepare_cached(
            "UPDATE redeliveries SET owner = NULL, held_us = NULL, due_us = ?2, \
             next_retry_at = ?3 WHERE id = ?1",
        )?
        .execute(params![id.0, due.map(|due| due.0), due.map(Time::to_sql)])?;
    Ok(())
}
