//! Takes the redeliveries that are due.

use std::sync::Arc;

use rusqlite::params;

use super::scan::hosted_version;
use crate::clock::Time;
use crate::store::Error;
use crate::store::deliveries::{LetterId, Redelivery};
use crate::store::pages::Bells;
use crate::store::sqlite::verb::{Plain, Question, Tx, Verb};
use crate::store::sqlite::verbs::letters::{REDELIVERY_COLUMNS, redelivery_event, why};
use crate::store::sqlite::verbs::positions::{Standing, standing};
use crate::store::subscriptions::{Kind, SubscriptionId};

/// Most redeliveries taken at once.
const DUE_MAX: usize = 1_000;

/// Which rows a subscription may take: ?1 its name, ?2 its id, ?3 whether it is live, ?4 whether it is
/// ordered, ?5 the version hosted: beyond its border lies nothing for it. A letter's
/// event may be deleted from the queue, the letter stands; a delivery that has not failed goes with
/// its event. With order by key a row waits for the earlier ones of its key, and for one that runs.
const ELIGIBLE: &str = "r.handler = ?1 AND r.live = ?3 AND (r.live = 1 OR r.subscription = ?2) \
     AND (r.event_seq IS NULL OR e.seq IS NOT NULL) \
     AND (r.event_seq IS NULL OR r.live = 1 OR NOT EXISTS (SELECT 1 FROM subscription_versions AS v \
          WHERE v.subscription = ?2 AND v.number > ?5 AND v.valid_from <= r.event_seq \
            AND r.event_seq < v.valid_to)) \
     AND (r.failed = 1 OR r.event_seq IS NULL OR NOT EXISTS \
          (SELECT 1 FROM deleted_events AS d WHERE d.seq = r.event_seq)) \
     AND (?4 = 0 OR r.key IS NULL OR r.why = 'replay' OR NOT EXISTS ( \
          SELECT 1 FROM redeliveries AS o WHERE o.subscription = r.subscription \
            AND o.generation = r.generation AND o.event_seq IS NOT NULL AND o.live = 0 \
            AND o.why <> 'replay' AND o.key = r.key AND o.id <> r.id \
            AND (o.state = 'running' OR (o.event_seq < r.event_seq \
                 AND o.state IN ('waiting', 'retrying') AND (o.failed = 1 OR NOT EXISTS \
                     (SELECT 1 FROM deleted_events AS d WHERE d.seq = o.event_seq))))))";

/// See [`crate::store::Deliveries::claim_due`].
pub(crate) struct ClaimDue {
    pub(crate) subscriptions: Vec<SubscriptionId>,
    pub(crate) max: usize,
}

/// See [`crate::store::Deliveries::next_due`].
pub(crate) struct NextDue {
    pub(crate) subscriptions: Vec<SubscriptionId>,
}

impl Plain for ClaimDue {}
impl Plain for NextDue {}
impl Plain for Redelivery {}
impl Plain for Time {}

impl Verb for ClaimDue {
    type Answer = Vec<Redelivery>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<Redelivery>, Error> {
        let max = self.max.min(DUE_MAX);
        let mut due = Vec::new();
        for id in self.subscriptions {
            let standing = standing(tx, id)?;
            if let Some(version) = may_take(tx, &standing)? {
                look(tx, &standing, version, max, &mut due)?;
            }
        }
        due.sort_by_key(|(at, redelivery)| (*at, redelivery.id));
        // Two subscriptions of one name in one process share their letters.
        due.dedup_by_key(|(_, redelivery)| redelivery.id);
        due.truncate(max);
        let mut taken: Vec<Redelivery> = Vec::with_capacity(due.len());
        for (_, redelivery) in due {
            take(tx, redelivery.id)?;
            taken.push(redelivery);
        }
        Ok(taken)
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}

/// The version by which this process takes for a subscription; none while it may not.
fn may_take(tx: &Tx<'_>, standing: &Standing) -> Result<Option<i64>, Error> {
    if standing.paused || standing.ended {
        return Ok(None);
    }
    hosted_version(tx, standing.id)
}

/// What a subscription may take now; one a key for an ordered one, since taking the first blocks
/// the others.
fn look(
    tx: &Tx<'_>,
    standing: &Standing,
    version: i64,
    max: usize,
    due: &mut Vec<(i64, Redelivery)>,
) -> Result<(), Error> {
    let sql = format!(
        "SELECT {REDELIVERY_COLUMNS}, r.id, r.fence, r.why, r.attempts, r.deaths, r.due_us \
         FROM redeliveries AS r LEFT JOIN events AS e ON e.seq = r.event_seq \
         WHERE r.due_us IS NOT NULL AND r.due_us <= ?6 AND {ELIGIBLE} ORDER BY r.due_us LIMIT ?7"
    );
    let mut statement = tx.conn.prepare_cached(&sql)?;
    let rows = statement.query_map(
        params![
            standing.name,
            standing.id.0,
            standing.kind == Kind::Live,
            standing.ordered,
            version,
            tx.now.0,
            i64::try_from(max).unwrap_or(i64::MAX)
        ],
        |row| {
            let fence: i64 = row.get(13)?;
            let redelivery = Redelivery {
                id: LetterId(row.get(12)?),
                fence: fence + 1,
                subscription: standing.id,
                event: Arc::new(redelivery_event(row)?),
                why: why(row.get_ref(14)?.as_str()?),
                attempts: row.get(15)?,
                deaths: row.get(16)?,
            };
            Ok((row.get(17)?, redelivery))
        },
    )?;
    for row in rows {
        due.push(row?);
    }
    Ok(())
}

fn take(tx: &Tx<'_>, id: LetterId) -> Result<(), Error> {
    tx.conn
        .prepare_cached(
            "UPDATE redeliveries SET state = 'running', owner = ?2, fence = fence + 1, \
             attempts = attempts + 1, attempts_total = attempts_total + 1, due_us = NULL, \
             next_retry_at = NULL, last_attempt_at = ?3 WHERE id = ?1",
        )?
        .execute(params![id.0, tx.process_row, tx.now.to_sql()])?;
    Ok(())
}

impl Question for NextDue {
    type Answer = Option<Time>;

    fn run(self, tx: &Tx<'_>) -> Result<Option<Time>, Error> {
        let sql = format!(
            "SELECT r.due_us FROM redeliveries AS r LEFT JOIN events AS e ON e.seq = r.event_seq \
             WHERE r.due_us IS NOT NULL AND {ELIGIBLE} ORDER BY r.due_us LIMIT 1"
        );
        let mut next: Option<i64> = None;
        for id in self.subscriptions {
            let standing = standing(tx, id)?;
            let Some(version) = may_take(tx, &standing)? else {
                continue;
            };
            let mut statement = tx.conn.prepare_cached(&sql)?;
            let mut rows = statement.query(params![
                standing.name,
                standing.id.0,
                standing.kind == Kind::Live,
                standing.ordered,
                version
            ])?;
            if let Some(row) = rows.next()? {
                let due: i64 = row.get(0)?;
                next = Some(next.map_or(due, |other| other.min(due)));
            }
        }
        Ok(next.map(Time))
    }
}
