//! Times in which alerts are raised but not sent.

use rusqlite::{OptionalExtension, Row, params};
use serde_json::json;

use super::act::take_back;
use crate::clock::Time;
use crate::store::Error;
use crate::store::log::IDEMPOTENCY_WINDOW;
use crate::store::pages::Bells;
use crate::store::sqlite::verb::{Plain, Question, Tx, Verb};
use crate::store::sqlite::verbs::record::{About, act};
use crate::store::watching::Silence;

/// See [`crate::store::Watching::silence`].
pub(super) struct BeginSilence {
    pub(super) silence: Silence,
}

impl Plain for BeginSilence {}
impl Plain for Silence {}

impl Verb for BeginSilence {
    type Answer = i64;

    fn run(self, tx: &Tx<'_>) -> Result<i64, Error> {
        let silence = self.silence;
        tx.conn
            .prepare_cached("DELETE FROM alert_silences WHERE until_us <= ?1")?
            .execute([tx.now.before(IDEMPOTENCY_WINDOW).0])?;
        tx.conn
            .prepare_cached(
                "INSERT INTO alert_silences (rule, part, until_us, made_us, made_by, why)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                silence.rule,
                silence.group,
                silence.until.0,
                tx.now.0,
                silence.by,
                silence.why
            ])?;
        let id = tx.conn.last_insert_rowid();
        let mut statement = tx.conn.prepare_cached(
            "SELECT DISTINCT a.id, a.rule, a.part
             FROM alert_sends AS s JOIN alerts AS a ON a.id = s.alert WHERE s.state = 'due'",
        )?;
        let waiting: Vec<(i64, String, String)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (alert, rule, part) in waiting {
            if silence.covers(&rule, &part, tx.now) {
                take_back(tx, alert, "silenced")?;
            }
        }
        let evidence = json!({
            "silence": id, "rule": silence.rule, "group": silence.group,
            "until_us": silence.until.0, "why": silence.why,
        });
        act(
            tx,
            "alerts.silence",
            &silence.by,
            About::default(),
            &evidence,
        )?;
        Ok(id)
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}

/// See [`crate::store::Watching::unsilence`].
pub(super) struct EndSilence {
    pub(super) id: i64,
    pub(super) by: String,
}

impl Plain for EndSilence {}

impl Verb for EndSilence {
    type Answer = bool;

    fn run(self, tx: &Tx<'_>) -> Result<bool, Error> {
        let ended = tx
            .conn
            .prepare_cached(
                "UPDATE alert_silences SET until_us = ?2 WHERE id = ?1 AND until_us > ?2",
            )?
            .execute(params![self.id, tx.now.0])?;
        if ended > 0 {
            let evidence = json!({ "silence": self.id });
            act(
                tx,
                "alerts.unsilence",
                &self.by,
                About::default(),
                &evidence,
            )?;
        }
        Ok(ended > 0)
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}

/// See [`crate::store::Watching::silences`].
pub(super) struct Silences;

impl Plain for Silences {}

impl Question for Silences {
    type Answer = Vec<Silence>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<Silence>, Error> {
        let mut statement = tx.conn.prepare_cached(
            "SELECT id, rule, part, until_us, made_us, made_by, why
             FROM alert_silences WHERE until_us > ?1 ORDER BY id",
        )?;
        let silences = statement
            .query_map([tx.now.0], from_row)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(silences)
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Silence> {
    Ok(Silence {
        id: row.get(0)?,
        rule: row.get(1)?,
        group: row.get(2)?,
        until: Time(row.get(3)?),
        made_at: Time(row.get(4)?),
        by: row.get(5)?,
        why: row.get(6)?,
    })
}

/// The oldest silence that covers a new alert of this rule and group.
pub(super) fn covering(tx: &Tx<'_>, rule: &str, part: &str) -> Result<Option<i64>, Error> {
    let found = tx
        .conn
        .prepare_cached(
            "SELECT id FROM alert_silences
             WHERE until_us > ?1 AND (rule IS NULL OR rule = ?2) AND (part IS NULL OR part = ?3)
             ORDER BY id LIMIT 1",
        )?
        .query_row(params![tx.now.0, rule, part], |row| row.get(0))
        .optional()?;
    Ok(found)
}
