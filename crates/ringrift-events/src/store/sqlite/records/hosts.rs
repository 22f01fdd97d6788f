//! Which process hosted what, under which policy.

use rusqlite::{Row, params};

use super::{counted, process_of, stored};
use crate::clock::Time;
use crate::store::Error;
use crate::store::pages::{Bells, Seen};
use crate::store::records::{Ends, HostRecord, PolicyInForce};
use crate::store::sqlite::verb::{Plain, Question, Tx, Verb};
use crate::store::subscriptions::SubscriptionId;

/// Keeps under which policies this process hosts subscriptions, and how their runs ended.
pub(crate) struct KeepHosts {
    /// Which.
    pub(crate) hosts: Vec<HostRecord>,
}

impl Plain for KeepHosts {}
impl Plain for HostRecord {}

impl Verb for KeepHosts {
    type Answer = ();

    fn run(self, tx: &Tx<'_>) -> Result<(), Error> {
        let mut statement = tx.conn.prepare_cached(
            "INSERT INTO host_records (process, subscription, policy, since_us, until_us, done,
                 failed, skipped, duplicates)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (process, subscription) DO UPDATE SET policy = excluded.policy,
                 since_us = min(since_us, excluded.since_us), until_us = excluded.until_us,
                 done = excluded.done, failed = excluded.failed, skipped = excluded.skipped,
                 duplicates = excluded.duplicates",
        )?;
        for host in self.hosts {
            let policy = serde_json::to_string(&host.policy).unwrap_or_default();
            statement.execute(params![
                tx.process_row,
                host.subscription.0,
                policy,
                host.since.0,
                host.until.map(|at| at.0),
                stored(host.ends.done),
                stored(host.ends.failed),
                stored(host.ends.skipped),
                stored(host.ends.duplicates),
            ])?;
        }
        Ok(())
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}

/// Ends the records of a process that is gone, with what its page said last.
pub(crate) fn end_host_records(
    tx: &Tx<'_>,
    process: i64,
    seen: Option<&Seen>,
) -> Result<(), Error> {
    tx.conn
        .prepare_cached(
            "UPDATE host_records SET until_us = ?2 WHERE process = ?1 AND until_us IS NULL",
        )?
        .execute([process, tx.now.0])?;
    let mut statement = tx.conn.prepare_cached(
        "UPDATE host_records SET done = max(done, ?3), failed = max(failed, ?4),
             skipped = max(skipped, ?5), duplicates = max(duplicates, ?6)
         WHERE process = ?1 AND subscription = ?2",
    )?;
    for host in seen.into_iter().flat_map(|seen| &seen.hosts) {
        let Ends {
            done,
            failed,
            skipped,
            duplicates,
        } = host.ends;
        statement.execute(params![
            process,
            host.subscription.0,
            stored(done),
            stored(failed),
            stored(skipped),
            stored(duplicates),
        ])?;
    }
    Ok(())
}

/// Asks which processes host or hosted what.
pub(crate) struct AskHostRecords;

impl Plain for AskHostRecords {}

impl Question for AskHostRecords {
    type Answer = Vec<HostRecord>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<HostRecord>, Error> {
        let mut statement = tx.conn.prepare_cached(
            "SELECT p.process_id, h.subscription, h.policy, h.since_us, h.until_us, h.done,
                 h.failed, h.skipped, h.duplicates
             FROM host_records AS h LEFT JOIN processes AS p ON p.id = h.process
             ORDER BY p.process_id, h.subscription",
        )?;
        let rows = statement.query_map([], from_row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<HostRecord> {
    let policy: Option<PolicyInForce> = serde_json::from_str(row.get_ref(2)?.as_str()?).ok();
    Ok(HostRecord {
        process: process_of(row.get(0)?),
        subscription: SubscriptionId(row.get(1)?),
        // A newer version's policy may not be readable: the rest still tells.
        policy: policy.unwrap_or_default(),
        since: Time(row.get(3)?),
        until: row.get::<_, Option<i64>>(4)?.map(Time),
        ends: Ends {
            done: counted(row.get(5)?),
            failed: counted(row.get(6)?),
            skipped: counted(row.get(7)?),
            duplicates: counted(row.get(8)?),
        },
    })
}
