//! The verbs on what is kept so that it can be told later. One verb, one transaction.

mod catalogs;
mod counts;
mod handlers;
mod hosts;
mod on_store;
mod refusals;

pub(crate) use catalogs::{CatalogText, KeepCatalog, ProcessCatalogs};
pub(crate) use counts::{AskMissingFields, AskUnbridged, CountMissingFields, CountUnbridged};
pub(crate) use handlers::{AskDeclaredHandlers, DeclareHandlers};
pub(crate) use hosts::{AskHostRecords, KeepHosts, end_host_records};
pub(crate) use refusals::{AskRefusals, KeepRefusals};

use crate::event::ProcessId;

/// The process of a joined row; one that retention took reads as the nil id.
fn process_of(id: Option<ProcessId>) -> ProcessId {
    id.unwrap_or(ProcessId(uuid::Uuid::nil()))
}

/// A count as SQLite keeps it.
fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count as it was kept.
fn counted(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
