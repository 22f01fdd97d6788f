//! Counts every delivery of each durable subscription's generation by its state, from what is
//! recorded of it: a delivery that nothing is recorded of is in no state, and the sums show it.

use std::collections::HashMap;

use super::restore_queue::{Owed, Owing, owing};
use crate::store::Error;
use crate::store::sqlite::rows::{EVENT_COLUMN_COUNT, EVENT_COLUMNS, event};
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::sqlite::verbs::deliveries::{OpenClaim, open_claims_of};
use crate::store::subscriptions::Generation;
use crate::store::upkeep::Tally;

/// See [`crate::store::Upkeep::tallies`].
pub(crate) struct Tallies;

impl Plain for Tallies {}
impl Plain for Tally {}

impl Question for Tallies {
    type Answer = Vec<Tally>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<Tally>, Error> {
        owing(tx)?.iter().map(|one| tally(tx, one)).collect()
    }

    fn time_limit(&self) -> std::time::Duration {
        // The whole log, once a subscription.
        std::time::Duration::from_secs(600)
    }
}

/// What is recorded of a generation, by place.
struct Records {
    rows: HashMap<i64, String>,
    open: Vec<OpenClaim>,
    /// Settled claims, in log order: first and last.
    ledger: Vec<(i64, i64)>,
    /// Lapsed ranges: after and last.
    lapses: Vec<(i64, i64)>,
}

fn records(tx: &Tx<'_>, one: &Owing) -> Result<Records, Error> {
    let of = [one.standing.id.0, one.standing.generation];
    let open = open_claims_of(tx, one.standing.id, Generation(one.standing.generation))?;
    let pairs = |sql: &str| -> Result<Vec<(i64, i64)>, Error> {
        let mut statement = tx.conn.prepare_cached(sql)?;
        let rows = statement.query_map(of, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    let ledger = pairs(
        "SELECT first_seq, MAX(last_seq, settled_to) FROM claims WHERE subscription = ?1 \
         AND generation = ?2 AND settled_us IS NOT NULL ORDER BY first_seq",
    )?;
    let lapses =
        pairs("SELECT after, last_seq FROM lapses WHERE subscription = ?1 AND generation = ?2")?;
    let mut statement = tx.conn.prepare_cached(
        "SELECT event_seq, state FROM redeliveries WHERE subscription = ?1 AND generation = ?2 \
         AND event_seq IS NOT NULL AND why <> 'replay' AND live = 0",
    )?;
    let rows = statement.query_map(of, |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Records {
        rows: rows.collect::<Result<_, _>>()?,
        open,
        ledger,
        lapses,
    })
}

fn tally(tx: &Tx<'_>, one: &Owing) -> Result<Tally, Error> {
    let records = records(tx, one)?;
    let mut tally = Tally::of(one.standing.id, Generation(one.standing.generation));
    let mut owed = Owed::default();
    let sql = format!(
        "SELECT {EVENT_COLUMNS}, (SELECT x.deletion FROM deleted_events AS x WHERE x.seq = e.seq) \
         FROM events AS e WHERE e.seq > ?1 ORDER BY e.seq"
    );
    let mut statement = tx.conn.prepare_cached(&sql)?;
    let mut rows = statement.query([one.after])?;
    while let Some(row) = rows.next()? {
        let event = event(row)?;
        if !one.takes(&event) {
            continue;
        }
        tally.matching += 1;
        let seq = event.seq.map_or(0, |seq| seq.0);
        let deletion: Option<i64> = row.get(EVENT_COLUMN_COUNT)?;
        if let Some(state) = records.rows.get(&seq) {
            let purged = deletion.is_some() && state == "waiting";
            count_row(&mut tally, if purged { "purged" } else { state });
        } else if let Some(deletion) = deletion
            && owed.at_deletion(tx, one, &event, deletion)?
        {
            tally.expired += 1;
        } else {
            count_range(&mut tally, &records, one, seq);
        }
    }
    Ok(tally)
}

fn count_row(tally: &mut Tally, state: &str) {
    let count = match state {
        "waiting" => &mut tally.waiting,
        "running" => &mut tally.claimed,
        "retrying" => &mut tally.retrying,
        "dead" => &mut tally.dead,
        "discarded" => &mut tally.discarded,
        "expired" | "purged" => &mut tally.expired,
        _ => &mut tally.done,
    };
    *count += 1;
}

/// A delivery without a row of its own is where its place is. One that no range covers is counted
/// nowhere: the sums do not add up then, which is what they are for.
fn count_range(tally: &mut Tally, records: &Records, one: &Owing, seq: i64) {
    let open = records
        .open
        .iter()
        .find(|claim| claim.first <= seq && seq <= claim.last);
    if let Some(claim) = open {
        let count = match (seq > claim.settled_to, claim.owner) {
            (false, _) => &mut tally.done,
            (true, Some(_)) => &mut tally.claimed,
            // Given back: it waits for whoever asks next.
            (true, None) => &mut tally.waiting,
        };
        *count += 1;
        return;
    }
    if seq > one.standing.cursor {
        tally.waiting += 1;
        return;
    }
    // Merged claims may span a lapsed range, never the other way round.
    if records
        .lapses
        .iter()
        .any(|(after, last)| *after < seq && seq <= *last)
    {
        tally.expired += 1;
        return;
    }
    let below = records.ledger.partition_point(|(first, _)| *first <= seq);
    if records.ledger[..below]
        .iter()
        .rev()
        .any(|(_, last)| seq <= *last)
    {
        tally.done += 1;
    }
}
