//! One verb, one file, one transaction.

pub(super) mod append;
pub(super) mod find;
pub(super) mod head;
pub(super) mod list;
pub(super) mod read;
