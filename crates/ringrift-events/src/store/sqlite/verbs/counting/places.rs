//! How many events of each type stand in a stretch of the log.

use std::collections::HashMap;

use rusqlite::params;

use crate::event::{EventType, Seq};
use crate::store::Error;
use crate::store::counting::{PLACES_MAX, PlaceCount, PlaceCounts};
use crate::store::sqlite::verb::{Plain, Question, Tx};
use crate::store::sqlite::verbs::head::log_end;

/// See [`crate::store::Counting::count_places`].
pub(super) struct CountPlaces {
    pub(super) after: Seq,
    pub(super) to: Seq,
}

/// One stretch of the log. The type stands before the payload in its row: a large payload is never
/// read.
pub(super) const SQL: &str = "SELECT e.seq, e.event_type FROM events AS e \
     WHERE e.seq > ?1 AND e.seq <= ?2 \
       AND NOT EXISTS (SELECT 1 FROM deleted_events AS d WHERE d.seq = e.seq) ORDER BY e.seq";

impl Plain for CountPlaces {}
impl Plain for PlaceCounts {}

impl Question for CountPlaces {
    type Answer = PlaceCounts;

    fn run(self, tx: &Tx<'_>) -> Result<PlaceCounts, Error> {
        let most = self.after.0.saturating_add(PLACES_MAX);
        let read_to = Seq(self.to.0.min(most)).max(self.after);
        let end = log_end(tx.conn)?;
        let mut statement = tx.conn.prepare_cached(SQL)?;
        let mut rows = statement.query(params![self.after.0, read_to.0.min(end)])?;
        let mut counts: HashMap<String, (u64, Seq)> = HashMap::new();
        while let Some(row) = rows.next()? {
            let event_type = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
            if let Some(count) = counts.get_mut(event_type) {
                count.0 += 1;
            } else {
                counts.insert(event_type.to_owned(), (1, Seq(row.get(0)?)));
            }
        }
        let mut counts: Vec<PlaceCount> = counts
            .into_iter()
            .map(|(event_type, (events, first))| PlaceCount {
                event_type: EventType::from_canonical(&event_type),
                events,
                first,
            })
            .collect();
        counts.sort_by(|one, other| one.event_type.cmp(&other.event_type));
        Ok(PlaceCounts { counts, read_to })
    }
}
