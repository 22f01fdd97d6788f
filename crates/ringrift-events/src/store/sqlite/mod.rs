//! The SQLite store: one file per home, shared by every process of it.

mod connection;
mod fault;
mod migrate;
mod presence;
mod registry;
mod rows;
#[cfg(test)]
pub(crate) mod testing;
mod verb;
mod verbs;
