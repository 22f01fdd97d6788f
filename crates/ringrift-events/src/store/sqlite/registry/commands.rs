//! Requests from one process to another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{OptionalExtension, Row, params};

use super::join::{row_of, unknown};
use super::processes::liveness_of;
use crate::clock::Time;
use crate::event::ProcessId;
use crate::store::pages::Bells;
use crate::store::registry::{Command, Liveness};
use crate::store::sqlite::presence::Presence;
use crate::store::sqlite::verb::{Plain, Question, Tx, Verb};
use crate::store::{Error, ErrorCode};

/// Most commands taken at once; the rest come with the next call.
const TAKEN_MAX: i64 = 256;

const COMMAND_COLUMNS: &str = "c.id, p.process_id, c.verb, c.args, c.asked_by, c.at_us, c.taken_us, \
     c.result FROM commands AS c JOIN processes AS p ON p.id = c.process";

/// Leaves a command for a process that lives and beats; answers its number.
pub(crate) struct SendCommand {
    /// Where the pages are read.
    pub(crate) presence: Arc<Presence>,
    /// For whom.
    pub(crate) process: ProcessId,
    /// What to do.
    pub(crate) verb: String,
    /// Its arguments, JSON.
    pub(crate) args: String,
    /// Who asks.
    pub(crate) by: String,
}

impl Plain for SendCommand {}
impl Plain for Command {}

impl Verb for SendCommand {
    type Answer = i64;

    fn run(self, tx: &Tx<'_>) -> Result<i64, Error> {
        let liveness = liveness_of(tx, &self.presence, self.process)?;
        let state = match liveness {
            None => return Err(unknown(self.process)),
            Some(Liveness::Alive) => None,
            Some(Liveness::Hung) => Some("is stopped or hangs"),
            Some(Liveness::Left) => Some("has ended"),
            Some(Liveness::Dead) => Some("died"),
        };
        if let Some(state) = state {
            let message = format!(
                "process {} {state}: it cannot take the command {}",
                self.process, self.verb
            );
            return Err(
                Error::new(ErrorCode::WrongState, message).with_next("ringrift processes ls")
            );
        }
        let row = row_of(tx, self.process)?.ok_or_else(|| unknown(self.process))?;
        tx.conn
            .prepare_cached(
                "INSERT INTO commands (process, verb, args, asked_by, at_us)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                row,
                self.verb,
                self.args,
                self.by,
                public(tx.now).0
            ])?;
        // Seen before the commit, taken after it: the target's transaction waits for ours.
        if let Some(shared) = self.presence.shared() {
            shared.note_command();
        }
        Ok(tx.conn.last_insert_rowid())
    }
}

/// Takes this process's open commands, oldest first. It takes the write lock: see
/// [`Presence::may_have_commands`] for when to ask.
pub(crate) struct TakeCommands;

impl Plain for TakeCommands {}

impl Verb for TakeCommands {
    type Answer = Vec<Command>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<Command>, Error> {
        let mut statement = tx.conn.prepare_cached(&format!(
            "SELECT {COMMAND_COLUMNS} WHERE c.process = ?1 AND c.taken_us IS NULL
             ORDER BY c.id LIMIT ?2"
        ))?;
        let mut commands: Vec<Command> = statement
            .query_map(params![tx.process_row, TAKEN_MAX], from_row)?
            .collect::<rusqlite::Result<_>>()?;
        let mut take = tx
            .conn
            .prepare_cached("UPDATE commands SET taken_us = ?2 WHERE id = ?1")?;
        for command in &mut commands {
            take.execute(params![command.id, public(tx.now).0])?;
            command.taken_at = Some(public(tx.now));
        }
        Ok(commands)
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}

/// Asks whether this process has open commands, and notes it if so.
pub(crate) struct HasCommands {
    /// Set when it has.
    pub(crate) found: Arc<AtomicBool>,
}

impl Plain for HasCommands {}

impl Question for HasCommands {
    type Answer = bool;

    fn run(self, tx: &Tx<'_>) -> Result<bool, Error> {
        let found = tx
            .conn
            .prepare_cached("SELECT 1 FROM commands WHERE process = ?1 AND taken_us IS NULL")?
            .exists([tx.process_row])?;
        if found {
            self.found.store(true, Ordering::SeqCst);
        }
        Ok(found)
    }
}

/// Answers a command.
pub(crate) struct AnswerCommand {
    /// Which.
    pub(crate) id: i64,
    /// `ok …` or `error …`.
    pub(crate) result: String,
}

impl Plain for AnswerCommand {}

impl Verb for AnswerCommand {
    type Answer = ();

    fn run(self, tx: &Tx<'_>) -> Result<(), Error> {
        let known = tx
            .conn
            .prepare_cached("UPDATE commands SET result = ?2 WHERE id = ?1")?
            .execute(params![self.id, self.result])?;
        if known == 0 {
            return Err(no_command(self.id));
        }
        Ok(())
    }
}

/// Asks for a command as it stands.
pub(crate) struct ShowCommand {
    /// Which.
    pub(crate) id: i64,
}

impl Plain for ShowCommand {}

impl Question for ShowCommand {
    type Answer = Command;

    fn run(self, tx: &Tx<'_>) -> Result<Command, Error> {
        tx.conn
            .prepare_cached(&format!("SELECT {COMMAND_COLUMNS} WHERE c.id = ?1"))?
            .query_row([self.id], from_row)
            .optional()?
            .ok_or_else(|| no_command(self.id))
    }
}

/// A time as its public column shows it: whole milliseconds.
fn public(time: Time) -> Time {
    Time(time.0.div_euclid(1_000) * 1_000)
}

fn no_command(id: i64) -> Error {
    Error::new(ErrorCode::NotFound, format!("no command with number {id}"))
        .with_next("ringrift processes ls")
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Command> {
    Ok(Command {
        id: row.get(0)?,
        process: row.get(1)?,
        verb: row.get(2)?,
        args: row.get(3)?,
        by: row.get(4)?,
        at: Time(row.get(5)?),
        taken_at: row.get::<_, Option<i64>>(6)?.map(Time),
        result: row.get(7)?,
    })
}
