//! Says what came of a claim: positions, dead letters and dedup keys in one transaction.

use rusqlite::params;

use super::ledger::{OpenClaim, Proof, prove};
use super::reserve::{confirm_key, release_key};
use crate::clock::Time;
use crate::event::Event;
use crate::store::deliveries::{Settle, Settlement};
use crate::store::evidence;
use crate::store::pages::Bells;
use crate::store::sqlite::verb::{Plain, Tx, Undo, Verb};
use crate::store::sqlite::verbs::letters::{NewRow, event_at, insert_row};
use crate::store::sqlite::verbs::positions::{Standing, refresh_settled, standing};
use crate::store::sqlite::verbs::record::{About, verdict};
use crate::store::subscriptions::SubscriptionId;
use crate::store::{Error, ErrorCode};
use crate::verdict::{Code, Failure, Outcome};

/// See [`crate::store::Deliveries::settle`].
pub(crate) struct SettleClaim {
    pub(crate) settle: Settle,
}

impl Plain for SettleClaim {}

impl Verb for SettleClaim {
    type Answer = bool;

    fn run(self, tx: &Tx<'_>) -> Result<bool, Error> {
        let settle = self.settle;
        let claim = match prove(tx, settle.token)? {
            Proof::Settled => return Ok(false),
            Proof::Held(claim) => claim,
        };
        let changed = settle_each(tx, &claim, &settle.results)?;
        let settled_to = settle.settled_to.0.min(claim.last);
        if settled_to <= claim.settled_to {
            return Ok(changed);
        }
        let done = i64::try_from(settle.done).unwrap_or(i64::MAX);
        if settled_to == claim.last {
            claim.close(tx, done)?;
            return Ok(true);
        }
        tx.conn
            .prepare_cached("UPDATE claims SET settled_to = ?2, done = done + ?3 WHERE id = ?1")?
            .execute([claim.id, settled_to, done])?;
        refresh_settled(tx, claim.subscription)?;
        Ok(true)
    }

    fn undo(&self) -> Undo {
        match self.settle.results.is_empty() {
            true => Undo::Whole,
            false => Undo::Savepoint,
        }
    }

    fn bytes(&self) -> usize {
        let message = |result: &Settlement| match &result.outcome {
            Outcome::Failed(failure) => failure.message.len(),
            Outcome::Done | Outcome::Skipped { .. } | Outcome::Duplicate { .. } => 0,
        };
        self.settle.results.iter().map(message).sum()
    }

    fn rings(&self) -> Bells {
        // A letter has a new time. Plain successes ring nobody: an ordered subscription's next
        // claim is nearly always this process's own, and others look twice a second.
        match self.settle.results.is_empty() {
            true => Bells::NONE,
            false => Bells::WORK,
        }
    }
}

/// Keeps what is more than a plain success. Says whether anything changed.
fn settle_each(tx: &Tx<'_>, claim: &OpenClaim, results: &[Settlement]) -> Result<bool, Error> {
    if results.is_empty() {
        return Ok(false);
    }
    let standing = standing(tx, claim.subscription)?;
    let mut changed = false;
    for result in results {
        if result.seq.0 > claim.last || result.seq.0 < claim.first {
            return Err(outside(claim, result));
        }
        if claim.holds(result.seq) {
            changed |= settle_one(tx, &standing, result)?;
        }
    }
    Ok(changed)
}

fn outside(claim: &OpenClaim, result: &Settlement) -> Error {
    Error::new(
        ErrorCode::WrongState,
        format!(
            "event {} is not in claim {} ({} to {}): nothing was settled",
            result.seq, claim.id, claim.first, claim.last
        ),
    )
}

/// One event that was not plainly done, or that has a dedup key. Says whether it changed anything.
fn settle_one(tx: &Tx<'_>, standing: &Standing, result: &Settlement) -> Result<bool, Error> {
    let Some(event) = event_at(tx, result.seq)? else {
        // Retention took it after it had been purged: ST_PURGED stands.
        return Ok(false);
    };
    if is_deleted(tx, result.seq.0)? {
        release_key(tx, standing.id, result.dedup_key.as_deref(), event.id)?;
        return Ok(true);
    }
    match &result.outcome {
        Outcome::Done => {
            confirm_key(tx, standing.id, result.dedup_key.as_deref(), event.id)?;
        }
        Outcome::Skipped { .. } | Outcome::Duplicate { .. } => {
            release_key(tx, standing.id, result.dedup_key.as_deref(), event.id)?;
            record_ending(tx, standing.id, &event, &result.outcome)?;
        }
        Outcome::Failed(failure) => {
            release_key(tx, standing.id, result.dedup_key.as_deref(), event.id)?;
            let row = NewRow::failed(standing, &event, failure, result.retry_at, result.held);
            let (id, new) = insert_row(tx, &row)?;
            if new {
                record_failure(tx, standing.id, &event, failure, (id, 1), result.retry_at)?;
            }
            return Ok(new);
        }
    }
    Ok(true)
}

/// Whether an event was deleted through the public view.
pub(super) fn is_deleted(tx: &Tx<'_>, seq: i64) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM deleted_events WHERE seq = ?1)";
    Ok(tx
        .conn
        .prepare_cached(sql)?
        .query_row(params![seq], |row| row.get(0))?)
}

/// Records a skip or a duplicate: nothing else would remember it.
pub(super) fn record_ending(
    tx: &Tx<'_>,
    subscription: SubscriptionId,
    event: &Event,
    outcome: &Outcome,
) -> Result<(), Error> {
    let (code, evidence) = match outcome {
        Outcome::Done | Outcome::Failed(_) => return Ok(()),
        Outcome::Skipped { reason } => (Code::HnSkipped, serde_json::json!({ "reason": reason })),
        Outcome::Duplicate {
            original,
            key,
            window_ends_at,
        } => (
            Code::HnDuplicate,
            serde_json::json!({
                "original": original, "key": key, "window_ends_at": window_ends_at.to_sql()
            }),
        ),
    };
    verdict(tx, code, about(subscription, event), &evidence)
}

/// Records a failed attempt, and the letter's death if it was the last.
pub(super) fn record_failure(
    tx: &Tx<'_>,
    subscription: SubscriptionId,
    event: &Event,
    failure: &Failure,
    letter: (i64, u32),
    retry_at: Option<Time>,
) -> Result<(), Error> {
    let evidence = evidence::of_failure(failure, letter, retry_at);
    verdict(
        tx,
        failure.kind.code(),
        about(subscription, event),
        &evidence,
    )?;
    if retry_at.is_none() && failure.kind.code() != Code::StDead {
        verdict(tx, Code::StDead, about(subscription, event), &evidence)?;
    }
    Ok(())
}

/// A fact about one event of one subscription.
pub(super) fn about(subscription: SubscriptionId, event: &Event) -> About {
    About {
        event: Some(event.id),
        seq: event.seq,
        seq_to: None,
        event_type: Some(event.event_type.clone()),
        subscription: Some(subscription),
    }
}
