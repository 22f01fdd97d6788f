//! Ending a generation's open work: by a removal, a seek, or retention.

use super::deliveries::release_keys_for;
use super::letters::{REDELIVERY_COLUMNS, redelivery_event};
use super::positions::Standing;
use super::record::{About, verdict, verdict_by};
use crate::store::Error;
use crate::store::sqlite::verb::Tx;
use crate::verdict::Code;

/// Ends the present generation's open work: claims are cut at what they settled and fenced, and
/// redeliveries in `states` take `state`. Answers how many redeliveries ended.
pub(crate) fn end_open_work(
    tx: &Tx<'_>,
    standing: &Standing,
    states: &str,
    state: &str,
) -> Result<u64, Error> {
    let of = [standing.id.0, standing.generation];
    // One that settled nothing stays as an empty range: its token is refused, not unknown.
    tx.conn
        .prepare_cached(
            "UPDATE claims SET last_seq = settled_to, settled_us = ?3, fence = fence + 1 \
             WHERE subscription = ?1 AND generation = ?2 AND settled_us IS NULL",
        )?
        .execute([of[0], of[1], tx.now.0])?;
    // Nobody will say how the runs of fenced claims ended: equal keys must not wait for it.
    release_keys_for(tx, standing.id)?;
    let sql = format!(
        "UPDATE redeliveries SET before_end = CASE state WHEN 'dead' THEN 'dead' \
             ELSE 'retrying' END, state = ?3, due_us = NULL, owner = NULL, held_us = NULL, \
           fence = fence + 1, ended_us = ?4 \
         WHERE subscription = ?1 AND live = 0 AND state IN ({states}) AND generation = ?2"
    );
    let ended = tx
        .conn
        .prepare_cached(&sql)?
        .execute(rusqlite::params![of[0], of[1], state, tx.now.0])?;
    Ok(ended as u64)
}

/// States of redeliveries that a process or the clock will still move.
pub(crate) const UNFINISHED: &str = "'waiting', 'retrying', 'running'";

/// Records what ends the redeliveries that have not failed, up to the place `to`: they are no dead
/// letters, and nothing else says what became of them. Call it before [`end_open_work`].
pub(crate) fn record_ended_redeliveries(
    tx: &Tx<'_>,
    standing: &Standing,
    to: i64,
    code: Code,
    by: Option<(&str, &str)>,
) -> Result<(), Error> {
    let sql = format!(
        "SELECT {REDELIVERY_COLUMNS}, r.id FROM redeliveries AS r \
         LEFT JOIN events AS e ON e.seq = r.event_seq \
         WHERE r.subscription = ?1 AND r.generation = ?2 AND r.live = 0 AND r.failed = 0 \
           AND r.state IN ({UNFINISHED}) AND (r.event_seq IS NULL OR r.event_seq <= ?3) \
           AND NOT EXISTS (SELECT 1 FROM deleted_events AS d WHERE d.seq = r.event_seq)"
    );
    let mut statement = tx.conn.prepare_cached(&sql)?;
    let mut rows = statement.query([standing.id.0, standing.generation, to])?;
    while let Some(row) = rows.next()? {
        let event = redelivery_event(row)?;
        let about = About {
            event: Some(event.id),
            seq: event.seq,
            event_type: Some(event.event_type),
            subscription: Some(standing.id),
            ..About::default()
        };
        let evidence = serde_json::json!({
            "name": standing.name, "redelivery": row.get::<_, i64>(12)?
        });
        match by {
            Some(by) => verdict_by(tx, code, by, about, &evidence)?,
            None => verdict(tx, code, about, &evidence)?,
        }
    }
    Ok(())
}
