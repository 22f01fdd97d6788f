//! The handlers that programs say they have.

use rusqlite::params;

use super::process_of;
use crate::clock::Time;
use crate::store::Error;
use crate::store::pages::Bells;
use crate::store::records::DeclaredHandler;
use crate::store::sqlite::verb::{Plain, Question, Tx, Verb};

/// Keeps which handlers this process has.
pub(crate) struct DeclareHandlers {
    /// Which.
    pub(crate) handlers: Vec<DeclaredHandler>,
}

impl Plain for DeclareHandlers {}
impl Plain for DeclaredHandler {}

impl Verb for DeclareHandlers {
    type Answer = ();

    fn run(self, tx: &Tx<'_>) -> Result<(), Error> {
        let mut statement = tx.conn.prepare_cached(
            "INSERT INTO declared_handlers (process, name, types, declared_us, started_us)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (process, name) DO UPDATE SET types = excluded.types,
                 declared_us = min(declared_us, excluded.declared_us),
                 started_us = coalesce(started_us, excluded.started_us)",
        )?;
        for handler in self.handlers {
            statement.execute(params![
                tx.process_row,
                handler.name,
                handler.types.join("\n"),
                handler.declared_at.0,
                handler.started_at.map(|at| at.0),
            ])?;
        }
        Ok(())
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}

/// Asks for the handlers that programs declared.
pub(crate) struct AskDeclaredHandlers;

impl Plain for AskDeclaredHandlers {}

impl Question for AskDeclaredHandlers {
    type Answer = Vec<DeclaredHandler>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<DeclaredHandler>, Error> {
        let mut statement = tx.conn.prepare_cached(
            "SELECT p.process_id, d.name, d.types, d.declared_us, d.started_us
             FROM declared_handlers AS d LEFT JOIN processes AS p ON p.id = d.process
             ORDER BY p.process_id, d.name",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(DeclaredHandler {
                process: process_of(row.get(0)?),
                name: row.get(1)?,
                types: row
                    .get_ref(2)?
                    .as_str()?
                    .lines()
                    .map(str::to_owned)
                    .collect(),
                declared_at: Time(row.get(3)?),
                started_at: row.get::<_, Option<i64>>(4)?.map(Time),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
