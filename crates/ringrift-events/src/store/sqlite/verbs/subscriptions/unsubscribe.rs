//! Ends a live subscription, or stops hosting a durable one.

use rusqlite::params;

use crate::event::Seq;
use crate::store::Error;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::positions::{head, standing};
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
        tx.conn
            .prepare_cached("DELETE FROM hosts WHERE subscription = ?1 AND process = ?2")?
            .execute([self.id.0, tx.process_row])?;
        if standing.kind == Kind::Live && !standing.ended {
            let at = match self.at {
                Some(seq) => seq.0,
                None => head(tx)? + 1,
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
