//! Says what came of a redelivery.

use rusqlite::{OptionalExtension as _, params};

use super::reserve::{confirm_key, release_key};
use super::settle::{about, is_deleted, record_ending, record_failure};
use crate::clock::Time;
use crate::event::Event;
use crate::store::deliveries::{LetterId, Settlement};
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::letters::{HELD_DEAD, REDELIVERY_COLUMNS, redelivery_event};
use crate::store::sqlite::verbs::record::verdict;
use crate::store::subscriptions::SubscriptionId;
use crate::store::{Error, ErrorCode};
use crate::verdict::{Code, Failure, Outcome};

/// See [`crate::store::Deliveries::settle_due`].
pub(crate) struct SettleDue {
    pub(crate) id: LetterId,
    pub(crate) fence: i64,
    pub(crate) settlement: Settlement,
}

impl Plain for SettleDue {}

/// A row as it stands.
pub(super) struct Stands {
    pub(super) event: Event,
    pub(super) state: String,
    pub(super) fence: i64,
    pub(super) owner: Option<i64>,
    pub(super) subscription: SubscriptionId,
    pub(super) failed: bool,
    pub(super) attempts: u32,
}

pub(super) fn stands(tx: &Tx<'_>, id: LetterId) -> Result<Option<Stands>, Error> {
    let sql = format!(
        "SELECT {REDELIVERY_COLUMNS}, r.state, r.fence, r.owner, r.subscription, r.failed, \
         r.attempts FROM redeliveries AS r LEFT JOIN events AS e ON e.seq = r.event_seq \
         WHERE r.id = ?1"
    );
    let found = tx.conn.prepare_cached(&sql)?.query_row([id.0], |row| {
        Ok(Stands {
            event: redelivery_event(row)?,
            state: row.get(12)?,
            fence: row.get(13)?,
            owner: row.get(14)?,
            subscription: SubscriptionId(row.get(15)?),
            failed: row.get(16)?,
            attempts: row.get(17)?,
        })
    });
    Ok(found.optional()?)
}

/// The row that this process runs; `None` when that was settled with this proof already.
pub(super) fn proven(tx: &Tx<'_>, id: LetterId, fence: i64) -> Result<Option<Stands>, Error> {
    let Some(row) = stands(tx, id)? else {
        return Ok(None);
    };
    let ended = ["done", "recovered", "discarded", "expired", "purged"];
    if ended.contains(&row.state.as_str()) {
        return Ok(None);
    }
    if row.fence != fence {
        return Err(lease_lost(id));
    }
    let runs = row.state == "running" && row.owner == Some(tx.process_row);
    Ok(runs.then_some(row))
}

impl Verb for SettleDue {
    type Answer = bool;

    fn run(self, tx: &Tx<'_>) -> Result<bool, Error> {
        let Some(row) = proven(tx, self.id, self.fence)? else {
            return Ok(false);
        };
        self.settle(tx, &row)?;
        Ok(true)
    }

    fn bytes(&self) -> usize {
        match &self.settlement.outcome {
            Outcome::Failed(failure) => failure.message.len(),
            Outcome::Done | Outcome::Skipped { .. } | Outcome::Duplicate { .. } => 0,
        }
    }
}

impl SettleDue {
    fn settle(&self, tx: &Tx<'_>, row: &Stands) -> Result<(), Error> {
        let key = self.settlement.dedup_key.as_deref();
        let purged = !row.failed
            && match row.event.seq {
                Some(seq) => is_deleted(tx, seq.0)?,
                None => false,
            };
        if purged {
            // It goes with its event, and comes back with it.
            release_key(tx, row.subscription, key, row.event.id)?;
            return waits_again(tx, self.id);
        }
        match &self.settlement.outcome {
            Outcome::Done => {
                confirm_key(tx, row.subscription, key, row.event.id)?;
                finish(
                    tx,
                    self.id,
                    row,
                    &serde_json::json!({ "attempts": row.attempts }),
                )
            }
            Outcome::Skipped { .. } | Outcome::Duplicate { .. } => {
                release_key(tx, row.subscription, key, row.event.id)?;
                record_ending(tx, row.subscription, &row.event, &self.settlement.outcome)?;
                finish(
                    tx,
                    self.id,
                    row,
                    &serde_json::json!({ "attempts": row.attempts }),
                )
            }
            Outcome::Failed(failure) => {
                release_key(tx, row.subscription, key, row.event.id)?;
                let letter = (self.id.0, row.attempts);
                let retry_at = self.settlement.retry_at;
                record_failure(tx, row.subscription, &row.event, failure, letter, retry_at)?;
                fail(tx, self.id, failure, retry_at, self.settlement.held)
            }
        }
    }
}

fn waits_again(tx: &Tx<'_>, id: LetterId) -> Result<(), Error> {
    tx.conn
        .prepare_cached(
            "UPDATE redeliveries SET state = 'waiting', owner = NULL, due_us = ?2 WHERE id = ?1",
        )?
        .execute([id.0, tx.now.0])?;
    Ok(())
}

/// Ends a row well: a letter recovers, what never failed is done.
pub(super) fn finish(
    tx: &Tx<'_>,
    id: LetterId,
    row: &Stands,
    evidence: &serde_json::Value,
) -> Result<(), Error> {
    let state = if row.failed { "recovered" } else { "done" };
    tx.conn
        .prepare_cached(
            "UPDATE redeliveries SET state = ?2, owner = NULL, due_us = NULL, held_us = NULL, \
             next_retry_at = NULL, ended_us = ?3 WHERE id = ?1",
        )?
        .execute(params![id.0, state, tx.now.0])?;
    if row.failed {
        verdict(
            tx,
            Code::StRecovered,
            about(row.subscription, &row.event),
            evidence,
        )?;
    }
    Ok(())
}

fn fail(
    tx: &Tx<'_>,
    id: LetterId,
    failure: &Failure,
    retry_at: Option<Time>,
    held: bool,
) -> Result<(), Error> {
    let retry_at = retry_at.map(|at| at.max(tx.now));
    let now = tx.now.to_sql();
    tx.conn
        .prepare_cached(
            "UPDATE redeliveries SET state = ?2, error = ?3, error_kind = ?4, step = ?5, \
               created_at = CASE failed WHEN 1 THEN created_at ELSE ?6 END, failed = 1, \
               last_attempt_at = ?6, next_retry_at = ?7, due_us = ?8, held_us = ?9, owner = ?10 \
             WHERE id = ?1",
        )?
        .execute(params![
            id.0,
            if retry_at.is_some() {
                "retrying"
            } else {
                "dead"
            },
            failure.message,
            failure.kind.as_str(),
            failure.step,
            now,
            retry_at.map(Time::to_sql),
            retry_at.map(|at| at.0).filter(|_| !held),
            held.then(|| retry_at.map_or(HELD_DEAD, |at| at.0)),
            held.then_some(tx.process_row),
        ])?;
    Ok(())
}

fn lease_lost(id: LetterId) -> Error {
    Error::new(
        ErrorCode::LeaseLost,
        format!(
            "redelivery {} was taken from this process: the answer is refused",
            id.0
        ),
    )
    .with_next("ringrift processes ls")
}
