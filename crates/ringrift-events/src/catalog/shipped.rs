//! The RingRift catalog as it ships: two tables embedded as text.

use std::sync::Arc;

use super::stages::StageEntry;
use super::types::{CONFIG_KEY, DeclaredIn, RequiredPolicy, TypeEntry};
use crate::event::EventType;

/// Columns: name, value, category, bridged, `pipeline_position`, `alert_if`.
pub(super) const TYPES: &str = include_str!("ringrift.tsv");

/// Columns: stage, value, `data_event` (a constant, or empty).
pub(super) const STAGES: &str = include_str!("stages.tsv");

/// Every type. A row that cannot be read is left out; a test counts them against the table.
pub(super) fn types() -> impl Iterator<Item = TypeEntry> {
    TYPES.lines().skip(1).filter_map(|line| {
        let mut columns = line.split('\t').skip(1);
        let value = columns.next()?;
        let category = columns.next()?.to_owned();
        let bridged = columns.next()? == "yes";
        let pipeline_position: Option<u32> = columns.next()?.parse().ok();
        let alert = columns.next()?.parse().ok();
        // The steps of the pipeline carry the configuration they belong to: without it nothing
        // downstream could tell whose step it was.
        let required = match pipeline_position {
            Some(_) => vec![CONFIG_KEY.to_owned()],
            None => Vec::new(),
        };
        Some(TypeEntry {
            event_type: EventType::from_canonical(value),
            category,
            bridged,
            key_field: required.first().cloned(),
            required,
            required_policy: RequiredPolicy::Warn,
            pipeline_position,
            alert,
            declared_in: DeclaredIn::RingRift,
            shipped: true,
        })
    })
}

/// Every stage, in the table's order.
pub(super) fn stages() -> Vec<Arc<StageEntry>> {
    let rows = STAGES.lines().skip(1).filter_map(|line| {
        let mut columns = line.split('\t');
        let constant = columns.next()?.to_owned();
        let value = columns.next()?.to_owned();
        let data_event = match columns.next()? {
            "" => EventType::from_canonical(&value),
            constant => EventType::from_canonical(&constant.to_ascii_lowercase()),
        };
        Some(Arc::new(StageEntry {
            constant,
            value,
            data_event,
        }))
    });
    rows.collect()
}
