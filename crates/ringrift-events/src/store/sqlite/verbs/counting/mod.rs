//! The verbs that count: one bounded read each.

mod arrivals;
mod facts;
mod on_store;
mod places;

use arrivals::CountArrivals;
use facts::CountFacts;
use places::CountPlaces;

#[cfg(test)]
mod tests;
