//! What is kept beside facts, letters and pages so that it can be told.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::clock::Time;
use crate::event::ProcessId;
use crate::store::records::{DeclaredHandler, HostRecord, MissingField, Refusal, Unbridged};
use crate::store::subscriptions::SubscriptionId;
use crate::store::{Error, Store};

/// Most rows of one question.
const ROWS_MAX: usize = 10_000;

/// How long one question may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// What is recorded beside facts, letters and pages.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Since when no process hosts a durable subscription.
    pub unhosted: BTreeMap<SubscriptionId, Time>,
    /// Who last held a claim of a durable subscription.
    pub last_owner: BTreeMap<SubscriptionId, ProcessId>,
    /// Deliveries that were plainly done since then, by subscription.
    pub done: BTreeMap<SubscriptionId, u64>,
    /// Publishes that stayed in their process, the last since then.
    pub unbridged: Vec<Unbridged>,
    /// Refused publishes and subscribes, the last since then.
    pub refusals: Vec<Refusal>,
    /// Events that lacked a field of a dedup key, the last since then.
    pub missing: Vec<MissingField>,
    /// The handlers that programs say they have.
    pub declared: Vec<DeclaredHandler>,
    /// Which process hosts or hosted what, and under which policy.
    pub hosts: Vec<HostRecord>,
}

impl Recorded {
    /// Reads it.
    ///
    /// # Errors
    /// The store's.
    pub fn read(store: &dyn Store, since: Time) -> Result<Recorded, Error> {
        let (unbridged, refusals) = (store.unbridged(), store.refusals());
        let (missing, declared) = (store.missing_fields(), store.declared_handlers());
        let hosts = store.host_records();
        let mut recorded = Recorded {
            unbridged: unbridged.wait()?,
            refusals: refusals.wait()?,
            missing: missing.wait()?,
            declared: declared.wait()?,
            hosts: hosts.wait()?,
            ..Recorded::default()
        };
        let late = |at: Time| at >= since;
        recorded.refusals.retain(|one| late(one.last_at));
        recorded.missing.retain(|one| late(one.last.1));
        recorded
            .unbridged
            .retain(|one| one.last.is_none_or(|(_, at)| late(at)));
        recorded.ask(store, since);
        Ok(recorded)
    }

    /// Asks tables that no verb answers for. A store in memory has none: that is not known then.
    fn ask(&mut self, store: &dyn Store, since: Time) {
        let rows = |sql: String| {
            let answer = store.query(sql, ROWS_MAX, TIME_LIMIT).wait();
            answer.map(|(_, rows)| rows).unwrap_or_default()
        };
        let unhosted = rows(
            "SELECT id, unhosted_at FROM subscription_rows \
             WHERE unhosted_at IS NOT NULL AND ended_at IS NULL"
                .to_owned(),
        );
        let owners = rows(
            "SELECT c.subscription, p.process_id FROM claims AS c JOIN processes AS p \
                 ON p.id = c.owner WHERE c.id IN (SELECT MAX(id) FROM claims \
                 WHERE owner IS NOT NULL GROUP BY subscription)"
                .to_owned(),
        );
        let done = rows(format!(
            "SELECT subscription, SUM(done) FROM claims \
             WHERE COALESCE(settled_us, opened_us) >= {} GROUP BY subscription",
            since.0
        ));
        self.unhosted = pairs(&unhosted, |value| Time::from_sql(value.as_str()?));
        self.last_owner = pairs(&owners, |value| value.as_str()?.parse().ok().map(ProcessId));
        self.done = pairs(&done, Value::as_u64);
    }

    /// How a subscription was hosted last.
    #[must_use]
    pub fn last_host(&self, id: SubscriptionId) -> Option<&HostRecord> {
        let hosts = self.hosts.iter().filter(|host| host.subscription == id);
        hosts.max_by_key(|host| (host.until.is_none(), host.until, host.since))
    }
}

fn pairs<T>(
    rows: &[Vec<Value>],
    read: impl Fn(&Value) -> Option<T>,
) -> BTreeMap<SubscriptionId, T> {
    let pair = |row: &Vec<Value>| {
        let id = SubscriptionId(row.first()?.as_i64()?);
        Some((id, read(row.get(1)?)?))
    };
    rows.iter().filter_map(pair).collect()
}
