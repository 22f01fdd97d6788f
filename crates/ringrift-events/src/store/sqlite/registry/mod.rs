//! The registry's verbs: processes, daemons, commands, types, facts. One verb, one transaction.

mod commands;
mod daemons;
mod facts;
mod join;
mod on_store;
mod processes;
mod roles;
mod types;

#[cfg(test)]
mod tests;

pub(crate) use commands::{AnswerCommand, HasCommands, SendCommand, ShowCommand, TakeCommands};
pub(crate) use daemons::{Daemons, ReportDaemons};
pub(crate) use facts::{Facts, Record, keep_fact};
pub(crate) use join::{Join, keep_end};
pub(crate) use processes::Processes;
pub(crate) use roles::{Elect, Elected, HostHangs, Resign};
pub(crate) use types::{DeclareTypes, DeclaredTypes};
