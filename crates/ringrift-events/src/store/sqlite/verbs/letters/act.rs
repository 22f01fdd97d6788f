//! What operators do with letters, on a snapshot of what they saw.

use rusqlite::{OptionalExtension as _, params};

use crate::clock::Time;
use crate::store::Error;
use crate::store::deliveries::LetterId;
use crate::store::letters::{Acted, LetterAct};
use crate::store::sqlite::rows::SqlTime;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::record::{About, act, verdict_by};
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::Code;

/// Ids named in the audit's evidence; the rest are counted.
const NAMED_MAX: usize = 1_000;

/// See [`crate::store::Letters::act`].
pub(crate) struct ActOnLetters {
    pub(crate) act: LetterAct,
    pub(crate) seen: Vec<(LetterId, u32)>,
    pub(crate) by: String,
}

impl Plain for ActOnLetters {}
impl Plain for Acted {}

/// A letter as it stands.
pub(super) struct Now {
    pub(super) state: String,
    pub(super) attempts: u32,
    pub(super) held: bool,
    before: Option<String>,
    next_retry_at: Option<Time>,
    pub(super) subscription: SubscriptionId,
    event: [u8; 16],
    seq: Option<i64>,
}

pub(super) fn now(tx: &Tx<'_>, id: LetterId) -> Result<Option<Now>, Error> {
    let sql = "SELECT state, attempts, held_us IS NOT NULL, before_end, next_retry_at, \
               subscription, event_id, event_seq FROM redeliveries WHERE id = ?1 AND failed = 1";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Now {
            state: row.get(0)?,
            attempts: row.get(1)?,
            held: row.get(2)?,
            before: row.get(3)?,
            next_retry_at: row.get::<_, Option<SqlTime>>(4)?.map(|at| at.0),
            subscription: SubscriptionId(row.get(5)?),
            event: row.get(6)?,
            seq: row.get(7)?,
        })
    };
    Ok(tx
        .conn
        .prepare_cached(sql)?
        .query_row([id.0], read)
        .optional()?)
}

impl Now {
    fn about(&self) -> About {
        About {
            event: Some(crate::event::EventId(uuid::Uuid::from_bytes(self.event))),
            seq: self.seq.map(crate::event::Seq),
            subscription: Some(self.subscription),
            ..About::default()
        }
    }
}

impl Verb for ActOnLetters {
    type Answer = Acted;

    fn run(self, tx: &Tx<'_>) -> Result<Acted, Error> {
        let mut acted = Acted::default();
        let mut changed = Vec::new();
        for (id, attempts) in &self.seen {
            let done = match now(tx, *id)? {
                Some(now) if now.attempts == *attempts => self.one(tx, *id, &now)?,
                Some(_) | None => false,
            };
            if done {
                acted.changed += 1;
                changed.push(id.0);
            } else {
                acted.left.push(*id);
            }
        }
        changed.truncate(NAMED_MAX);
        let evidence = serde_json::json!({
            "changed": acted.changed, "left": acted.left.len(), "letters": changed
        });
        act(tx, self.name(), &self.by, About::default(), &evidence)?;
        Ok(acted)
    }
}

impl ActOnLetters {
    fn name(&self) -> &'static str {
        match self.act {
            LetterAct::Retry => "dlq.retry",
            LetterAct::Discard => "dlq.discard",
            LetterAct::Purge => "dlq.purge",
            LetterAct::Restore => "dlq.restore",
        }
    }

    fn one(&self, tx: &Tx<'_>, id: LetterId, now: &Now) -> Result<bool, Error> {
        let open = ["retrying", "dead"].contains(&now.state.as_str()) && !now.held;
        match self.act {
            LetterAct::Retry if open => {
                tx.conn
                    .prepare_cached(
                        "UPDATE redeliveries SET state = 'retrying', attempts = 0, due_us = ?2, \
                         next_retry_at = ?3 WHERE id = ?1",
                    )?
                    .execute(params![id.0, tx.now.0, tx.now.to_sql()])?;
                Ok(true)
            }
            LetterAct::Discard if open => {
                end(tx, id, "discarded")?;
                let evidence = serde_json::json!({ "letter": id.0, "attempts": now.attempts });
                let by = (self.by.as_str(), self.name());
                verdict_by(tx, Code::StDiscarded, by, now.about(), &evidence)?;
                Ok(true)
            }
            LetterAct::Purge if !["running", "purged"].contains(&now.state.as_str()) => {
                end(tx, id, "purged")?;
                Ok(true)
            }
            LetterAct::Restore if ["discarded", "purged"].contains(&now.state.as_str()) => {
                restore(tx, id, now)
            }
            LetterAct::Retry | LetterAct::Discard | LetterAct::Purge | LetterAct::Restore => {
                Ok(false)
            }
        }
    }
}

/// Ends a letter by hand. One that was ended before keeps where it stood first.
pub(super) fn end(tx: &Tx<'_>, id: LetterId, state: &str) -> Result<(), Error> {
    tx.conn
        .prepare_cached(
            "UPDATE redeliveries SET before_end = CASE \
                 WHEN state = 'discarded' AND before_end IS NOT NULL THEN before_end \
                 ELSE state END, \
               state = ?2, due_us = NULL, owner = NULL, held_us = NULL, fence = fence + 1, \
               ended_us = ?3 WHERE id = ?1",
        )?
        .execute(params![id.0, state, tx.now.0])?;
    Ok(())
}

fn restore(tx: &Tx<'_>, id: LetterId, now: &Now) -> Result<bool, Error> {
    let state = now.before.as_deref().unwrap_or("dead");
    let retrying = state == "retrying";
    let due = retrying.then(|| now.next_retry_at.unwrap_or(tx.now).max(tx.now));
    let ended = ["recovered", "expired", "discarded"].contains(&state);
    tx.conn
        .prepare_cached(
            "UPDATE redeliveries SET state = ?2, before_end = NULL, due_us = ?3, \
             next_retry_at = ?4, ended_us = ?5 WHERE id = ?1",
        )?
        .execute(params![
            id.0,
            state,
            due.map(|due| due.0),
            due.map(Time::to_sql),
            ended.then_some(tx.now.0),
        ])?;
    Ok(true)
}
