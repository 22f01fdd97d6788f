//! One step of a watcher: its place, its marks and its alerts, if nobody made a step since.

use rusqlite::{OptionalExtension, named_params, params};

use super::silences::covering;
use super::watched::steps;
use crate::clock::Time;
use crate::event::{EventId, Seq};
use crate::store::Error;
use crate::store::pages::Bells;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::watching::{ALERTS_KEPT_MAX, AlertChange, AlertId, Fold, Raise, WatchStep};

/// See [`crate::store::Watching::keep_watch`].
pub(super) struct KeepWatch {
    pub(super) step: WatchStep,
}

impl Plain for KeepWatch {}
impl Plain for AlertId {}

impl Verb for KeepWatch {
    type Answer = Option<Vec<AlertId>>;

    fn run(self, tx: &Tx<'_>) -> Result<Option<Vec<AlertId>>, Error> {
        let step = self.step;
        if steps(tx, &step.watcher)? != step.seen {
            return Ok(None);
        }
        tx.conn
            .prepare_cached(
                "INSERT INTO watchers (name, place, steps) VALUES (?1, ?2, 1)
                 ON CONFLICT (name) DO UPDATE SET place = excluded.place, steps = steps + 1",
            )?
            .execute(params![step.watcher, step.place.0])?;
        for (name, text) in &step.marks {
            mark(tx, &step.watcher, name, text.as_deref())?;
        }
        let mut new = Vec::new();
        for change in step.changes {
            match change {
                AlertChange::Raise(raise) => new.extend(raise_alert(tx, &raise)?),
                AlertChange::Resolve {
                    rule,
                    group,
                    why,
                    sinks,
                } => resolve(tx, &rule, &group, &why, &sinks)?,
                AlertChange::Forget { rules, before } => forget(tx, &rules, before)?,
            }
        }
        Ok(Some(new))
    }

    fn bytes(&self) -> usize {
        let marks = self.step.marks.iter();
        let marks = marks.map(|(name, text)| name.len() + text.as_ref().map_or(0, String::len));
        let changes = self.step.changes.iter().map(|change| match change {
            AlertChange::Raise(raise) => raise.summary.len() + raise.evidence.len(),
            AlertChange::Resolve { .. } | AlertChange::Forget { .. } => 0,
        });
        marks.chain(changes).sum()
    }

    fn rings(&self) -> Bells {
        // Whoever sends looks at once; what only moves on wakes nobody.
        let raises = |change: &AlertChange| !matches!(change, AlertChange::Forget { .. });
        if self.step.changes.iter().any(raises) {
            Bells::WORK
        } else {
            Bells::NONE
        }
    }
}

fn mark(tx: &Tx<'_>, watcher: &str, name: &str, text: Option<&str>) -> Result<(), Error> {
    match text {
        Some(text) => tx
            .conn
            .prepare_cached(
                "INSERT INTO watch_marks (watcher, name, text) VALUES (?1, ?2, ?3)
                 ON CONFLICT (watcher, name) DO UPDATE SET text = excluded.text",
            )?
            .execute(params![watcher, name, text])?,
        None => tx
            .conn
            .prepare_cached("DELETE FROM watch_marks WHERE watcher = ?1 AND name = ?2")?
            .execute(params![watcher, name])?,
    };
    Ok(())
}

fn raise_alert(tx: &Tx<'_>, raise: &Raise) -> Result<Option<AlertId>, Error> {
    if let Some(standing) = standing(tx, raise)? {
        tx.conn
            .prepare_cached(
                "UPDATE alerts SET occurrences = occurrences + 1, last_us = max(last_us, ?2),
                     last_event = coalesce(?3, last_event)
                 WHERE id = ?1",
            )?
            .execute(params![
                standing,
                raise.at.0,
                raise.event.map(|(event, _)| event)
            ])?;
        return Ok(None);
    }
    let silenced = covering(tx, &raise.rule, &raise.group)?;
    let (event, seq): (Option<EventId>, Option<Seq>) = raise.event.unzip();
    tx.conn
        .prepare_cached(
            "INSERT INTO alerts (rule, part, severity, summary, evidence, event, seq, last_event,
                 opened_us, last_us, silenced_by)
             VALUES (:rule, :part, :severity, :summary, :evidence, :event, :seq, :event, :at, :at,
                 :silenced)",
        )?
        .execute(named_params! {
            ":rule": raise.rule,
            ":part": raise.group,
            ":severity": raise.severity.as_str(),
            ":summary": raise.summary,
            ":evidence": raise.evidence,
            ":event": event,
            ":seq": seq.map(|seq| seq.0),
            ":at": raise.at.0,
            ":silenced": silenced,
        })?;
    let id = tx.conn.last_insert_rowid();
    if silenced.is_none() {
        tell(tx, id, &raise.sinks, false)?;
    }
    thin_out(tx, id - ALERTS_KEPT_MAX)?;
    Ok(Some(AlertId(id)))
}

/// The newest alert that the occurrence adds to.
fn standing(tx: &Tx<'_>, raise: &Raise) -> Result<Option<i64>, Error> {
    let (same_part, since) = match raise.fold {
        Fold::Never => return Ok(None),
        Fold::Within(time) => (true, raise.at.before(time).0),
        Fold::Open => (true, i64::MIN),
        Fold::OpenOfRule => (false, i64::MIN),
    };
    let found = tx
        .conn
        .prepare_cached(
            "SELECT id FROM alerts
             WHERE state <> 'resolved' AND rule = ?1 AND (part = ?2 OR NOT ?3) AND last_us >= ?4
             ORDER BY id DESC LIMIT 1",
        )?
        .query_row(params![raise.rule, raise.group, same_part, since], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(found)
}

fn tell(tx: &Tx<'_>, alert: i64, sinks: &[String], resolved: bool) -> Result<(), Error> {
    let mut statement = tx.conn.prepare_cached(
        "INSERT INTO alert_sends (alert, sink, resolved, due_us) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (alert, sink, resolved) DO NOTHING",
    )?;
    for sink in sinks {
        statement.execute(params![alert, sink, resolved, tx.now.0])?;
    }
    Ok(())
}

fn resolve(tx: &Tx<'_>, rule: &str, part: &str, why: &str, sinks: &[String]) -> Result<(), Error> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT id FROM alerts WHERE state <> 'resolved' AND rule = ?1 AND part = ?2",
    )?;
    let standing: Vec<i64> = statement
        .query_map([rule, part], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in standing {
        end(tx, id, why)?;
        let told: bool = tx
            .conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM alert_sends WHERE alert = ?1)")?
            .query_row([id], |row| row.get(0))?;
        if told {
            tell(tx, id, sinks, true)?;
        }
    }
    Ok(())
}

fn forget(tx: &Tx<'_>, rules: &[String], before: Time) -> Result<(), Error> {
    let mut statement = tx.conn.prepare_cached(
        "UPDATE alerts SET state = 'resolved', resolved_us = ?3, resolved_by = ?4
         WHERE state <> 'resolved' AND rule = ?1 AND last_us < ?2",
    )?;
    for rule in rules {
        statement.execute(params![rule, before.0, tx.now.0, "nothing more happened"])?;
    }
    Ok(())
}

/// Ends an alert.
pub(super) fn end(tx: &Tx<'_>, id: i64, by: &str) -> Result<(), Error> {
    tx.conn
        .prepare_cached(
            "UPDATE alerts SET state = 'resolved', resolved_us = ?2, resolved_by = ?3
             WHERE id = ?1",
        )?
        .execute(params![id, tx.now.0, by])?;
    Ok(())
}

/// Lets resolved alerts go that are older than the newest [`ALERTS_KEPT_MAX`]: at most as many a
/// step as a step adds, and one more for each that stood too long.
fn thin_out(tx: &Tx<'_>, oldest_kept: i64) -> Result<(), Error> {
    if oldest_kept <= 0 {
        return Ok(());
    }
    tx.conn
        .prepare_cached("DELETE FROM alerts WHERE id <= ?1 AND state = 'resolved'")?
        .execute([oldest_kept])?;
    tx.conn
        .prepare_cached(
            "DELETE FROM alert_sends WHERE alert <= ?1
                 AND NOT EXISTS (SELECT 1 FROM alerts WHERE id = alert)",
        )?
        .execute([oldest_kept])?;
    Ok(())
}
