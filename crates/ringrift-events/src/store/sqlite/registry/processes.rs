//! Every process: its row, and what its page says while there is one.

use std::sync::Arc;

use rusqlite::Row;

use crate::clock::Time;
use crate::event::{ProcessId, Seq};
use crate::store::Error;
use crate::store::pages::Seen;
use crate::store::records::Load;
use crate::store::registry::{Counters, Liveness, ProcessIdentity, ProcessState};
use crate::store::sqlite::presence::Presence;
use crate::store::sqlite::verb::{Plain, Question, Tx};

/// Asks for every process known, live ones first, then by start.
pub(crate) struct Processes {
    /// Where the pages are read.
    pub(crate) presence: Arc<Presence>,
}

impl Plain for Processes {}
impl Plain for ProcessState {}

impl Question for Processes {
    type Answer = Vec<ProcessState>;

    fn run(self, tx: &Tx<'_>) -> Result<Vec<ProcessState>, Error> {
        let mut statement = tx.conn.prepare_cached(
            "SELECT process_id, host, pid, command, started_us, catalog_hash, version, state,
                 ended_us, beat_us, polled_to, published, published_volatile, publish_failed,
                 received, delivered, done, skipped, deduplicated, failed
             FROM processes ORDER BY process_id",
        )?;
        let rows = statement.query_map([], from_row)?;
        let mut states = Vec::new();
        for row in rows {
            let mut state: ProcessState = row?;
            if let Some(seen) = self.presence.look(state.process.id)? {
                take_from_page(&mut state, seen);
            }
            states.push(state);
        }
        states.sort_by_key(|state| !is_live(state.liveness));
        Ok(states)
    }
}

/// How one process lives: by its row's end, else by its page. A row without a page is a process
/// that died before it could leave. On a database thread.
pub(crate) fn liveness_of(
    tx: &Tx<'_>,
    presence: &Presence,
    process: ProcessId,
) -> Result<Option<Liveness>, Error> {
    use rusqlite::OptionalExtension as _;
    let state: Option<String> = tx
        .conn
        .prepare_cached("SELECT state FROM processes WHERE process_id = ?1")?
        .query_row([process], |row| row.get(0))
        .optional()?;
    let Some(state) = state else { return Ok(None) };
    if state == "left" {
        return Ok(Some(Liveness::Left));
    }
    let life = presence.life(process)?;
    Ok(Some(life.map_or(Liveness::Dead, |life| life.liveness)))
}

fn is_live(liveness: Liveness) -> bool {
    match liveness {
        Liveness::Alive | Liveness::Hung => true,
        Liveness::Left | Liveness::Dead => false,
    }
}

fn take_from_page(state: &mut ProcessState, seen: Seen) {
    if state.liveness != Liveness::Left {
        state.liveness = seen.liveness;
    }
    if let Some(running) = seen.running {
        state.running = running;
        state.beat_at = state.beat_at.max(seen.beat_at);
        state.counters = seen.counters;
        state.polled_to = state.polled_to.max(seen.polled_to);
        state.recent = seen.recent;
        state.blocked_by = seen.blocked_by;
        state.hosts = seen.hosts;
        state.stalls = seen.stalls;
        state.load = seen.load;
        state.cycles = seen.cycles;
    }
}

/// The row alone: what is true once there is no page.
fn from_row(row: &Row<'_>) -> rusqlite::Result<ProcessState> {
    let state: String = row.get(7)?;
    let started_at = Time(row.get(4)?);
    let ended: Option<i64> = row.get(8)?;
    let beat: Option<i64> = row.get(9)?;
    let count = |column: usize| -> rusqlite::Result<u64> {
        Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
    };
    Ok(ProcessState {
        process: ProcessIdentity {
            id: row.get(0)?,
            host: row.get(1)?,
            pid: row.get(2)?,
            command: row.get(3)?,
            started_at,
            catalog_hash: row.get::<_, i64>(5)?.cast_unsigned(),
            version: row.get(6)?,
        },
        liveness: if state == "left" {
            Liveness::Left
        } else {
            Liveness::Dead
        },
        beat_at: beat.or(ended).map_or(started_at, Time),
        counters: Counters {
            published: count(11)?,
            published_volatile: count(12)?,
            publish_failed: count(13)?,
            received: count(14)?,
            delivered: count(15)?,
            done: count(16)?,
            skipped: count(17)?,
            deduplicated: count(18)?,
            failed: count(19)?,
        },
        running: Vec::new(),
        recent: Vec::new(),
        polled_to: Seq(row.get(10)?),
        blocked_by: None,
        hosts: Vec::new(),
        stalls: Vec::new(),
        load: Load::default(),
        cycles: Vec::new(),
    })
}
