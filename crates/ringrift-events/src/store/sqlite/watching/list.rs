//! Alerts as they stand.

use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

use crate::clock::Time;
use crate::event::Seq;
use crate::store::Error;
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::watching::{
    ALERTS_READ_MAX, Alert, AlertFilter, AlertId, AlertState, SendState, Severity,
};

/// The columns that [`from_row`] reads.
pub(super) const COLUMNS: &str = "a.id, a.rule, a.part, a.severity, a.state, a.summary, \
    a.evidence, a.event, a.seq, a.last_event, a.occurrences, a.opened_us, a.last_us, a.acked_us, \
    a.acked_by, a.resolved_us, a.resolved_by, a.silenced_by";

/// How many columns those are.
pub(super) const COLUMN_COUNT: usize = 18;

/// See [`crate::store::Watching::alerts`].
pub(super) struct Alerts {
    pub(super) filter: AlertFilter,
}

impl Plain for Alerts {}
impl Plain for Alert {}

impl Question for Alerts {
    type Answer = Vec<Alert>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<Alert>, Error> {
        let (conditions, values) = conditions(&self.filter);
        let sql = format!(
            "SELECT {COLUMNS} FROM alerts AS a WHERE {conditions} ORDER BY a.id DESC LIMIT {}",
            self.filter.limit.min(ALERTS_READ_MAX)
        );
        let mut statement = tx.conn.prepare_cached(&sql)?;
        let mut alerts: Vec<Alert> = statement
            .query_map(params_from_iter(values), from_row)?
            .collect::<rusqlite::Result<_>>()?;
        for alert in &mut alerts {
            alert.sends = sends(tx, alert.id)?;
        }
        Ok(alerts)
    }
}

fn conditions(filter: &AlertFilter) -> (String, Vec<Value>) {
    let mut conditions = vec!["1".to_owned()];
    let mut values = Vec::new();
    if !filter.ids.is_empty() {
        conditions.push(format!(
            "a.id IN ({})",
            vec!["?"; filter.ids.len()].join(", ")
        ));
        values.extend(filter.ids.iter().map(|id| Value::Integer(id.0)));
    }
    if let Some(rule) = &filter.rule {
        conditions.push("a.rule = ?".to_owned());
        values.push(Value::Text(rule.clone()));
    }
    if filter.unresolved {
        conditions.push("a.state <> 'resolved'".to_owned());
    }
    if let Some(since) = filter.since {
        conditions.push("a.last_us >= ?".to_owned());
        values.push(Value::Integer(since.0));
    }
    (conditions.join(" AND "), values)
}

/// What is known of an alert's messages.
pub(super) fn sends(tx: &Tx<'_>, alert: AlertId) -> Result<Vec<SendState>, Error> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT sink, resolved, state, attempts, error FROM alert_sends WHERE alert = ?1
         ORDER BY sink, resolved",
    )?;
    let sends = statement
        .query_map([alert.0], |row| {
            Ok(SendState {
                sink: row.get(0)?,
                resolved: row.get(1)?,
                state: row.get(2)?,
                attempts: row.get(3)?,
                error: row.get(4)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(sends)
}

/// An alert without its messages.
pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Alert> {
    let severity: String = row.get(3)?;
    let state: String = row.get(4)?;
    let moment = |at: usize| -> rusqlite::Result<Option<(Time, String)>> {
        let when: Option<i64> = row.get(at)?;
        let by: Option<String> = row.get(at + 1)?;
        Ok(when.map(|when| (Time(when), by.unwrap_or_default())))
    };
    Ok(Alert {
        id: AlertId(row.get(0)?),
        rule: row.get(1)?,
        group: row.get(2)?,
        // A newer version's word reads as the worst.
        severity: Severity::parse(&severity).unwrap_or_default(),
        state: AlertState::parse(&state).unwrap_or(AlertState::Open),
        summary: row.get(5)?,
        evidence: row.get(6)?,
        event: row.get(7)?,
        seq: row.get::<_, Option<i64>>(8)?.map(Seq),
        last_event: row.get(9)?,
        count: row.get::<_, i64>(10)?.cast_unsigned(),
        opened_at: Time(row.get(11)?),
        last_at: Time(row.get(12)?),
        acked: moment(13)?,
        resolved: moment(15)?,
        silenced: row.get(17)?,
        sends: Vec::new(),
    })
}
