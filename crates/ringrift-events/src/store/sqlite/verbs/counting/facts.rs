//! How many facts of each code were recorded in each slot of a window.

use std::collections::HashMap;

use crate::clock::Time;
use crate::event::{EventType, ProcessId};
use crate::store::Error;
use crate::store::counting::{FACTS_LATE_MAX, FactCount, FactCounts, ROWS_MAX, Window};
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::Code;

/// See [`crate::store::Counting::count_facts`].
pub(super) struct CountFacts {
    pub(super) window: Window,
    pub(super) codes: Vec<Code>,
    pub(super) rest: Option<i64>,
}

impl Plain for CountFacts {}
impl Plain for FactCounts {}

/// Newest first, until one is older than the window.
pub(super) const SQL: &str = "SELECT id, at_us, code, event_type, subscription, process FROM facts \
     WHERE id < ?1 ORDER BY id DESC";

/// Slot, code, type, subscription, process.
type Kind = (u32, Code, Option<String>, Option<i64>, Option<ProcessId>);

impl Question for CountFacts {
    type Answer = FactCounts;

    fn run(self, tx: &Tx<'_>) -> Result<FactCounts, Error> {
        let below = self.rest.unwrap_or(i64::MAX);
        let mut statement = tx.conn.prepare_cached(SQL)?;
        let mut rows = statement.query([below])?;
        let oldest = self.window.since.before(FACTS_LATE_MAX);
        let mut counts: HashMap<Kind, u64> = HashMap::new();
        let mut rest = None;
        let mut looked = 0_usize;
        while let Some(row) = rows.next()? {
            let at = Time(row.get(1)?);
            if at < oldest {
                break;
            }
            looked += 1;
            if let Some(slot) = self.window.slot_of(at)
                && let Some(code) = row.get_ref(2)?.as_str().ok().and_then(Code::parse)
                && self.codes.contains(&code)
            {
                let kind = (slot, code, row.get(3)?, row.get(4)?, row.get(5)?);
                *counts.entry(kind).or_insert(0) += 1;
            }
            if looked == ROWS_MAX {
                rest = Some((row.get(0)?, at));
                break;
            }
        }
        let mut counts: Vec<FactCount> = counts.into_iter().map(count).collect();
        counts.sort_by(|one, other| {
            let key = |of: &FactCount| {
                let about = (of.event_type.clone(), of.subscription, of.process);
                (of.slot, of.code, about)
            };
            key(one).cmp(&key(other))
        });
        Ok(FactCounts { counts, rest })
    }
}

fn count(((slot, code, event_type, subscription, process), facts): (Kind, u64)) -> FactCount {
    FactCount {
        code,
        event_type: event_type.as_deref().map(EventType::from_canonical),
        subscription: subscription.map(SubscriptionId),
        process,
        slot,
        facts,
    }
}
