//! One row of `redeliveries`: made in one place, read in one place.

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, Row, params};
use uuid::Uuid;

use crate::clock::Time;
use crate::event::{Event, EventId, EventType, Payload, ProcessId, Seq, TraceId};
use crate::store::Error;
use crate::store::deliveries::Why;
use crate::store::sqlite::rows::{PublishedAt, Trace};
use crate::store::sqlite::verb::Tx;
use crate::store::sqlite::verbs::positions::Standing;
use crate::store::subscriptions::Kind;
use crate::verdict::Failure;

/// `held_us` of a letter that is dead while its thread still runs: it never falls due.
pub(crate) const HELD_DEAD: i64 = i64::MAX;

/// A redelivery to be.
#[derive(Clone, Debug)]
pub(crate) struct NewRow<'a> {
    pub(crate) standing: &'a Standing,
    pub(crate) event: &'a Event,
    pub(crate) why: Why,
    /// Runs started before.
    pub(crate) attempts: u32,
    pub(crate) deaths: u32,
    pub(crate) deaths_alone: u32,
    /// What failed, if anything did: it is a dead letter then.
    pub(crate) failure: Option<&'a Failure>,
    /// When it is due; none makes it dead.
    pub(crate) due: Option<Time>,
    /// Its thread still runs in this process.
    pub(crate) held: bool,
    /// The event that this one was edited from.
    pub(crate) linked: Option<EventId>,
}

impl<'a> NewRow<'a> {
    /// A delivery that waits for its next run and has not failed; due at once.
    pub(crate) fn waiting(standing: &'a Standing, event: &'a Event, why: Why) -> NewRow<'a> {
        NewRow {
            standing,
            event,
            why,
            attempts: 0,
            deaths: 0,
            deaths_alone: 0,
            failure: None,
            due: Some(Time(0)),
            held: false,
            linked: None,
        }
    }

    /// A first run that failed.
    pub(crate) fn failed(
        standing: &'a Standing,
        event: &'a Event,
        failure: &'a Failure,
        due: Option<Time>,
        held: bool,
    ) -> NewRow<'a> {
        NewRow {
            attempts: 1,
            failure: Some(failure),
            due,
            held,
            ..NewRow::waiting(standing, event, Why::Retry)
        }
    }

    fn state(&self) -> &'static str {
        match (self.due, self.failure) {
            (None, _) => "dead",
            (Some(_), Some(_)) => "retrying",
            (Some(_), None) => "waiting",
        }
    }
}

/// Inserts a row; answers its id and whether it is new. A delivery that has a row keeps it.
pub(crate) fn insert_row(tx: &Tx<'_>, row: &NewRow<'_>) -> Result<(i64, bool), Error> {
    let due = row.due.map(|due| due.max(tx.now));
    let due_us = due.map(|due| due.0).filter(|_| !row.held);
    let held_us = row.held.then(|| due.map_or(HELD_DEAD, |due| due.0));
    let now = tx.now.to_sql();
    let ran = (row.attempts > 0).then_some(&now);
    let live = row.standing.kind == Kind::Live;
    let changed = tx
        .conn
        .prepare_cached(
            "INSERT INTO redeliveries (subscription, generation, live, handler, event_seq, \
               event_id, event_type, key, why, state, failed, attempts, attempts_total, deaths, \
               deaths_alone, error, error_kind, step, created_at, last_attempt_at, \
               next_retry_at, due_us, held_us, owner, linked) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, ?13, ?14, ?15, ?16, \
               ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24) \
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            row.standing.id.0,
            row.standing.generation,
            live,
            row.standing.name,
            row.event.seq.map(|seq| seq.0),
            row.event.id,
            row.event.event_type.as_str(),
            row.event.key,
            why_text(row.why),
            row.state(),
            row.failure.is_some(),
            row.attempts,
            row.deaths,
            row.deaths_alone,
            row.failure.map(|failure| &failure.message),
            row.failure.map(|failure| failure.kind.as_str()),
            row.failure.and_then(|failure| failure.step.as_ref()),
            now,
            ran,
            due.filter(|_| row.failure.is_some()).map(Time::to_sql),
            due_us,
            held_us,
            row.held.then_some(tx.process_row),
            row.linked,
        ])?;
    if changed == 0 {
        return Ok((existing(tx, row)?, false));
    }
    let id = tx.conn.last_insert_rowid();
    if row.event.seq.is_none() {
        keep_event(tx, id, row.event)?;
    }
    Ok((id, true))
}

fn existing(tx: &Tx<'_>, row: &NewRow<'_>) -> Result<i64, Error> {
    let id = tx
        .conn
        .prepare_cached(
            "SELECT id FROM redeliveries WHERE subscription = ?1 AND generation = ?2 \
             AND event_seq = ?3 AND event_seq IS NOT NULL AND why <> 'replay' AND live = 0",
        )?
        .query_row(
            params![
                row.standing.id.0,
                row.standing.generation,
                row.event.seq.map(|seq| seq.0)
            ],
            |row| row.get(0),
        )
        .optional()?;
    Ok(id.unwrap_or(0))
}

/// Keeps an event that is in no log with its row.
fn keep_event(tx: &Tx<'_>, id: i64, event: &Event) -> Result<(), Error> {
    tx.conn
        .prepare_cached(
            "UPDATE redeliveries SET payload = ?2, source = ?3, published_at = ?4, \
             trace_id = ?5, parent_id = ?6, depth = ?7, origin = ?8, stage = ?9 WHERE id = ?1",
        )?
        .execute(params![
            id,
            event.payload.as_str(),
            event.source,
            event.published_at.0,
            event.trace_id,
            event.parent_id,
            event.depth,
            event.origin,
            event.stage,
        ])?;
    Ok(())
}

/// The columns that [`redelivery_event`] reads, of `redeliveries AS r LEFT JOIN events AS e`.
pub(crate) const REDELIVERY_COLUMNS: &str = "r.event_seq, r.event_id, r.event_type, \
     COALESCE(e.payload, r.payload, '{}'), COALESCE(e.source, r.source, ''), r.key, \
     COALESCE(e.published_at, r.published_at, 0), COALESCE(e.trace_id, r.trace_id), \
     COALESCE(e.parent_id, r.parent_id), COALESCE(e.depth, r.depth, 0), \
     COALESCE((SELECT p.process_id FROM processes AS p WHERE p.id = e.origin), r.origin), \
     COALESCE(e.stage, r.stage)";

/// Reads [`REDELIVERY_COLUMNS`], the first twelve of a row.
pub(crate) fn redelivery_event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let id = row.get(1)?;
    Ok(Event {
        seq: row.get::<_, Option<i64>>(0)?.map(Seq),
        id,
        event_type: EventType::from_canonical(row.get_ref(2)?.as_str()?),
        payload: Payload::from_checked(row.get::<_, Box<str>>(3)?),
        source: row.get(4)?,
        key: row.get(5)?,
        published_at: PublishedAt(row.get(6)?).of(id),
        trace_id: row
            .get::<_, Option<Trace>>(7)?
            .map_or(TraceId(Uuid::nil()), |trace| trace.of(id)),
        parent_id: row.get(8)?,
        depth: row.get(9)?,
        origin: row
            .get::<_, Option<ProcessId>>(10)?
            .unwrap_or(ProcessId(Uuid::nil())),
        stage: row.get(11)?,
    })
}

/// As it stands in `redeliveries.why`.
fn why_text(why: Why) -> &'static str {
    match why {
        Why::Retry => "retry",
        Why::LeaseLost => "lease_lost",
        Why::HandedBack => "handed_back",
        Why::KeyBlocked => "key_blocked",
        Why::Replay => "replay",
        Why::Restored => "restored",
    }
}

/// The reason with this text; one of a newer version reads as a retry.
pub(crate) fn why(text: &str) -> Why {
    [
        Why::LeaseLost,
        Why::HandedBack,
        Why::KeyBlocked,
        Why::Replay,
        Why::Restored,
    ]
    .into_iter()
    .find(|why| why_text(*why) == text)
    .unwrap_or(Why::Retry)
}

/// One event of the log, deleted or not.
pub(crate) fn event_at(tx: &Tx<'_>, seq: Seq) -> Result<Option<Arc<Event>>, Error> {
    use crate::store::sqlite::rows::{EVENT_COLUMNS, event};
    let sql = format!("SELECT {EVENT_COLUMNS} FROM events AS e WHERE e.seq = ?1");
    let found = tx.conn.prepare_cached(&sql)?.query_row([seq.0], event);
    Ok(found.optional()?.map(Arc::new))
}
