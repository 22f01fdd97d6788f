//! `ringrift db`: the file itself.

pub(crate) mod backup;
pub(crate) mod check;
mod delete;
pub(crate) mod restore;
pub(crate) mod sql;

use clap::{Args as ClapArgs, Subcommand};

use crate::call::Call;
use crate::failure::Done;

/// The arguments of `db`.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check the file's integrity and that every delivery is in exactly one state
    Check(check::Args),
    /// Write a consistent copy, of a live store too
    Backup(backup::Args),
    /// Put a backup in place of the database; refused while a process lives
    Restore(restore::Args),
    /// Run one SQL statement: it reads, or deletes with --write
    Sql(sql::Args),
}

/// Runs the verb.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    match &args.verb {
        Verb::Check(args) => check::run(call, args),
        Verb::Backup(args) => backup::run(call, args),
        Verb::Restore(args) => restore::run(call, args),
        Verb::Sql(args) => sql::run(call, args),
    }
}
