//! Dedup keys of durable subscriptions: reserved, then confirmed or released.

use std::time::Duration;

use rusqlite::{OptionalExtension as _, params};

use crate::clock::Time;
use crate::event::EventId;
use crate::store::Error;
use crate::store::deliveries::Reserved;
use crate::store::pages::Bells;
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::positions::durable;
use crate::store::subscriptions::SubscriptionId;

/// Expired keys are remembered this many times as long as their window.
const REMEMBERED_WINDOWS: i64 = 10;

/// Longest window, ten years: ten times it is still a time.
const TTL_US_MAX: i64 = 315_360_000_000_000;

/// See [`crate::store::Deliveries::reserve`].
pub(crate) struct ReserveKeys {
    pub(crate) subscription: SubscriptionId,
    pub(crate) keys: Vec<(String, EventId)>,
    pub(crate) ttl: Duration,
}

impl Plain for ReserveKeys {}
impl Plain for Reserved {}

/// What a key's row says.
struct Known {
    event: EventId,
    reserved: bool,
    ends_us: i64,
    forget_us: i64,
}

impl Verb for ReserveKeys {
    type Answer = Vec<Reserved>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<Reserved>, Error> {
        durable(tx, self.subscription, "reserve keys for")?;
        let ttl_us = i64::try_from(self.ttl.as_micros())
            .unwrap_or(TTL_US_MAX)
            .min(TTL_US_MAX);
        let reserve =
            |(key, event): &(String, EventId)| reserve(tx, self.subscription, key, *event, ttl_us);
        self.keys.iter().map(reserve).collect()
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}

fn reserve(
    tx: &Tx<'_>,
    subscription: SubscriptionId,
    key: &str,
    event: EventId,
    ttl_us: i64,
) -> Result<Reserved, Error> {
    let known =
        known(tx, subscription, key)?.filter(|known| known.reserved || known.forget_us > tx.now.0);
    let Some(known) = known else {
        take(tx, subscription, key, event, ttl_us, None)?;
        return Ok(Reserved::Yes);
    };
    if known.event == event {
        tx.conn
            .prepare_cached(
                "UPDATE dedup_keys SET owner = ?3 WHERE subscription = ?1 AND key = ?2 \
                 AND owner IS NOT NULL",
            )?
            .execute(params![subscription.0, key, tx.process_row])?;
        return Ok(Reserved::Yes);
    }
    if known.reserved {
        return Ok(Reserved::Wait {
            holder: known.event,
        });
    }
    if known.ends_us > tx.now.0 {
        return Ok(Reserved::Duplicate {
            original: known.event,
            window_ends_at: Time(known.ends_us),
        });
    }
    take(tx, subscription, key, event, ttl_us, Some(&known))?;
    Ok(Reserved::AfterWindow {
        original: known.event,
        ended_at: Time(known.ends_us),
    })
}

fn known(tx: &Tx<'_>, subscription: SubscriptionId, key: &str) -> Result<Option<Known>, Error> {
    let sql = "SELECT event_id, owner IS NOT NULL, COALESCE(ends_us, 0), forget_us \
               FROM dedup_keys WHERE subscription = ?1 AND key = ?2";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Known {
            event: row.get(0)?,
            reserved: row.get(1)?,
            ends_us: row.get(2)?,
            forget_us: row.get(3)?,
        })
    };
    let found = tx
        .conn
        .prepare_cached(sql)?
        .query_row(params![subscription.0, key], read);
    Ok(found.optional()?)
}

fn take(
    tx: &Tx<'_>,
    subscription: SubscriptionId,
    key: &str,
    event: EventId,
    ttl_us: i64,
    earlier: Option<&Known>,
) -> Result<(), Error> {
    // A reservation is forgotten by its end only; the time is for what it falls back to.
    let forget_us = earlier.map_or(i64::MAX, |known| known.forget_us);
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO dedup_keys (subscription, key, event_id, owner, ttl_us, \
             forget_us, earlier_id, earlier_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            subscription.0,
            key,
            event,
            tx.process_row,
            ttl_us,
            forget_us,
            earlier.map(|known| known.event),
            earlier.map(|known| known.ends_us),
        ])?;
    Ok(())
}

/// The handler succeeded: the key's window begins now.
pub(super) fn confirm_key(
    tx: &Tx<'_>,
    subscription: SubscriptionId,
    key: Option<&str>,
    event: EventId,
) -> Result<(), Error> {
    let Some(key) = key else { return Ok(()) };
    tx.conn
        .prepare_cached(
            "UPDATE dedup_keys SET owner = NULL, ends_us = ?4 + ttl_us, \
               forget_us = ?4 + ttl_us * ?5, earlier_id = NULL, earlier_us = NULL \
             WHERE subscription = ?1 AND key = ?2 AND event_id = ?3 AND owner IS NOT NULL",
        )?
        .execute(params![
            subscription.0,
            key,
            event,
            tx.now.0,
            REMEMBERED_WINDOWS
        ])?;
    Ok(())
}

/// The run failed, was skipped or never began: the key is free, and who had it before is known
/// again.
pub(super) fn release_key(
    tx: &Tx<'_>,
    subscription: SubscriptionId,
    key: Option<&str>,
    event: EventId,
) -> Result<(), Error> {
    let Some(key) = key else { return Ok(()) };
    let of = params![subscription.0, key, event];
    tx.conn
        .prepare_cached(
            "UPDATE dedup_keys SET owner = NULL, event_id = earlier_id, ends_us = earlier_us, \
               earlier_id = NULL, earlier_us = NULL WHERE subscription = ?1 AND key = ?2 \
               AND event_id = ?3 AND owner IS NOT NULL AND earlier_id IS NOT NULL",
        )?
        .execute(of)?;
    tx.conn
        .prepare_cached(
            "DELETE FROM dedup_keys WHERE subscription = ?1 AND key = ?2 AND event_id = ?3 \
             AND owner IS NOT NULL",
        )?
        .execute(of)?;
    Ok(())
}

/// Releases what this process has reserved for one event and not confirmed: its run never began.
pub(super) fn release_keys_for_event(
    tx: &Tx<'_>,
    subscription: SubscriptionId,
    event: EventId,
) -> Result<(), Error> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT key FROM dedup_keys WHERE owner = ?1 AND subscription = ?2 AND event_id = ?3",
    )?;
    let of = params![tx.process_row, subscription.0, event];
    let keys = statement.query_map(of, |row| row.get::<_, String>(0))?;
    for key in keys.collect::<Result<Vec<_>, _>>()? {
        release_key(tx, subscription, Some(&key), event)?;
    }
    Ok(())
}

/// Releases what is reserved and not confirmed of one subscription: its open work was ended.
pub(crate) fn release_keys_for(tx: &Tx<'_>, subscription: SubscriptionId) -> Result<(), Error> {
    tx.conn
        .prepare_cached(
            "UPDATE dedup_keys SET owner = NULL, event_id = earlier_id, ends_us = earlier_us, \
             earlier_id = NULL, earlier_us = NULL \
             WHERE subscription = ?1 AND owner IS NOT NULL AND earlier_id IS NOT NULL",
        )?
        .execute([subscription.0])?;
    tx.conn
        .prepare_cached("DELETE FROM dedup_keys WHERE subscription = ?1 AND owner IS NOT NULL")?
        .execute([subscription.0])?;
    Ok(())
}

/// Releases what a process reserved and did not confirm: it died or left.
pub(crate) fn release_keys_of(tx: &Tx<'_>, owner: i64) -> Result<(), Error> {
    tx.conn
        .prepare_cached(
            "UPDATE dedup_keys SET owner = NULL, event_id = earlier_id, ends_us = earlier_us, \
             earlier_id = NULL, earlier_us = NULL WHERE owner = ?1 AND earlier_id IS NOT NULL",
        )?
        .execute([owner])?;
    tx.conn
        .prepare_cached("DELETE FROM dedup_keys WHERE owner = ?1")?
        .execute([owner])?;
    Ok(())
}
