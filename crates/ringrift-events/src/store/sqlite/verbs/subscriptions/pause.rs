//! Stops or resumes new claims of a subscription.

use rusqlite::params;

use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::positions::standing;
use crate::store::sqlite::verbs::record::{About, act};
use crate::store::subscriptions::SubscriptionId;
use crate::store::{Error, ErrorCode};

/// See [`crate::store::Subscriptions::pause`].
pub(crate) struct Pause {
    pub(crate) id: SubscriptionId,
    pub(crate) paused: bool,
    pub(crate) by: String,
}

impl Plain for Pause {}

impl Verb for Pause {
    type Answer = bool;

    fn run(self, tx: &Tx<'_>) -> Result<bool, Error> {
        let standing = standing(tx, self.id)?;
        if standing.ended {
            return Err(Error::new(
                ErrorCode::WrongState,
                format!("cannot pause or resume {}: it has ended", standing.name),
            )
            .with_next("ringrift subs ls"));
        }
        if standing.paused == self.paused {
            return Ok(false);
        }
        let (at, by) = match self.paused {
            true => (Some(tx.now.to_sql()), Some(&self.by)),
            false => (None, None),
        };
        tx.conn
            .prepare_cached(
                "UPDATE subscription_rows SET paused_at = ?2, paused_by = ?3 WHERE id = ?1",
            )?
            .execute(params![self.id.0, at, by])?;
        let name = if self.paused {
            "subs.pause"
        } else {
            "subs.resume"
        };
        let about = About {
            subscription: Some(self.id),
            ..About::default()
        };
        act(
            tx,
            name,
            &self.by,
            about,
            &serde_json::json!({ "name": standing.name }),
        )?;
        Ok(true)
    }
}
