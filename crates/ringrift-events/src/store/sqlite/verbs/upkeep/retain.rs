//! Deletes what retention lets go, a bounded number of rows a transaction.

use std::time::Duration;

use rusqlite::{OptionalExtension as _, params};

use crate::event::Seq;
use crate::store::Error;
use crate::store::pages::Bells;
use crate::store::sqlite::room::bytes_in_use;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::ending::{UNFINISHED, end_open_work, record_ended_redeliveries};
use crate::store::sqlite::verbs::head::log_end;
use crate::store::sqlite::verbs::positions::{
    Standing, before_oldest, count_matching, durable, segments, set_cursor,
};
use crate::store::sqlite::verbs::record::{About, verdict};
use crate::store::subscriptions::SubscriptionId;
use crate::store::upkeep::{SweepRules, Swept};
use crate::verdict::Code;

/// Most events looked at in one step: owed ones in between cost time, not rows.
const LOOKED_AT_MAX: i64 = 50_000;

/// Most dedup keys kept: expired ones go first.
const DEDUP_KEYS_MAX: i64 = 1_000_000;

/// Settled claims older than this are merged whoever held them.
const MERGE_AFTER: Duration = Duration::from_secs(60 * 60);

/// No delivery of any durable subscription is owed of `events AS e`: as the public view judges it.
const NOT_OWED: &str = "NOT EXISTS (SELECT 1 FROM subscription_types AS t \
     CROSS JOIN subscription_rows AS s ON s.id = t.subscription \
     WHERE t.event_type IN (e.event_type, '*') AND t.valid_from <= e.seq AND e.seq < t.valid_to \
       AND s.settled < e.seq)";

/// No redelivery may still need the event; one that was ended by hand may be restored.
const NOT_NEEDED: &str = "NOT EXISTS (SELECT 1 FROM redeliveries AS r WHERE r.event_seq = e.seq \
     AND r.event_seq IS NOT NULL AND r.state NOT IN ('done', 'recovered', 'expired'))";

/// See [`crate::store::Upkeep::retain`]. One step.
pub(crate) struct Retain {
    pub(crate) rules: SweepRules,
    /// Where the last step stopped looking for settled events.
    pub(crate) from: Seq,
}

impl Plain for Retain {}

impl Verb for Retain {
    /// What was done, and where the next step begins to look.
    type Answer = (Swept, Seq);

    fn run(self, tx: &Tx<'_>) -> Result<(Swept, Seq), Error> {
        let mut step = Step {
            rules: &self.rules,
            left: i64::try_from(self.rules.rows_max).unwrap_or(i64::MAX),
            swept: Swept::default(),
        };
        step.lapse_orphans(tx)?;
        step.bury_orphaned_letters(tx)?;
        step.forget_deleted(tx)?;
        let next = step.delete_events(tx, self.from.0)?;
        step.forget_ended(tx)?;
        step.forget_facts(tx)?;
        step.forget_keys(tx)?;
        step.merge_ledger(tx)?;
        step.swept.more = step.left <= 0 || next > 0;
        Ok((step.swept, Seq(next)))
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}

struct Step<'a> {
    rules: &'a SweepRules,
    /// Rows that this transaction may still delete.
    left: i64,
    swept: Swept,
}

impl Step<'_> {
    /// Runs a delete whose last parameter is its limit; counts what went.
    fn delete(&mut self, tx: &Tx<'_>, sql: &str, cutoff: i64) -> Result<u64, Error> {
        if self.left <= 0 {
            return Ok(0);
        }
        let gone = tx.conn.prepare_cached(sql)?.execute([cutoff, self.left])?;
        self.left -= i64::try_from(gone).unwrap_or(i64::MAX);
        Ok(gone as u64)
    }

    /// A durable subscription that nobody has hosted for too long loses its work, with a verdict.
    fn lapse_orphans(&mut self, tx: &Tx<'_>) -> Result<(), Error> {
        let cutoff = tx.now.before(self.rules.keep_orphaned).to_sql();
        let mut statement = tx.conn.prepare_cached(
            "SELECT id FROM subscription_rows WHERE kind = 'durable' AND ended_at IS NULL \
             AND unhosted_at < ?1",
        )?;
        let rows = statement.query_map([cutoff], |row| row.get(0))?;
        for id in rows.collect::<Result<Vec<i64>, _>>()? {
            let standing = durable(tx, SubscriptionId(id), "expire")?;
            self.swept.expired += lapse(tx, &standing)?;
        }
        Ok(())
    }

    /// A live handler's letter that no process hosts any more waits for an operator.
    fn bury_orphaned_letters(&mut self, tx: &Tx<'_>) -> Result<(), Error> {
        let cutoff = tx.now.before(self.rules.keep_orphaned_letters);
        let buried = tx
            .conn
            .prepare_cached(
                "UPDATE redeliveries SET state = 'dead', due_us = NULL, next_retry_at = NULL \
                 WHERE live = 1 AND state = 'retrying' AND due_us < ?1 AND due_us IS NOT NULL \
                   AND NOT EXISTS (SELECT 1 FROM subscription_rows AS s WHERE s.kind = 'live' \
                       AND s.ended_at IS NULL AND s.name = redeliveries.handler)",
            )?
            .execute([cutoff.0])?;
        if buried > 0 {
            let evidence = serde_json::json!({
                "letters": buried, "reason": "no process hosts their handler any more"
            });
            verdict(tx, Code::StDead, About::default(), &evidence)?;
        }
        Ok(())
    }

    /// Deleted events that can no longer be restored.
    fn forget_deleted(&mut self, tx: &Tx<'_>) -> Result<(), Error> {
        let cutoff = tx.now.before(self.rules.keep_deleted).to_sql();
        // Millions may be deleted and young: they are not looked at.
        let old: bool = tx
            .conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM deletions WHERE at < ?1)")?
            .query_row([&cutoff], |row| row.get(0))?;
        if !old {
            return Ok(());
        }
        let mut statement = tx.conn.prepare_cached(
            "SELECT d.seq FROM deleted_events AS d JOIN deletions AS x ON x.id = d.deletion \
             WHERE x.at < ?1 ORDER BY d.seq LIMIT ?2",
        )?;
        let rows = statement.query_map(params![cutoff, self.left], |row| row.get(0))?;
        let places = rows.collect::<Result<Vec<i64>, _>>()?;
        let (Some(first), Some(last)) = (places.first(), places.last()) else {
            return self.forget_deletions(tx);
        };
        for seq in &places {
            tx.conn
                .prepare_cached("DELETE FROM events WHERE seq = ?1")?
                .execute([seq])?;
            tx.conn
                .prepare_cached(
                    "UPDATE redeliveries SET state = 'expired', due_us = NULL, ended_us = ?2 \
                     WHERE event_seq = ?1 AND failed = 0 AND state = 'waiting'",
                )?
                .execute([*seq, tx.now.0])?;
            tx.conn
                .prepare_cached("DELETE FROM deleted_events WHERE seq = ?1")?
                .execute([seq])?;
        }
        let about = About {
            seq: Some(Seq(*first)),
            seq_to: Some(Seq(*last)),
            ..About::default()
        };
        let evidence = serde_json::json!({ "events": places.len(), "reason": "not restored" });
        verdict(tx, Code::StPurged, about, &evidence)?;
        self.count_events(places.len());
        Ok(())
    }

    fn forget_deletions(&self, tx: &Tx<'_>) -> Result<(), Error> {
        // An open one that is old takes no more rows.
        tx.conn
            .prepare_cached("UPDATE deletions SET open = 0 WHERE open = 1 AND at < ?1")?
            .execute([tx.now.before(self.rules.keep_deleted).to_sql()])?;
        let gone = "(SELECT id FROM deletions WHERE open = 0 AND id NOT IN \
                    (SELECT deletion FROM deleted_events))";
        for table in ["deletion_positions", "deletion_claims"] {
            let sql = format!("DELETE FROM {table} WHERE deletion IN {gone}");
            tx.conn.prepare_cached(&sql)?.execute([])?;
        }
        let sql = format!("DELETE FROM deletions WHERE id IN {gone}");
        tx.conn.prepare_cached(&sql)?.execute([])?;
        Ok(())
    }

    fn count_events(&mut self, gone: usize) {
        self.left -= i64::try_from(gone).unwrap_or(i64::MAX);
        self.swept.events_deleted += gone as u64;
    }

    /// Events that everybody settled go: long ago, or, while the log is above its bound, the oldest
    /// whatever their age (but none that no poller has passed). Looks at a bounded part of the log; answers where the next step goes on,
    /// 0 at the end.
    fn delete_events(&mut self, tx: &Tx<'_>, from: i64) -> Result<i64, Error> {
        let above = self.above_bound(tx)?;
        let cutoff = match above {
            Some(_) => tx.now,
            None => tx.now.before(self.rules.keep_settled),
        };
        let most = above.unwrap_or(i64::MAX).min(self.left);
        let end: Option<(i64, String)> = tx
            .conn
            .prepare_cached(
                "SELECT e.seq, e.created_at FROM events AS e WHERE e.seq = (SELECT MAX(seq) \
                 FROM (SELECT seq FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2))",
            )?
            .query_row([from, LOOKED_AT_MAX], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((to, youngest)) = end.filter(|_| most > 0) else {
            return Ok(0);
        };
        let sql = format!(
            "DELETE FROM events WHERE seq IN (SELECT e.seq FROM events AS e \
             WHERE e.seq > ?1 AND e.seq <= ?2 AND +e.created_at < ?3 AND {NOT_OWED} \
             AND {NOT_NEEDED} \
             AND NOT EXISTS (SELECT 1 FROM deleted_events AS d WHERE d.seq = e.seq) \
             AND (?5 OR e.seq <= (SELECT seq FROM poll_mark)) ORDER BY e.seq LIMIT ?4)"
        );
        let cutoff = cutoff.to_sql();
        let gone = tx.conn.prepare_cached(&sql)?.execute(params![
            from,
            to,
            cutoff,
            most,
            above.is_none()
        ])?;
        self.count_events(gone);
        let full = i64::try_from(gone).unwrap_or(i64::MAX) >= most;
        Ok(match (full, youngest < cutoff && to < log_end(tx.conn)?) {
            (true, _) => from,
            (false, true) => to,
            (false, false) => 0,
        })
    }

    /// How many events are to go because the log is above a bound.
    fn above_bound(&self, tx: &Tx<'_>) -> Result<Option<i64>, Error> {
        let events = log_end(tx.conn)?.saturating_sub(before_oldest(tx)?);
        let bound = |most: u64| i64::try_from(most).unwrap_or(i64::MAX);
        let events = events.saturating_sub(bound(self.rules.log_events_max));
        if bytes_in_use(tx.conn)? > bound(self.rules.log_bytes_max) {
            return Ok(Some(self.left));
        }
        Ok((events > 0).then_some(events))
    }

    /// Redeliveries that ended, and the ledger of events that are gone. A row whose place is not
    /// settled yet stays: it says that the delivery left its claim.
    fn forget_ended(&mut self, tx: &Tx<'_>) -> Result<(), Error> {
        let passed = "NOT EXISTS (SELECT 1 FROM subscription_rows AS s \
             WHERE s.id = r.subscription AND s.generation = r.generation \
               AND s.ended_at IS NULL AND r.live = 0 AND s.settled < r.event_seq)";
        let (keep_settled, keep_deleted) = (self.rules.keep_settled, self.rules.keep_deleted);
        let mut ended = |states: &str, keep: Duration| {
            let sql = format!(
                "DELETE FROM redeliveries WHERE id IN (SELECT r.id FROM redeliveries AS r \
                 WHERE r.ended_us IS NOT NULL AND r.ended_us < ?1 AND r.state IN ({states}) \
                   AND {passed} ORDER BY r.ended_us LIMIT ?2)"
            );
            self.delete(tx, &sql, tx.now.before(keep).0)
        };
        ended("'done', 'recovered', 'expired'", keep_settled)?;
        ended("'discarded', 'purged'", keep_deleted)?;
        let oldest = before_oldest(tx)?;
        self.delete(
            tx,
            "DELETE FROM claims WHERE id IN (SELECT id FROM claims \
             WHERE settled_us IS NOT NULL AND last_seq <= ?1 \
               AND id < (SELECT MAX(id) FROM claims) LIMIT ?2)",
            oldest,
        )?;
        Ok(())
    }

    /// Facts are kept in time order: the oldest go until one is young enough.
    fn forget_facts(&mut self, tx: &Tx<'_>) -> Result<(), Error> {
        let cutoff = tx.now.before(self.rules.keep_facts);
        let oldest: Option<i64> = tx
            .conn
            .prepare_cached("SELECT at_us FROM facts ORDER BY id LIMIT 1")?
            .query_row([], |row| row.get(0))
            .optional()?;
        if oldest.is_some_and(|at| at < cutoff.0) {
            self.delete(
                tx,
                "DELETE FROM facts WHERE id IN (SELECT id FROM facts WHERE at_us < ?1 \
                 ORDER BY id LIMIT ?2)",
                cutoff.0,
            )?;
        }
        Ok(())
    }

    fn forget_keys(&mut self, tx: &Tx<'_>) -> Result<(), Error> {
        self.delete(
            tx,
            "DELETE FROM dedup_keys WHERE (subscription, key) IN (SELECT subscription, key \
             FROM dedup_keys WHERE forget_us < ?1 AND owner IS NULL LIMIT ?2)",
            tx.now.0,
        )?;
        let kept: i64 = tx
            .conn
            .prepare_cached("SELECT COUNT(*) FROM dedup_keys")?
            .query_row([], |row| row.get(0))?;
        if kept > DEDUP_KEYS_MAX {
            // Those whose end is nearest: expired ones come before all others.
            let gone = self.delete(
                tx,
                "DELETE FROM dedup_keys WHERE (subscription, key) IN (SELECT subscription, key \
                 FROM dedup_keys WHERE owner IS NULL AND ?1 = ?1 ORDER BY ends_us LIMIT ?2)",
                kept - DEDUP_KEYS_MAX,
            )?;
            let evidence = serde_json::json!({ "keys": gone, "bound": DEDUP_KEYS_MAX });
            verdict(tx, Code::HnNoRecord, About::default(), &evidence)?;
        }
        Ok(())
    }

    /// Merges each old settled claim with the one before it, whoever held them: who handled an
    /// event long ago is in the verdicts if it was not plain.
    fn merge_ledger(&mut self, tx: &Tx<'_>) -> Result<(), Error> {
        let cutoff = tx.now.before(MERGE_AFTER).0;
        let mut statement = tx.conn.prepare_cached(
            "SELECT b.id, a.id, b.first_seq FROM claims AS a JOIN claims AS b \
               ON b.id = (SELECT c.id FROM claims AS c WHERE c.subscription = a.subscription \
                   AND c.generation = a.generation AND c.settled_us IS NOT NULL \
                   AND c.last_seq < a.first_seq ORDER BY c.last_seq DESC LIMIT 1) \
             WHERE a.settled_us < ?1 AND a.settled_us IS NOT NULL AND b.settled_us < ?1 \
               AND b.id < (SELECT MAX(id) FROM claims) \
               AND a.last_seq - b.first_seq <= 1000000 \
               AND NOT EXISTS (SELECT 1 FROM claims AS o WHERE o.subscription = a.subscription \
                   AND o.generation = a.generation AND o.settled_us IS NULL \
                   AND o.first_seq < a.first_seq AND o.last_seq > b.first_seq) \
             ORDER BY a.last_seq DESC LIMIT ?2",
        )?;
        let rows = statement.query_map([cutoff, self.left.clamp(0, 1_000)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        let pairs = rows.collect::<Result<Vec<(i64, i64, i64)>, _>>()?;
        for (below, above, first) in pairs {
            let merged = tx
                .conn
                .prepare_cached(
                    "UPDATE claims SET owner = CASE WHEN owner IS (SELECT owner FROM claims \
                     WHERE id = ?1) THEN owner ELSE NULL END, first_seq = ?3, \
                       done = done + (SELECT done FROM claims WHERE id = ?1) WHERE id = ?2 \
                     AND EXISTS (SELECT 1 FROM claims WHERE id = ?1 AND first_seq = ?3)",
                )?
                .execute([below, above, first])?;
            // One that was just merged into its own neighbour has its turn in the next step.
            if merged == 1 {
                tx.conn
                    .prepare_cached("DELETE FROM claims WHERE id = ?1")?
                    .execute([below])?;
                self.left -= 1;
            }
        }
        Ok(())
    }
}

/// Ends what an orphaned subscription owes. Answers how many deliveries that were.
fn lapse(tx: &Tx<'_>, standing: &Standing) -> Result<u64, Error> {
    let versions = segments(tx, standing.id)?;
    let head = log_end(tx.conn)?;
    let of = Some((standing.id, standing.generation));
    let unsettled = count_matching(tx, &versions, (standing.settled, head), of)?;
    record_ended_redeliveries(tx, standing, i64::MAX, Code::StExpired, None)?;
    let again = end_open_work(tx, standing, UNFINISHED, "expired")?;
    if unsettled + again == 0 {
        return Ok(0);
    }
    tx.conn
        .prepare_cached(
            "INSERT INTO lapses (subscription, generation, after, last_seq, at) \
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET last_seq = excluded.last_seq",
        )?
        .execute(params![
            standing.id.0,
            standing.generation,
            standing.settled,
            head,
            tx.now.to_sql()
        ])?;
    set_cursor(tx, standing.id, head)?;
    let about = About {
        seq: Some(Seq(standing.settled + 1)),
        seq_to: Some(Seq(head)),
        subscription: Some(standing.id),
        ..About::default()
    };
    let evidence = serde_json::json!({
        "name": standing.name, "deliveries": unsettled + again, "reason": "no process hosts it"
    });
    verdict(tx, Code::StExpired, about, &evidence)?;
    Ok(unsettled + again)
}
