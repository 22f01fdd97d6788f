//! The verbs, one a file; a group of verbs is a folder. Each has `Args`, its grammar and help, and
//! `run`, which answers through [`crate::call::Call`].

pub(crate) mod alerts;
pub(crate) mod check;
pub(crate) mod codes;
pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod daemons;
pub(crate) mod db;
pub(crate) mod dedup;
pub(crate) mod demo;
pub(crate) mod dlq;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod init;
pub(crate) mod lint;
pub(crate) mod pipeline;
pub(crate) mod processes;
pub(crate) mod publish;
pub(crate) mod queue;
pub(crate) mod replay;
pub(crate) mod route;
pub(crate) mod run;
pub(crate) mod service;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod subs;
pub(crate) mod subscribe;
pub(crate) mod tail;
pub(crate) mod tree;
pub(crate) mod types;
pub(crate) mod why_not;

mod fact_row;
mod findings;

#[cfg(test)]
mod recovery_tests;
#[cfg(test)]
mod tests;
