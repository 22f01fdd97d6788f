//! What operators do to alerts.

use rusqlite::params;
use serde_json::json;

use super::keep::end;
use crate::store::Error;
use crate::store::pages::Bells;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::record::{About, act};
use crate::store::watching::{AlertAct, AlertId};

/// See [`crate::store::Watching::act_on_alerts`].
pub(super) struct ActOnAlerts {
    pub(super) ids: Vec<AlertId>,
    pub(super) act: AlertAct,
    pub(super) by: String,
}

impl Plain for ActOnAlerts {}

impl Verb for ActOnAlerts {
    type Answer = Vec<AlertId>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<AlertId>, Error> {
        let mut changed = Vec::new();
        for id in self.ids {
            if change(tx, id, self.act, &self.by)? {
                act(
                    tx,
                    self.act.as_str(),
                    &self.by,
                    About::default(),
                    &json!({ "alert": id }),
                )?;
                changed.push(id);
            }
        }
        Ok(changed)
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}

fn change(tx: &Tx<'_>, id: AlertId, act: AlertAct, by: &str) -> Result<bool, Error> {
    match act {
        AlertAct::Ack => {
            let acked = tx
                .conn
                .prepare_cached(
                    "UPDATE alerts SET state = 'acked', acked_us = ?2, acked_by = ?3
                     WHERE id = ?1 AND state = 'open'",
                )?
                .execute(params![id.0, tx.now.0, by])?;
            Ok(acked > 0)
        }
        AlertAct::Resolve => {
            let stands: bool = tx
                .conn
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM alerts WHERE id = ?1 AND state <> 'resolved')",
                )?
                .query_row([id.0], |row| row.get(0))?;
            if stands {
                end(tx, id.0, by)?;
                take_back(tx, id.0, "resolved")?;
            }
            Ok(stands)
        }
    }
}

/// What was not sent of an alert will not be.
pub(super) fn take_back(tx: &Tx<'_>, alert: i64, state: &str) -> Result<(), Error> {
    tx.conn
        .prepare_cached("UPDATE alert_sends SET state = ?2 WHERE alert = ?1 AND state = 'due'")?
        .execute(params![alert, state])?;
    Ok(())
}
