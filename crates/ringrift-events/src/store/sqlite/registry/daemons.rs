//! How daemons stand.

use rusqlite::{Row, params};

use crate::clock::Time;
use crate::store::Error;
use crate::store::pages::Bells;
use crate::store::registry::DaemonState;
use crate::store::sqlite::verb::{Plain, Question, Tx, Verb};

/// Writes how this process's daemons stand, one row a daemon.
pub(crate) struct ReportDaemons {
    /// One a daemon; the process in it is not looked at.
    pub(crate) states: Vec<DaemonState>,
}

impl Plain for ReportDaemons {}
impl Plain for DaemonState {}

impl Verb for ReportDaemons {
    type Answer = ();

    fn run(self, tx: &Tx<'_>) -> Result<(), Error> {
        let mut statement = tx.conn.prepare_cached(
            "INSERT INTO daemons
                 (process, name, state, stopped_by, restarts, error, cycle_us, since_us)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (process, name) DO UPDATE SET state = excluded.state,
                 stopped_by = excluded.stopped_by, restarts = excluded.restarts,
                 error = excluded.error, cycle_us = excluded.cycle_us,
                 since_us = excluded.since_us",
        )?;
        for state in self.states {
            statement.execute(params![
                tx.process_row,
                state.name,
                state.state,
                state.stopped_by,
                state.restarts,
                state.error,
                state.cycle_at.map(|at| at.0),
                state.since.0,
            ])?;
        }
        Ok(())
    }

    fn rings(&self) -> Bells {
        Bells::NONE
    }
}

/// Asks how daemons stand in every process.
pub(crate) struct Daemons;

impl Plain for Daemons {}

impl Question for Daemons {
    type Answer = Vec<DaemonState>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<DaemonState>, Error> {
        let mut statement = tx.conn.prepare_cached(
            "SELECT p.process_id, d.name, d.state, d.stopped_by, d.restarts, d.error, d.cycle_us,
                 d.since_us
             FROM daemons AS d JOIN processes AS p ON p.id = d.process
             ORDER BY p.process_id, d.name",
        )?;
        let states = statement
            .query_map([], from_row)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(states)
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<DaemonState> {
    Ok(DaemonState {
        process: row.get(0)?,
        name: row.get(1)?,
        state: row.get(2)?,
        stopped_by: row.get(3)?,
        restarts: row.get(4)?,
        error: row.get(5)?,
        cycle_at: row.get::<_, Option<i64>>(6)?.map(Time),
        since: Time(row.get(7)?),
    })
}
