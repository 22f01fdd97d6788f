//! One verb, one file, one transaction.

pub(super) mod append;
mod call_sites;
pub(super) mod counting;
pub(super) mod find;
pub(super) mod head;
pub(super) mod list;
pub(super) mod read;

pub(super) mod deliveries;
pub(super) mod letters;
pub(super) mod subscriptions;
pub(super) mod upkeep;

pub(super) mod ending;
pub(super) mod positions;
pub(super) mod record;

#[cfg(test)]
mod tests;
