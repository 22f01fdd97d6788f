//! Removes a durable subscription: what it owed ends with a verdict.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::params;

use super::hosts::live_hosts;
use crate::coded::quoted;
use crate::event::Seq;
use crate::store::sqlite::presence::Presence;
use crate::store::sqlite::verb::{Plain, Question, Tx, Verb};
use crate::store::sqlite::verbs::ending::{UNFINISHED, end_open_work, record_ended_redeliveries};
use crate::store::sqlite::verbs::head::log_end;
use crate::store::sqlite::verbs::positions::{
    Standing, count_matching, durable, natural, segments,
};
use crate::store::sqlite::verbs::record::{About, verdict_by};
use crate::store::subscriptions::SubscriptionId;
use crate::store::{Error, ErrorCode};
use crate::verdict::Code;

/// See [`crate::store::Subscriptions::remove`]. As a question it says what it would do.
pub(crate) struct Remove {
    pub(crate) id: SubscriptionId,
    pub(crate) by: String,
    /// Knows who lives.
    pub(crate) presence: Arc<Presence>,
}

impl Plain for Remove {}

impl Question for Remove {
    type Answer = u64;

    fn run(self, tx: &Tx<'_>) -> Result<u64, Error> {
        let standing = self.checked(tx)?;
        owed(tx, &standing)
    }
}

impl Verb for Remove {
    type Answer = u64;

    fn run(self, tx: &Tx<'_>) -> Result<u64, Error> {
        let standing = self.checked(tx)?;
        let owed = owed(tx, &standing)?;
        let states = format!("{UNFINISHED}, 'dead'");
        let by = (self.by.as_str(), "subs.rm");
        let code = Code::StSubscriptionRemoved;
        record_ended_redeliveries(tx, &standing, i64::MAX, code, Some(by))?;
        let letters = end_open_work(tx, &standing, &states, "discarded")?;
        let now = tx.now.to_sql();
        for sql in [
            "DELETE FROM subscription_types WHERE subscription = ?1",
            "DELETE FROM hosts WHERE subscription = ?1",
            "DELETE FROM dedup_keys WHERE subscription = ?1",
        ] {
            tx.conn.prepare_cached(sql)?.execute([self.id.0])?;
        }
        tx.conn
            .prepare_cached(
                "UPDATE generations SET settled = ?3, ended_at = ?4 \
                 WHERE subscription = ?1 AND generation = ?2",
            )?
            .execute(params![
                self.id.0,
                standing.generation,
                standing.settled,
                now
            ])?;
        tx.conn
            .prepare_cached("UPDATE subscription_rows SET ended_at = ?2 WHERE id = ?1")?
            .execute(params![self.id.0, now])?;
        let about = About {
            seq: Some(Seq(standing.settled + 1)),
            seq_to: Some(Seq(log_end(tx.conn)?)),
            subscription: Some(self.id),
            ..About::default()
        };
        let evidence = serde_json::json!({
            "name": standing.name, "owed": owed, "letters_discarded": letters
        });
        verdict_by(tx, code, by, about, &evidence)?;
        Ok(owed)
    }
}

impl Remove {
    fn checked(&self, tx: &Tx<'_>) -> Result<Standing, Error> {
        let standing = durable(tx, self.id, "remove")?;
        let refuse = |why: &str| {
            Error::new(
                ErrorCode::WrongState,
                format!("cannot remove {}: {why}", standing.name),
            )
            .with_next(format!("ringrift subs show {}", quoted(&standing.name)))
        };
        if standing.ended {
            return Err(refuse("it was removed before"));
        }
        let hosts = live_hosts(tx, &self.presence, Some(self.id))?;
        let mut hosts = hosts.get(&self.id).into_iter().flat_map(BTreeMap::keys);
        if let Some(host) = hosts.next() {
            return Err(refuse(&format!("process {host} hosts it")));
        }
        Ok(standing)
    }
}

/// Deliveries it owes: what is not settled, and what waits for another run.
fn owed(tx: &Tx<'_>, standing: &Standing) -> Result<u64, Error> {
    let versions = segments(tx, standing.id)?;
    let range = (standing.settled, log_end(tx.conn)?);
    let of = Some((standing.id, standing.generation));
    let unsettled = count_matching(tx, &versions, range, of)?;
    let sql = format!(
        "SELECT COUNT(*) FROM redeliveries WHERE subscription = ?1 AND generation = ?2 \
         AND live = 0 AND state IN ({UNFINISHED})"
    );
    let again: u64 = tx
        .conn
        .prepare_cached(&sql)?
        .query_row([standing.id.0, standing.generation], natural)?;
    Ok(unsettled + again)
}
