//! Counts of what left no row of its own: unbridged publishes, events without a key field.

use rusqlite::params;

use super::{counted, process_of, stored};
use crate::clock::Time;
use crate::event::{EventId, EventType};
use crate::store::Error;
use crate::store::pages::Bells;
use crate::store::records::{MissingField, Unbridged};
use crate::store::sqlite::verb::{Plain, Question, Tx, Verb};
use crate::store::subscriptions::SubscriptionId;

/// Adds to the counts of unbridged publishes of this process.
pub(crate) struct CountUnbridged {
    /// By type.
    pub(crate) counts: Vec<Unbridged>,
}

impl Plain for CountUnbridged {}
impl Plain for Unbridged {}

impl Verb for CountUnbridged {
    type Answer = ();

    fn run(self, tx: &Tx<'_>) -> Result<(), Error> {
        let mut statement = tx.conn.prepare_cached(
            "INSERT INTO unbridged (process, event_type, events, last_event, last_us)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (process, event_type) DO UPDATE SET events = events + excluded.events,
                 last_event = coalesce(excluded.last_event, last_event),
                 last_us = coalesce(excluded.last_us, last_us)",
        )?;
        for one in self.counts {
            statement.execute(params![
                tx.process_row,
                one.event_type.as_str(),
                stored(one.count),
                one.last.map(|(id, _)| id),
                one.last.map(|(_, at)| at.0),
            ])?;
        }
        Ok(())
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}

/// Asks for the counts of unbridged publishes.
pub(crate) struct AskUnbridged;

impl Plain for AskUnbridged {}

impl Question for AskUnbridged {
    type Answer = Vec<Unbridged>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<Unbridged>, Error> {
        let mut statement = tx.conn.prepare_cached(
            "SELECT p.process_id, u.event_type, u.events, u.last_event, u.last_us
             FROM unbridged AS u LEFT JOIN processes AS p ON p.id = u.process
             ORDER BY p.process_id, u.event_type",
        )?;
        let rows = statement.query_map([], |row| {
            let event: Option<EventId> = row.get(3)?;
            let at: Option<i64> = row.get(4)?;
            Ok(Unbridged {
                process: process_of(row.get(0)?),
                event_type: EventType::from_canonical(row.get_ref(1)?.as_str()?),
                count: counted(row.get(2)?),
                last: event.zip(at.map(Time)),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// Adds to the events of this process that lacked a field of a dedup key.
pub(crate) struct CountMissingFields {
    /// By subscription and field.
    pub(crate) counts: Vec<MissingField>,
}

impl Plain for CountMissingFields {}
impl Plain for MissingField {}

impl Verb for CountMissingFields {
    type Answer = ();

    fn run(self, tx: &Tx<'_>) -> Result<(), Error> {
        let mut statement = tx.conn.prepare_cached(
            "INSERT INTO missing_fields (process, subscription, field, events, last_event, last_us)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (process, subscription, field) DO UPDATE SET
                 events = events + excluded.events, last_event = excluded.last_event,
                 last_us = excluded.last_us",
        )?;
        for one in self.counts {
            statement.execute(params![
                tx.process_row,
                one.subscription.0,
                one.field,
                stored(one.count),
                one.last.0,
                one.last.1.0,
            ])?;
        }
        Ok(())
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}

/// Asks for the events that lacked a field of a dedup key.
pub(crate) struct AskMissingFields;

impl Plain for AskMissingFields {}

impl Question for AskMissingFields {
    type Answer = Vec<MissingField>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<MissingField>, Error> {
        let mut statement = tx.conn.prepare_cached(
            "SELECT p.process_id, m.subscription, m.field, m.events, m.last_event, m.last_us
             FROM missing_fields AS m LEFT JOIN processes AS p ON p.id = m.process
             ORDER BY p.process_id, m.subscription, m.field",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(MissingField {
                process: process_of(row.get(0)?),
                subscription: SubscriptionId(row.get(1)?),
                field: row.get(2)?,
                count: counted(row.get(3)?),
                last: (row.get(4)?, Time(row.get(5)?)),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
