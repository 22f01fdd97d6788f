//! Stops or resumes new claims of a subscription.

use rusqlite::params;
use serde_json::json;

use crate::event::Seq;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::head::log_end;
use crate::store::sqlite::verbs::positions::{Standing, standing};
use crate::store::sqlite::verbs::record::{About, act, verdict_by};
use crate::store::subscriptions::{Kind, SubscriptionId};
use crate::store::{Error, ErrorCode};
use crate::verdict::Code;

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
        let ended = match self.paused {
            true => None,
            false => Some(self.held(tx, &standing)?),
        };
        let (at, by) = match self.paused {
            true => (Some(tx.now.to_sql()), Some(&self.by)),
            false => (None, None),
        };
        tx.conn
            .prepare_cached(
                "UPDATE subscription_rows SET paused_at = ?2, paused_by = ?3 WHERE id = ?1",
            )?
            .execute(params![self.id.0, at, by])?;
        let about = About {
            subscription: Some(self.id),
            ..About::default()
        };
        let name = standing.name;
        match ended {
            None => {
                let evidence = json!({ "name": name });
                act(tx, "subs.pause", &self.by, about, &evidence)?;
            }
            Some(held) => {
                let evidence = json!({
                    "name": name, "paused_at": held.at, "paused_by": held.by
                });
                match held.places {
                    Some((first, last)) => {
                        let about = About {
                            seq: Some(Seq(first)),
                            seq_to: Some(Seq(last)),
                            ..about
                        };
                        let resumed = (self.by.as_str(), "subs.resume");
                        verdict_by(tx, Code::RtPaused, resumed, about, &evidence)?;
                    }
                    None => act(tx, "subs.resume", &self.by, about, &evidence)?,
                }
            }
        }
        Ok(true)
    }
}

/// A pause that ends, and the part of the log that it kept from being claimed.
struct Held {
    at: Option<String>,
    by: Option<String>,
    places: Option<(i64, i64)>,
}

impl Pause {
    fn held(&self, tx: &Tx<'_>, standing: &Standing) -> Result<Held, Error> {
        let sql = "SELECT paused_at, paused_by FROM subscription_rows WHERE id = ?1";
        let (at, by) = tx
            .conn
            .prepare_cached(sql)?
            .query_row([self.id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let durable = standing.kind == Kind::Durable;
        let (first, last) = (standing.cursor + 1, log_end(tx.conn)?);
        Ok(Held {
            at,
            by,
            places: (durable && first <= last).then_some((first, last)),
        })
    }
}
