//! What is to be sent, and what came of it.

use rusqlite::{Row, params};

use super::list::{COLUMN_COUNT, COLUMNS, from_row, sends};
use crate::clock::Time;
use crate::store::Error;
use crate::store::pages::Bells;
use crate::store::sqlite::verb::{Plain, Question, Tx, Verb};
use crate::store::watching::{ALERTS_READ_MAX, Message, MessageReport, SinkState};

/// See [`crate::store::Watching::waiting_messages`].
pub(super) struct WaitingMessages {
    pub(super) limit: usize,
}

impl Plain for WaitingMessages {}
impl Plain for Message {}

impl Question for WaitingMessages {
    type Answer = Vec<Message>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<Message>, Error> {
        let mut statement = tx.conn.prepare_cached(&format!(
            "SELECT {COLUMNS}, s.sink, s.resolved, s.attempts, s.due_us
             FROM alert_sends AS s JOIN alerts AS a ON a.id = s.alert
             WHERE s.state = 'due' ORDER BY s.due_us, s.alert, s.sink, s.resolved LIMIT ?1"
        ))?;
        let limit = i64::try_from(self.limit.min(ALERTS_READ_MAX)).unwrap_or(i64::MAX);
        let mut messages: Vec<Message> = statement
            .query_map([limit], message)?
            .collect::<rusqlite::Result<_>>()?;
        for message in &mut messages {
            message.alert.sends = sends(tx, message.alert.id)?;
        }
        Ok(messages)
    }
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        alert: from_row(row)?,
        sink: row.get(COLUMN_COUNT)?,
        resolved: row.get(COLUMN_COUNT + 1)?,
        attempts: row.get(COLUMN_COUNT + 2)?,
        due: Time(row.get(COLUMN_COUNT + 3)?),
    })
}

/// See [`crate::store::Watching::report_message`].
pub(super) struct ReportMessage {
    pub(super) report: MessageReport,
}

impl Plain for ReportMessage {}

impl Verb for ReportMessage {
    type Answer = bool;

    fn run(self, tx: &Tx<'_>) -> Result<bool, Error> {
        let report = self.report;
        let state = match (&report.error, report.retry_at) {
            (None, _) => "sent",
            (Some(_), Some(_)) => "due",
            (Some(_), None) => "failed",
        };
        let kept = match report.alert {
            None => true,
            Some((id, resolved)) => {
                let changed = tx
                    .conn
                    .prepare_cached(
                        "UPDATE alert_sends SET state = ?5, attempts = attempts + 1,
                             error = ?6, due_us = coalesce(?7, due_us)
                         WHERE alert = ?1 AND sink = ?2 AND resolved = ?3 AND attempts = ?4
                             AND state = 'due'",
                    )?
                    .execute(params![
                        id.0,
                        report.sink,
                        resolved,
                        report.attempts_seen,
                        state,
                        report.error,
                        report.retry_at.map(|at| at.0),
                    ])?;
                changed > 0
            }
        };
        let given_up = kept && report.alert.is_some() && state == "failed";
        keep_sink(tx, &report, given_up)?;
        Ok(kept)
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}

fn keep_sink(tx: &Tx<'_>, report: &MessageReport, given_up: bool) -> Result<(), Error> {
    if report.error.is_none() {
        tx.conn
            .prepare_cached(
                "INSERT INTO alert_sinks (name, ok_us) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET ok_us = excluded.ok_us, failures = 0,
                     error = NULL",
            )?
            .execute(params![report.sink, tx.now.0])?;
    } else {
        tx.conn
            .prepare_cached(
                "INSERT INTO alert_sinks (name, failed_us, failures, given_up, error)
                 VALUES (?1, ?2, 1, ?3, ?4)
                 ON CONFLICT (name) DO UPDATE SET failed_us = excluded.failed_us,
                     failures = failures + 1, given_up = given_up + excluded.given_up,
                     error = excluded.error",
            )?
            .execute(params![report.sink, tx.now.0, given_up, report.error])?;
    }
    Ok(())
}

/// See [`crate::store::Watching::sinks`].
pub(super) struct Sinks;

impl Plain for Sinks {}
impl Plain for SinkState {}

impl Question for Sinks {
    type Answer = Vec<SinkState>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<SinkState>, Error> {
        let mut statement = tx.conn.prepare_cached(
            "SELECT name, ok_us, failed_us, failures, error, given_up FROM alert_sinks
             ORDER BY name",
        )?;
        let sinks = statement
            .query_map([], |row| {
                Ok(SinkState {
                    sink: row.get(0)?,
                    ok_at: row.get::<_, Option<i64>>(1)?.map(Time),
                    failed_at: row.get::<_, Option<i64>>(2)?.map(Time),
                    failures: row.get::<_, i64>(3)?.cast_unsigned(),
                    error: row.get(4)?,
                    given_up: row.get::<_, i64>(5)?.cast_unsigned(),
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(sinks)
    }
}
