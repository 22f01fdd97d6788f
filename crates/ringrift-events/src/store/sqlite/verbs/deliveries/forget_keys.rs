//! Dedup keys that an operator forgets.

use rusqlite::params;

use crate::store::Error;
use crate::store::deliveries::is_key;
use crate::store::sqlite::verb::{Plain, Question, Tx, Verb};
use crate::store::sqlite::verbs::positions::durable;
use crate::store::sqlite::verbs::record::{About, act};
use crate::store::subscriptions::SubscriptionId;

/// See [`crate::store::Deliveries::forget_keys`]. As a question it counts.
pub(crate) struct ForgetKeys {
    pub(crate) subscription: SubscriptionId,
    pub(crate) key: Option<String>,
    pub(crate) by: String,
}

impl Plain for ForgetKeys {}

impl Question for ForgetKeys {
    type Answer = u64;

    fn run(self, tx: &Tx<'_>) -> Result<u64, Error> {
        durable(tx, self.subscription, "forget keys of")?;
        Ok(self.confirmed(tx)?.len() as u64)
    }
}

impl Verb for ForgetKeys {
    type Answer = u64;

    fn run(self, tx: &Tx<'_>) -> Result<u64, Error> {
        let standing = durable(tx, self.subscription, "forget keys of")?;
        let confirmed = self.confirmed(tx)?;
        let mut delete = tx
            .conn
            .prepare_cached("DELETE FROM dedup_keys WHERE subscription = ?1 AND key = ?2")?;
        for key in &confirmed {
            delete.execute(params![self.subscription.0, key])?;
        }
        let mut fall_back = tx.conn.prepare_cached(
            "UPDATE dedup_keys SET earlier_id = NULL, earlier_us = NULL \
             WHERE subscription = ?1 AND key = ?2",
        )?;
        for key in self.keys(tx, "owner IS NOT NULL AND earlier_id IS NOT NULL")? {
            fall_back.execute(params![self.subscription.0, key])?;
        }
        let about = About {
            subscription: Some(self.subscription),
            ..About::default()
        };
        let evidence = serde_json::json!({
            "name": standing.name, "key": self.key, "forgotten": confirmed.len(),
        });
        act(tx, "dedup.reset", &self.by, about, &evidence)?;
        Ok(confirmed.len() as u64)
    }
}

impl ForgetKeys {
    fn confirmed(&self, tx: &Tx<'_>) -> Result<Vec<String>, Error> {
        self.keys(tx, "owner IS NULL")
    }

    /// The keys that are meant, among those in this state.
    fn keys(&self, tx: &Tx<'_>, state: &str) -> Result<Vec<String>, Error> {
        let sql = format!("SELECT key FROM dedup_keys WHERE subscription = ?1 AND {state}");
        let mut statement = tx.conn.prepare_cached(&sql)?;
        let keys = statement.query_map([self.subscription.0], |row| row.get::<_, String>(0))?;
        let mut keys = keys.collect::<Result<Vec<_>, _>>()?;
        keys.retain(|known| self.key.as_ref().is_none_or(|key| is_key(known, key)));
        Ok(keys)
    }
}
