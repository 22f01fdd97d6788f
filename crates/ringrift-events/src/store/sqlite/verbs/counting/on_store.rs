//! The verbs that count, as this store answers them.

use super::{CountArrivals, CountFacts, CountPlaces};
use crate::clock::Time;
use crate::event::Seq;
use crate::store::Pending;
use crate::store::counting::{ArrivalCounts, Counting, FactCounts, PlaceCounts, Window};
use crate::store::sqlite::SqliteStore;
use crate::verdict::Code;

impl Counting for SqliteStore {
    fn count_places(&self, after: Seq, to: Seq) -> Pending<PlaceCounts> {
        self.read(CountPlaces { after, to })
    }

    fn count_arrivals(
        &self,
        window: Window,
        by_process: bool,
        rest: Option<(Time, Seq)>,
    ) -> Pending<ArrivalCounts> {
        self.read(CountArrivals {
            window,
            by_process,
            rest,
        })
    }

    fn count_facts(
        &self,
        window: Window,
        codes: Vec<Code>,
        rest: Option<i64>,
    ) -> Pending<FactCounts> {
        self.read(CountFacts {
            window,
            codes,
            rest,
        })
    }
}
