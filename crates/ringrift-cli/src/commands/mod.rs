//! The verbs, one a file; a group of verbs is a folder. Each has `Args`, its grammar and help, and
//! `run`, which answers through [`crate::call::Call`].

pub(crate) mod codes;
pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod daemons;
pub(crate) mod db;
pub(crate) mod demo;
pub(crate) mod dlq;
pub(crate) mod events;
pub(crate) mod init;
pub(crate) mod processes;
pub(crate) mod publish;
pub(crate) mod queue;
pub(crate) mod run;
pub(crate) mod service;
pub(crate) mod status;
pub(crate) mod subs;
pub(crate) mod subscribe;
pub(crate) mod tail;
pub(crate) mod types;

mod fact_row;

#[cfg(test)]
mod tests;
