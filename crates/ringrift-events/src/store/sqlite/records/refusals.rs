//! Refused publishes and subscribes, counted by name.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{counted, process_of, stored};
use crate::clock::Time;
use crate::store::Error;
use crate::store::pages::Bells;
use crate::store::records::{REFUSALS_MAX, Refusal};
use crate::store::sqlite::verb::{Plain, Question, Tx, Verb};

/// Adds to this process's refusals.
pub(crate) struct KeepRefusals {
    /// Which.
    pub(crate) refusals: Vec<Refusal>,
}

impl Plain for KeepRefusals {}
impl Plain for Refusal {}

impl Verb for KeepRefusals {
    type Answer = ();

    fn run(self, tx: &Tx<'_>) -> Result<(), Error> {
        let mut kept: i64 = tx
            .conn
            .prepare_cached("SELECT COUNT(*) FROM refusals WHERE process = ?1")?
            .query_row([tx.process_row], |row| row.get(0))?;
        let mut known = tx.conn.prepare_cached(
            "SELECT 1 FROM refusals WHERE process = ?1 AND verb = ?2 AND name = ?3 AND code = ?4
               AND subscription = ?5",
        )?;
        let mut add = tx.conn.prepare_cached(
            "INSERT INTO refusals (process, verb, name, code, subscription, nearest, call_site,
                 events, first_us, last_us)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (process, verb, name, code, subscription) DO UPDATE SET
                 events = events + excluded.events, nearest = excluded.nearest,
                 call_site = coalesce(excluded.call_site, call_site),
                 last_us = max(last_us, excluded.last_us)",
        )?;
        for mut refusal in self.refusals {
            let of = &refusal;
            let stands = known
                .query_row(
                    params![tx.process_row, of.verb, of.name, of.code, of.subscription],
                    |_| Ok(()),
                )
                .optional()?;
            if stands.is_none() {
                if kept >= stored(REFUSALS_MAX as u64) {
                    refusal.name.clear();
                    refusal.subscription.clear();
                    refusal.nearest = None;
                }
                kept += 1;
            }
            add.execute(params![
                tx.process_row,
                refusal.verb,
                refusal.name,
                refusal.code,
                refusal.subscription,
                refusal.nearest,
                refusal.call_site,
                stored(refusal.count),
                refusal.first_at.0,
                refusal.last_at.0,
            ])?;
        }
        Ok(())
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}

/// Asks for every process's refusals, the last first.
pub(crate) struct AskRefusals;

impl Plain for AskRefusals {}

impl Question for AskRefusals {
    type Answer = Vec<Refusal>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<Refusal>, Error> {
        let mut statement = tx.conn.prepare_cached(
            "SELECT p.process_id, r.verb, r.name, r.code, r.subscription, r.nearest, r.call_site,
                 r.events, r.first_us, r.last_us
             FROM refusals AS r LEFT JOIN processes AS p ON p.id = r.process
             ORDER BY r.last_us DESC, r.name",
        )?;
        let rows = statement.query_map([], from_row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Refusal> {
    Ok(Refusal {
        process: process_of(row.get(0)?),
        verb: row.get(1)?,
        name: row.get(2)?,
        code: row.get(3)?,
        subscription: row.get(4)?,
        nearest: row.get(5)?,
        call_site: row.get(6)?,
        count: counted(row.get(7)?),
        first_at: Time(row.get(8)?),
        last_at: Time(row.get(9)?),
    })
}
