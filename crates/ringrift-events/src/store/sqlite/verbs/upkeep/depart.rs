//! A process leaves: what it holds goes back, its live subscriptions end. Before its row says that
//! it left.

use crate::event::Seq;
use crate::store::Error;
use crate::store::deliveries::LetterId;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::deliveries::{open_claims, release_held, release_keys_of};
use crate::store::sqlite::verbs::positions::head;
use crate::store::sqlite::verbs::subscriptions::{end_live_of, unhost};

/// Ends this process's part in every subscription.
pub(crate) struct Depart {
    /// Up to where its poller has read; the log's end when it did not say.
    pub(crate) polled_to: Option<Seq>,
}

impl Plain for Depart {}

impl Verb for Depart {
    type Answer = ();

    fn run(self, tx: &Tx<'_>) -> Result<(), Error> {
        let row = tx.process_row;
        for claim in open_claims(tx, row)? {
            claim.release(tx)?;
        }
        give_back_redeliveries(tx, row)?;
        let end = match self.polled_to {
            Some(seq) => seq.0,
            None => head(tx)?,
        };
        end_live_of(tx, row, end + 1)?;
        unhost(tx, row, None)?;
        release_keys_of(tx, row)
    }
}

fn give_back_redeliveries(tx: &Tx<'_>, row: i64) -> Result<(), Error> {
    for (id, held_us) in held(tx, row)? {
        release_held(tx, id, held_us)?;
    }
    tx.conn
        .prepare_cached(
            "UPDATE redeliveries SET state = CASE failed WHEN 1 THEN 'retrying' \
                 ELSE 'waiting' END, owner = NULL, fence = fence + 1, due_us = ?2, \
               next_retry_at = CASE failed WHEN 1 THEN ?3 END \
             WHERE owner = ?1 AND state = 'running'",
        )?
        .execute(rusqlite::params![row, tx.now.0, tx.now.to_sql()])?;
    Ok(())
}

/// The letters that wait for a thread of a process.
pub(super) fn held(tx: &Tx<'_>, row: i64) -> Result<Vec<(LetterId, i64)>, Error> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT id, held_us FROM redeliveries WHERE owner = ?1 AND held_us IS NOT NULL",
    )?;
    let rows = statement.query_map([row], |row| Ok((LetterId(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
