//! Which processes host a subscription now, and by which version.

use std::collections::BTreeMap;

use crate::event::ProcessId;
use crate::store::Error;
use crate::store::registry::Liveness;
use crate::store::sqlite::presence::Presence;
use crate::store::sqlite::verb::Tx;
use crate::store::subscriptions::SubscriptionId;

/// The living hosts of one subscription, or of all. A killed process keeps its rows until it is
/// swept: its page says that it hosts nothing any more. On a database thread.
pub(super) fn live_hosts(
    tx: &Tx<'_>,
    presence: &Presence,
    only: Option<SubscriptionId>,
) -> Result<BTreeMap<SubscriptionId, BTreeMap<ProcessId, i64>>, Error> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT h.subscription, p.process_id, h.version FROM hosts AS h JOIN processes AS p ON p.id = h.process \
         WHERE p.state = 'joined' AND (?1 IS NULL OR h.subscription = ?1)",
    )?;
    let rows = statement.query_map([only.map(|id| id.0)], |row| {
        Ok((
            SubscriptionId(row.get(0)?),
            row.get::<_, ProcessId>(1)?,
            row.get(2)?,
        ))
    })?;
    let mut lives: BTreeMap<ProcessId, bool> = BTreeMap::new();
    let mut found: BTreeMap<SubscriptionId, BTreeMap<ProcessId, i64>> = BTreeMap::new();
    for row in rows {
        let (id, process, version) = row?;
        let alive = match lives.get(&process) {
            Some(alive) => *alive,
            None => {
                let alive = lives_now(presence, process)?;
                lives.insert(process, alive);
                alive
            }
        };
        if alive {
            found.entry(id).or_default().insert(process, version);
        }
    }
    Ok(found)
}

/// Hung processes live: they may go on at any moment. One without a page died before it could leave.
fn lives_now(presence: &Presence, process: ProcessId) -> Result<bool, Error> {
    let life = presence.life(process)?;
    Ok(match life.map_or(Liveness::Dead, |life| life.liveness) {
        Liveness::Alive | Liveness::Hung => true,
        Liveness::Dead | Liveness::Left => false,
    })
}
