//! How many events of each type were committed in each slot of a window.

use std::collections::HashMap;

use rusqlite::{OptionalExtension as _, params};

use crate::clock::Time;
use crate::event::{EventType, ProcessId, Seq};
use crate::store::Error;
use crate::store::counting::{ArrivalCounts, Arrivals, ROWS_MAX, Window};
use crate::store::sqlite::rows::SqlTime;
use crate::store::sqlite::verb::{Plain, Question, Tx};

/// See [`crate::store::Counting::count_arrivals`].
pub(super) struct CountArrivals {
    pub(super) window: Window,
    pub(super) by_process: bool,
    pub(super) rest: Option<(Time, Seq)>,
}

impl Plain for CountArrivals {}
impl Plain for ArrivalCounts {}

/// Slot, number of the type, row of the process (0 where it was not asked for).
type Kind = (u32, usize, i64);

impl Question for CountArrivals {
    type Answer = ArrivalCounts;

    fn run(self, tx: &Tx<'_>) -> Result<ArrivalCounts, Error> {
        let sql = sql(self.by_process);
        let (upper, below) = match self.rest {
            Some((at, seq)) => (at, seq.0),
            None => (self.window.until, i64::MAX),
        };
        let borders = borders(&self.window);
        let most = i64::try_from(ROWS_MAX).unwrap_or(i64::MAX);
        let mut statement = tx.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params![borders[0], upper.to_sql(), below, most])?;
        let mut types: HashMap<String, usize> = HashMap::new();
        let mut counts: HashMap<Kind, u64> = HashMap::new();
        let (mut slot, mut looked, mut last) = (borders.len() - 1, 0_usize, None);
        while let Some(row) = rows.next()? {
            let at = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            while slot > 0 && at < borders[slot].as_str() {
                slot -= 1;
            }
            let event_type = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
            let number = match types.get(event_type) {
                Some(number) => *number,
                None => {
                    types.insert(event_type.to_owned(), types.len());
                    types.len() - 1
                }
            };
            let kind = (u32::try_from(slot).unwrap_or(0), number, row.get(3)?);
            *counts.entry(kind).or_insert(0) += 1;
            looked += 1;
            if looked == ROWS_MAX {
                last = Some((row.get::<_, SqlTime>(0)?.0, Seq(row.get(1)?)));
            }
        }
        Ok(ArrivalCounts {
            counts: self.named(tx, &types, counts)?,
            rest: last,
        })
    }
}

/// Newest first along the index on `created_at`, whose entries end with the place; so what a cut
/// answer leaves out is the oldest, and the next one begins where it ended. The process stands
/// behind the payload in its row: who does not ask for it never reads a large payload.
pub(super) fn sql(by_process: bool) -> String {
    let origin = if by_process { "origin" } else { "0" };
    format!(
        "SELECT created_at, seq, event_type, {origin} FROM events INDEXED BY events_created_at \
         WHERE created_at >= ?1 AND created_at <= ?2 \
           AND (created_at < ?2 OR seq < ?3) \
         ORDER BY created_at DESC, seq DESC LIMIT ?4"
    )
}

impl CountArrivals {
    /// The counts with the names of what they count, in a fixed order.
    fn named(
        &self,
        tx: &Tx<'_>,
        types: &HashMap<String, usize>,
        counts: HashMap<Kind, u64>,
    ) -> Result<Vec<Arrivals>, Error> {
        let mut names: Vec<EventType> = vec![EventType::from_canonical(""); types.len()];
        for (name, number) in types {
            names[*number] = EventType::from_canonical(name);
        }
        let mut processes: HashMap<i64, Option<ProcessId>> = HashMap::new();
        let mut named = Vec::with_capacity(counts.len());
        for ((slot, number, row), events) in counts {
            let origin = match processes.get(&row) {
                Some(known) => *known,
                None => {
                    let found = self.process_of(tx, row)?;
                    processes.insert(row, found);
                    found
                }
            };
            named.push(Arrivals {
                event_type: names[number].clone(),
                origin,
                slot,
                events,
            });
        }
        named.sort_by(|one, other| {
            let key = |of: &Arrivals| (of.slot, of.event_type.clone(), of.origin);
            key(one).cmp(&key(other))
        });
        Ok(named)
    }

    fn process_of(&self, tx: &Tx<'_>, row: i64) -> Result<Option<ProcessId>, Error> {
        if !self.by_process {
            return Ok(None);
        }
        let sql = "SELECT process_id FROM processes WHERE id = ?1";
        let mut statement = tx.conn.prepare_cached(sql)?;
        Ok(statement.query_row([row], |row| row.get(0)).optional()?)
    }
}

/// Where each slot begins, as the column has it.
fn borders(window: &Window) -> Vec<String> {
    (0..window.slots())
        .map(|slot| window.slot_begins(slot).to_sql())
        .collect()
}
