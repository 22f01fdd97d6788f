//! Brings deleted events back, with exactly the deliveries that were owed when they went.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::event::{Event, Seq};
use crate::store::Error;
use crate::store::deliveries::Why;
use crate::store::sqlite::rows::{EVENT_COLUMNS, event};
use crate::store::sqlite::verb::{Plain, Question, Tx, Verb};
use crate::store::sqlite::verbs::letters::{NewRow, insert_row};
use crate::store::sqlite::verbs::positions::{
    Segment, Standing, generation_after, natural, segment_at, segments, standing,
};
use crate::store::sqlite::verbs::record::{About, act};
use crate::store::subscriptions::SubscriptionId;

/// Events brought back in one transaction: some tens of milliseconds of the write lock.
const STEP_EVENTS: i64 = 10_000;

/// See [`crate::store::Upkeep::restore_queue_to`]. One step; as a question it counts.
pub(crate) struct RestoreQueue {
    pub(crate) by: String,
    pub(crate) last: Seq,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Restored {
    pub(crate) events: u64,
    pub(crate) more: bool,
}

impl Plain for RestoreQueue {}
impl Plain for Restored {}

impl Question for RestoreQueue {
    type Answer = u64;

    fn run(self, tx: &Tx<'_>) -> Result<u64, Error> {
        let sql = "SELECT COUNT(*) FROM deleted_events AS d JOIN events AS e ON e.seq = d.seq \
                   WHERE d.seq <= ?1";
        Ok(tx
            .conn
            .prepare_cached(sql)?
            .query_row([self.last.0], natural)?)
    }
}

impl Verb for RestoreQueue {
    type Answer = Restored;

    fn run(self, tx: &Tx<'_>) -> Result<Restored, Error> {
        let owing = owing(tx)?;
        let mut owed = Owed::default();
        let found = deleted(tx, self.last)?;
        for (event, deletion) in &found {
            for one in &owing {
                if owed.at_deletion(tx, one, event, *deletion)? {
                    one.make_due(tx, &mut owed, event, *deletion)?;
                }
            }
            let seq = event.seq.map_or(0, |seq| seq.0);
            tx.conn
                .prepare_cached("DELETE FROM deleted_events WHERE seq = ?1")?
                .execute([seq])?;
        }
        let more = found.len() as i64 == STEP_EVENTS;
        if !found.is_empty() {
            tx.conn
                .prepare_cached("UPDATE poll_mark SET restores = restores + 1")?
                .execute([])?;
            // A later deletion takes new positions.
            tx.conn
                .prepare_cached("UPDATE deletions SET open = 0 WHERE open = 1")?
                .execute([])?;
        }
        let evidence = serde_json::json!({ "events": found.len(), "more": more });
        act(tx, "queue.restore", &self.by, About::default(), &evidence)?;
        Ok(Restored {
            events: found.len() as u64,
            more,
        })
    }
}

fn deleted(tx: &Tx<'_>, last: Seq) -> Result<Vec<(Event, i64)>, Error> {
    let sql = format!(
        "SELECT {EVENT_COLUMNS}, x.deletion FROM deleted_events AS x \
         JOIN events AS e ON e.seq = x.seq WHERE x.seq <= ?1 ORDER BY x.seq LIMIT {STEP_EVENTS}"
    );
    let mut statement = tx.conn.prepare_cached(&sql)?;
    let rows = statement.query_map([last.0], |row| {
        let column = crate::store::sqlite::rows::EVENT_COLUMN_COUNT;
        Ok((event(row)?, row.get(column)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A durable subscription that may be owed something.
pub(super) struct Owing {
    pub(super) standing: Standing,
    pub(super) segments: Vec<Segment>,
    /// Where its generation began.
    pub(super) after: i64,
}

/// Every durable subscription that stands.
pub(super) fn owing(tx: &Tx<'_>) -> Result<Vec<Owing>, Error> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT id FROM subscription_rows WHERE kind = 'durable' AND ended_at IS NULL ORDER BY id",
    )?;
    let ids = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<Vec<i64>, _>>()?;
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        let standing = standing(tx, SubscriptionId(id))?;
        all.push(Owing {
            segments: segments(tx, standing.id)?,
            after: generation_after(tx, &standing)?,
            standing,
        });
    }
    Ok(all)
}

impl Owing {
    /// Whether the event is a delivery of the subscription's current generation.
    pub(super) fn takes(&self, event: &Event) -> bool {
        let seq = event.seq.map_or(0, |seq| seq.0);
        seq > self.after
            && segment_at(&self.segments, seq)
                .is_some_and(|segment| segment.takes(&event.event_type, &event.payload))
    }

    fn make_due(
        &self,
        tx: &Tx<'_>,
        owed: &mut Owed,
        event: &Event,
        deletion: i64,
    ) -> Result<(), Error> {
        let seq = event.seq.map_or(0, |seq| seq.0);
        // Not yet passed: it is claimed in its turn. Still in the hands it was in: its settle
        // decides.
        if seq > self.standing.cursor || owed.still_held(tx, self, deletion, seq)? {
            return Ok(());
        }
        // A delivery that left its claim before has its row, and that one decides.
        insert_row(tx, &NewRow::waiting(&self.standing, event, Why::Restored))?;
        Ok(())
    }
}

/// A claim as it stood at a deletion.
#[derive(Clone, Copy)]
struct Held {
    claim: i64,
    fence: i64,
    first: i64,
    last: i64,
    settled_to: i64,
}

/// The claims of a subscription that were open at a deletion.
fn claims_at(tx: &Tx<'_>, (deletion, subscription): (i64, i64)) -> Result<Vec<Held>, Error> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT claim, fence, first_seq, last_seq, settled_to FROM deletion_claims \
         WHERE deletion = ?1 AND subscription = ?2",
    )?;
    let rows = statement.query_map([deletion, subscription], |row| {
        Ok(Held {
            claim: row.get(0)?,
            fence: row.get(1)?,
            first: row.get(2)?,
            last: row.get(3)?,
            settled_to: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The positions that deletions kept, read once each.
#[derive(Default)]
pub(super) struct Owed {
    positions: HashMap<(i64, i64), Option<(i64, i64)>>,
    claims: HashMap<(i64, i64), Vec<Held>>,
}

impl Owed {
    /// Whether the event was an unsettled delivery of the subscription when it was deleted.
    pub(super) fn at_deletion(
        &mut self,
        tx: &Tx<'_>,
        one: &Owing,
        event: &Event,
        deletion: i64,
    ) -> Result<bool, Error> {
        if !one.takes(event) {
            return Ok(false);
        }
        let seq = event.seq.map_or(0, |seq| seq.0);
        match self.position(tx, one, deletion)? {
            // A later generation, or a later subscription, passed it while it was deleted.
            Some((generation, _)) if generation != one.standing.generation => Ok(true),
            None => Ok(true),
            Some((_, cursor)) if seq > cursor => Ok(true),
            Some(_) => Ok(self.held(tx, one, deletion, seq)?.is_some()),
        }
    }

    fn position(
        &mut self,
        tx: &Tx<'_>,
        one: &Owing,
        deletion: i64,
    ) -> Result<Option<(i64, i64)>, Error> {
        use rusqlite::OptionalExtension as _;
        let key = (deletion, one.standing.id.0);
        if let Some(known) = self.positions.get(&key) {
            return Ok(*known);
        }
        let found = tx
            .conn
            .prepare_cached(
                "SELECT generation, cursor FROM deletion_positions \
                 WHERE deletion = ?1 AND subscription = ?2",
            )?
            .query_row([key.0, key.1], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        self.positions.insert(key, found);
        Ok(found)
    }

    /// The claim that held the place unsettled at the deletion.
    fn held(
        &mut self,
        tx: &Tx<'_>,
        one: &Owing,
        deletion: i64,
        seq: i64,
    ) -> Result<Option<Held>, Error> {
        let key = (deletion, one.standing.id.0);
        let claims = match self.claims.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(claims_at(tx, key)?),
        };
        let holds = |held: &&Held| held.first <= seq && held.settled_to < seq && seq <= held.last;
        Ok(claims.iter().find(holds).copied())
    }

    /// Whether the process that held the place at the deletion holds it still.
    fn still_held(
        &mut self,
        tx: &Tx<'_>,
        one: &Owing,
        deletion: i64,
        seq: i64,
    ) -> Result<bool, Error> {
        let Some(held) = self.held(tx, one, deletion, seq)? else {
            return Ok(false);
        };
        Ok(tx
            .conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM claims WHERE id = ?1 AND fence = ?2 \
                 AND owner IS NOT NULL AND settled_us IS NULL AND settled_to < ?3 \
                 AND last_seq >= ?3)",
            )?
            .query_row([held.claim, held.fence, seq], |row| row.get(0))?)
    }
}
