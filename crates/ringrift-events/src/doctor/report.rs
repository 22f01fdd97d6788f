//! The examination as callers ask for it.

use serde::Serialize;

use super::chart::{Ask, Chart};
use super::examine::examine;
use super::finding::Finding;
use super::sample::Cut;
use crate::catalog::Catalog;
use crate::clock::Time;
use crate::store::{Error, Store};

/// What doctor found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The moment whose state is judged: now, or when the last process ended.
    pub as_of: Time,
    /// What ended before was not looked at.
    pub since: Time,
    /// No process of this home lives.
    pub is_stopped: bool,
    /// The findings, worst first.
    pub findings: Vec<Finding>,
    /// What was looked at in part only, since there is more than one look may hold.
    pub cut: Vec<Cut>,
}

impl Report {
    /// Reads the chart and examines it. Blocks for a few reads, each bounded.
    ///
    /// # Errors
    /// The store's.
    pub fn of(store: &dyn Store, catalog: &Catalog, ask: &Ask) -> Result<Report, Error> {
        let chart = Chart::read(store, catalog, ask)?;
        Ok(Report {
            as_of: chart.as_of,
            since: chart.since,
            is_stopped: chart.is_stopped,
            findings: examine(&chart, &ask.rules),
            cut: chart.cut,
        })
    }
}
