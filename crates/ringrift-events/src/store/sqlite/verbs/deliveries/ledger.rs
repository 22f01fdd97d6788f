//! Claims as rows: reading, proving and closing them.

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, params};

use crate::event::{Event, Seq};
use crate::store::deliveries::{CLAIM_PLACES_MAX, ClaimToken};
use crate::store::sqlite::rows::{EVENT_COLUMNS, event};
use crate::store::sqlite::verb::Tx;
use crate::store::sqlite::verbs::positions::{refresh_settled, segment_at, segments};
use crate::store::subscriptions::{Generation, SubscriptionId};
use crate::store::{Error, ErrorCode};

/// Of `events AS e`: those that the log still gives out.
pub(crate) const NOT_DELETED: &str =
    "NOT EXISTS (SELECT 1 FROM deleted_events AS d WHERE d.seq = e.seq)";

/// Merged settled claims span at most [`CLAIM_PLACES_MAX`] and so many microseconds: the ledger
/// still says when.
const MERGED_US_MAX: i64 = 60_000_000;

/// A claim that is not settled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenClaim {
    pub(crate) id: i64,
    pub(crate) subscription: SubscriptionId,
    pub(crate) generation: i64,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) settled_to: i64,
    pub(crate) owner: Option<i64>,
    pub(crate) fence: i64,
}

/// A settled claim that another one takes in.
struct Neighbour {
    id: i64,
    first: i64,
    opened_us: i64,
    done: i64,
}

const OPEN_COLUMNS: &str =
    "id, subscription, generation, first_seq, last_seq, settled_to, owner, fence";

fn open_claim(row: &rusqlite::Row<'_>) -> rusqlite::Result<OpenClaim> {
    Ok(OpenClaim {
        id: row.get(0)?,
        subscription: SubscriptionId(row.get(1)?),
        generation: row.get(2)?,
        first: row.get(3)?,
        last: row.get(4)?,
        settled_to: row.get(5)?,
        owner: row.get(6)?,
        fence: row.get(7)?,
    })
}

/// The open claims of a subscription's generation, in log order.
pub(crate) fn open_claims_of(
    tx: &Tx<'_>,
    subscription: SubscriptionId,
    generation: Generation,
) -> Result<Vec<OpenClaim>, Error> {
    let sql = format!(
        "SELECT {OPEN_COLUMNS} FROM claims WHERE subscription = ?1 AND generation = ?2 \
         AND settled_us IS NULL ORDER BY settled_to"
    );
    let mut statement = tx.conn.prepare_cached(&sql)?;
    let rows = statement.query_map([subscription.0, generation.0], open_claim)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The open claims that a process holds.
pub(crate) fn open_claims(tx: &Tx<'_>, owner: i64) -> Result<Vec<OpenClaim>, Error> {
    let sql = format!(
        "SELECT {OPEN_COLUMNS} FROM claims WHERE settled_us IS NULL AND owner = ?1 ORDER BY id"
    );
    let mut statement = tx.conn.prepare_cached(&sql)?;
    let rows = statement.query_map([owner], open_claim)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What a token proves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Proof {
    /// The claim is open and this process's.
    Held(OpenClaim),
    /// It was settled with this token already.
    Settled,
}

/// Compares a token with its claim: `LeaseLost` when another process has it or a seek fenced it.
pub(crate) fn prove(tx: &Tx<'_>, token: ClaimToken) -> Result<Proof, Error> {
    let sql = format!("SELECT {OPEN_COLUMNS}, settled_us FROM claims WHERE id = ?1");
    let found = tx
        .conn
        .prepare_cached(&sql)?
        .query_row([token.id], |row| {
            Ok((open_claim(row)?, row.get::<_, Option<i64>>(8)?))
        })
        .optional()?;
    let Some((claim, settled_us)) = found else {
        // Only claims that never changed hands are merged into a neighbour.
        return match token.fence == 1 && was_given(tx, token.id)? {
            true => Ok(Proof::Settled),
            false => Err(lease_lost(token)),
        };
    };
    if claim.fence != token.fence || claim.owner != Some(tx.process_row) {
        return Err(lease_lost(token));
    }
    match settled_us {
        Some(_) => Ok(Proof::Settled),
        None => Ok(Proof::Held(claim)),
    }
}

/// Whether a claim of this number ever was: the newest one is never deleted.
fn was_given(tx: &Tx<'_>, id: i64) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM claims WHERE id >= ?1)";
    Ok(tx
        .conn
        .prepare_cached(sql)?
        .query_row([id], |row| row.get(0))?)
}

/// The refusal of a late answer.
fn lease_lost(token: ClaimToken) -> Error {
    Error::new(
        ErrorCode::LeaseLost,
        format!(
            "claim {} was taken from this process (its proof {} is old): the answer is refused",
            token.id, token.fence
        ),
    )
    .with_next("ringrift processes ls")
}

impl OpenClaim {
    /// Closes the claim, of which `done` more events were plainly done, merging the settled neighbour
    /// below it where one owner held both and neither changed hands, and brings the subscription's
    /// position in line.
    pub(crate) fn close(&self, tx: &Tx<'_>, done: i64) -> Result<(), Error> {
        let below = match self.fence {
            1 => self.neighbour(tx)?,
            _ => None,
        };
        let (first, opened_us, done) = match below {
            Some(below) => {
                tx.conn
                    .prepare_cached("DELETE FROM claims WHERE id = ?1")?
                    .execute([below.id])?;
                (below.first, Some(below.opened_us), below.done + done)
            }
            None => (self.first, None, done),
        };
        tx.conn
            .prepare_cached(
                "UPDATE claims SET settled_to = last_seq, settled_us = ?2, first_seq = ?3, \
                 opened_us = COALESCE(?4, opened_us), done = done + ?5 WHERE id = ?1",
            )?
            .execute(params![self.id, tx.now.0, first, opened_us, done])?;
        refresh_settled(tx, self.subscription)
    }

    /// The settled claim right below this one, if it may be merged: no open claim between.
    fn neighbour(&self, tx: &Tx<'_>) -> Result<Option<Neighbour>, Error> {
        let below = tx
            .conn
            .prepare_cached(
                "SELECT id, first_seq, opened_us, done, owner, fence FROM claims \
                 WHERE subscription = ?1 AND generation = ?2 AND settled_us IS NOT NULL \
                   AND last_seq < ?3 ORDER BY last_seq DESC LIMIT 1",
            )?
            .query_row([self.subscription.0, self.generation, self.first], |row| {
                let neighbour = Neighbour {
                    id: row.get(0)?,
                    first: row.get(1)?,
                    opened_us: row.get(2)?,
                    done: row.get(3)?,
                };
                let by: (Option<i64>, i64) = (row.get(4)?, row.get(5)?);
                Ok((neighbour, by))
            })
            .optional()?;
        let Some((below, by)) = below else {
            return Ok(None);
        };
        let fits = by == (self.owner, 1)
            && self.last - below.first <= CLAIM_PLACES_MAX
            && tx.now.0 - below.opened_us <= MERGED_US_MAX;
        if !fits {
            return Ok(None);
        }
        let between = "SELECT EXISTS (SELECT 1 FROM claims WHERE subscription = ?1 \
                       AND generation = ?2 AND settled_us IS NULL AND first_seq < ?3 \
                       AND last_seq > ?4)";
        let crossed: bool = tx.conn.prepare_cached(between)?.query_row(
            [
                self.subscription.0,
                self.generation,
                self.first,
                below.first,
            ],
            |row| row.get(0),
        )?;
        Ok((!crossed).then_some(below))
    }

    /// The events of the claim after a place that are still to be given out: matching, not
    /// deleted, without a redelivery of their own.
    pub(crate) fn events(&self, tx: &Tx<'_>, after: i64) -> Result<Vec<Arc<Event>>, Error> {
        let segments = segments(tx, self.subscription)?;
        // A claim never crosses the border of a version.
        let Some(segment) = segment_at(&segments, self.last) else {
            return Ok(Vec::new());
        };
        let sql = format!(
            "SELECT {EVENT_COLUMNS} FROM events AS e WHERE e.seq > ?1 AND e.seq <= ?2 \
               AND e.seq >= ?5 AND {NOT_DELETED} AND NOT EXISTS (SELECT 1 FROM redeliveries AS r \
                 WHERE r.subscription = ?3 AND r.generation = ?4 AND r.event_seq = e.seq \
                   AND r.why <> 'replay' AND r.live = 0 AND r.event_seq IS NOT NULL) \
             ORDER BY e.seq"
        );
        let mut statement = tx.conn.prepare_cached(&sql)?;
        let rows = statement.query_map(
            [
                after,
                self.last,
                self.subscription.0,
                self.generation,
                self.first,
            ],
            event,
        )?;
        let mut events = Vec::new();
        for row in rows {
            let event = row?;
            if segment.takes(&event.event_type, &event.payload) {
                events.push(Arc::new(event));
            }
        }
        Ok(events)
    }

    /// How many of its deliveries are not settled.
    pub(crate) fn unsettled(&self, tx: &Tx<'_>) -> Result<u64, Error> {
        Ok(self.events(tx, self.settled_to)?.len() as u64)
    }

    /// Whether a place is in the claim and not settled.
    pub(crate) fn holds(&self, seq: Seq) -> bool {
        self.settled_to < seq.0 && seq.0 <= self.last && self.first <= seq.0
    }

    /// Makes the claim ownerless: the next one who asks gets it, with a higher fence.
    pub(crate) fn release(&self, tx: &Tx<'_>) -> Result<(), Error> {
        tx.conn
            .prepare_cached("UPDATE claims SET owner = NULL, fence = fence + 1 WHERE id = ?1")?
            .execute([self.id])?;
        Ok(())
    }

    /// Ends the claim at `last`; the rest becomes an ownerless claim of its own.
    pub(super) fn split(&self, tx: &Tx<'_>, last: i64) -> Result<(), Error> {
        tx.conn
            .prepare_cached(
                "INSERT INTO claims (subscription, generation, first_seq, last_seq, settled_to, \
                 owner, fence, opened_us) VALUES (?1, ?2, ?3, ?4, ?5, NULL, 2, ?6)",
            )?
            .execute(params![
                self.subscription.0,
                self.generation,
                last + 1,
                self.last,
                self.settled_to.max(last),
                tx.now.0
            ])?;
        tx.conn
            .prepare_cached("UPDATE claims SET last_seq = ?2 WHERE id = ?1")?
            .execute([self.id, last])?;
        Ok(())
    }
}
