//! Ends a live subscription, or stops hosting a durable one.

use rusqlite::params;

use crate::event::Seq;
use crate::store::Error;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::head::log_end;
use crate::store::sqlite::verbs::positions::standing;
use crate::store::subscriptions::{Kind, SubscriptionId};

/// See [`crate::store::Subscriptions::unsubscribe`].
pub(crate) struct Unsubscribe {
    pub(crate) id: SubscriptionId,
    pub(crate) at: Option<Seq>,
}

impl Plain for Unsubscribe {}

impl Verb for Unsubscribe {
    type Answer = ();

    fn run(self, tx: &Tx<'_>) -> Result<(), Error> {
        let standing = standing(tx, self.id)?;
        unhost(tx, tx.process_row, Some(self.id))?;
        if standing.kind == Kind::Live && !standing.ended {
            let at = match self.at {
                Some(seq) => seq.0,
                None => log_end(tx.conn)? + 1,
            };
            end_live(tx, self.id, at)?;
        }
        Ok(())
    }
}

/// Ends a live subscription: `valid_to` is the first place it is no longer for.
pub(crate) fn end_live(tx: &Tx<'_>, id: SubscriptionId, valid_to: i64) -> Result<(), Error> {
    tx.conn
        .prepare_cached(
            "UPDATE subscription_versions SET valid_to = MAX(valid_from, MIN(valid_to, ?2)) \
             WHERE subscription = ?1",
        )?
        .execute([id.0, valid_to])?;
    tx.conn
        .prepare_cached("UPDATE subscription_rows SET ended_at = ?2 WHERE id = ?1")?
        .execute(params![id.0, tx.now.to_sql()])?;
    Ok(())
}

/// Makes a process stop hosting a subscription, or all; notes since when nobody hosts it.
pub(crate) fn unhost(tx: &Tx<'_>, process: i64, only: Option<SubscriptionId>) -> Result<(), Error> {
    let only = only.map(|id| id.0);
    let now = tx.now.to_sql();
    tx.conn
        .prepare_cached(
            "UPDATE subscription_rows SET unhosted_at = ?3 WHERE unhosted_at IS NULL \
               AND id IN (SELECT subscription FROM hosts WHERE process = ?1 \
                          AND (?2 IS NULL OR subscription = ?2)) \
               AND NOT EXISTS (SELECT 1 FROM hosts AS h WHERE h.subscription = \
                   subscription_rows.id AND h.process <> ?1)",
        )?
        .execute(params![process, only, now])?;
    tx.conn
        .prepare_cached(
            "DELETE FROM hosts WHERE process = ?1 AND (?2 IS NULL OR subscription = ?2)",
        )?
        .execute(params![process, only])?;
    Ok(())
}

/// Ends every live subscription of a process.
pub(crate) fn end_live_of(tx: &Tx<'_>, process: i64, valid_to: i64) -> Result<(), Error> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT id FROM subscription_rows WHERE process = ?1 AND kind = 'live' \
         AND ended_at IS NULL",
    )?;
    let rows = statement.query_map([process], |row| row.get(0))?;
    for id in rows.collect::<Result<Vec<i64>, _>>()? {
        end_live(tx, SubscriptionId(id), valid_to)?;
    }
    Ok(())
}
