//! Every subscription as operators see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::params;

use super::hosts::live_hosts;
use crate::event::Seq;
use crate::store::Error;
use crate::store::sqlite::presence::Presence;
use crate::store::sqlite::rows::SqlTime;
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::sqlite::verbs::positions::{json, natural_at};
use crate::store::subscriptions::{Generation, Kind, SubscriptionId, SubscriptionState, Version};

/// See [`crate::store::Subscriptions::subscriptions`].
pub(crate) struct ListSubscriptions {
    /// Knows who lives, and how far the pollers of live subscriptions have read.
    pub(crate) presence: Arc<Presence>,
}

impl Plain for ListSubscriptions {}
impl Plain for SubscriptionState {}

impl Question for ListSubscriptions {
    type Answer = Vec<SubscriptionState>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<SubscriptionState>, Error> {
        let mut versions = versions(tx)?;
        let mut hosts = live_hosts(tx, &self.presence, None)?;
        let mut statement = tx.conn.prepare_cached(
            "SELECT s.id, (SELECT p.process_id FROM processes AS p WHERE p.id = s.process), \
                    s.generation, s.paused_at, s.paused_by, s.cursor, s.settled, s.ended_at, \
                    (SELECT COUNT(*) FROM redeliveries AS r WHERE r.handler = s.name \
                        AND r.shown = 1 AND r.state <> 'dead' AND (r.subscription = s.id \
                        OR (r.live = 1 AND s.kind = 'live'))), \
                    (SELECT COUNT(*) FROM redeliveries AS r WHERE r.handler = s.name \
                        AND r.shown = 1 AND r.state = 'dead' AND (r.subscription = s.id \
                        OR (r.live = 1 AND s.kind = 'live'))) \
             FROM subscription_rows AS s ORDER BY s.name, s.id",
        )?;
        let rows = statement.query_map([], |row| {
            let id = SubscriptionId(row.get(0)?);
            let paused = row.get::<_, Option<SqlTime>>(3)?;
            let by = row.get::<_, Option<String>>(4)?;
            Ok(SubscriptionState {
                id,
                versions: versions.remove(&id).unwrap_or_default(),
                process: row.get(1)?,
                generation: Generation(row.get(2)?),
                paused: paused.zip(by).map(|(at, by)| (at.0, by)),
                cursor: Seq(row.get(5)?),
                settled: Seq(row.get(6)?),
                claimed: 0,
                retrying: natural_at(row, 8)?,
                dead: natural_at(row, 9)?,
                again: 0,
                owed_after: Seq(row.get(6)?),
                ended_at: row.get::<_, Option<SqlTime>>(7)?.map(|at| at.0),
                hosts: hosts.remove(&id).unwrap_or_default(),
            })
        })?;
        let mut states = rows.collect::<Result<Vec<_>, _>>()?;
        // A row without a version cannot be judged; it is one that `db check` reports.
        states.retain(|state| !state.versions.is_empty());
        for state in &mut states {
            state.claimed = claimed(tx, state)?;
            self.follow_poller(state)?;
            follow_redeliveries(tx, state)?;
        }
        Ok(states)
    }
}

impl ListSubscriptions {
    /// A live subscription stands where its process's poller has read to.
    fn follow_poller(&self, state: &mut SubscriptionState) -> Result<(), Error> {
        if state.ended_at.is_none()
            && let Some(process) = state.process
            && let Some(seen) = self.presence.look(process)?
        {
            state.cursor = state.cursor.max(seen.polled_to);
            state.settled = state.cursor;
        }
        Ok(())
    }
}

fn versions(tx: &Tx<'_>) -> Result<BTreeMap<SubscriptionId, Vec<Version>>, Error> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT subscription, number, definition, valid_from, valid_to, created_at \
         FROM subscription_versions ORDER BY subscription, number",
    )?;
    let rows = statement.query_map([], |row| {
        let valid_to: i64 = row.get(4)?;
        let version = Version {
            number: row.get(1)?,
            definition: json(row, 2)?,
            valid_from: Seq(row.get(3)?),
            valid_to: (valid_to != i64::MAX).then_some(Seq(valid_to)),
            created_at: row.get::<_, SqlTime>(5)?.0,
        };
        Ok((SubscriptionId(row.get(0)?), version))
    })?;
    let mut found: BTreeMap<SubscriptionId, Vec<Version>> = BTreeMap::new();
    for row in rows {
        let (id, version) = row?;
        found.entry(id).or_default().push(version);
    }
    Ok(found)
}

/// What comes again without having failed, and from where on something of the log is owed.
fn follow_redeliveries(tx: &Tx<'_>, state: &mut SubscriptionState) -> Result<(), Error> {
    // One may be taken or has an owner, whatever it is; few are either, and both have an index.
    let sql = "WITH going AS ( \
                   SELECT * FROM redeliveries WHERE handler = ?2 AND due_us IS NOT NULL \
                   UNION ALL \
                   SELECT * FROM redeliveries WHERE owner IS NOT NULL AND due_us IS NULL \
                       AND handler = ?2) \
               SELECT COALESCE(SUM(r.failed = 0), 0), \
                      MIN(r.event_seq) FILTER (WHERE r.live = 0 AND r.why <> 'replay') \
               FROM going AS r WHERE r.state IN ('waiting', 'retrying', 'running') \
                 AND (r.subscription = ?1 OR (r.live = 1 AND ?3)) \
                 AND (r.failed = 1 OR r.event_seq IS NULL OR NOT EXISTS \
                     (SELECT 1 FROM deleted_events AS d WHERE d.seq = r.event_seq))";
    let live = state.current().kind == Kind::Live;
    let (again, oldest) = tx
        .conn
        .prepare_cached(sql)?
        .query_row(params![state.id.0, state.current().name, live], |row| {
            Ok((natural_at(row, 0)?, row.get::<_, Option<i64>>(1)?))
        })?;
    state.again = again;
    let before = oldest.map_or(state.settled, |seq| Seq(seq - 1));
    state.owed_after = state.settled.min(before);
    Ok(())
}

/// How many of its deliveries are claimed and not settled: matching events of its open claims.
fn claimed(tx: &Tx<'_>, state: &SubscriptionState) -> Result<u64, Error> {
    use crate::store::sqlite::verbs::deliveries::open_claims_of;
    let mut sum = 0;
    for claim in open_claims_of(tx, state.id, state.generation)? {
        if claim.owner.is_some() {
            sum += claim.unsettled(tx)?;
        }
    }
    Ok(sum)
}
