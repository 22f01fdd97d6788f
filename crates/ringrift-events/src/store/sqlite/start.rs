//! Starting the threads of a store: each opens a connection of its own, and the start has failed if one
//! of them cannot.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::connection::{Use, connect};
use super::fault;
use super::housekeeper::Housekeeper;
use super::keeper::Keeper;
use super::line::Line;
use super::neighbours::Neighbours;
use super::open::{OpenOptions, Opened, open};
use super::open_guard::{Held, hold};
use super::presence::Presence;
use super::reader::Reader;
use super::syncer::Syncer;
use super::watch::FileWatch;
use super::writer::Writer;
use crate::store::spin::Spin;
use crate::store::{Error, ErrorCode};

/// The file is opened by one store of the process at a time: a file that was just made is closed
/// before SQLite takes locks on it.
static OPENING: Mutex<()> = Mutex::new(());

/// What the thread that opened the file tells of it.
pub(super) struct Facts {
    pub(super) home: PathBuf,
    pub(super) database: PathBuf,
    pub(super) reading: Use,
    pub(super) presence: Arc<Presence>,
    pub(super) incarnation: u64,
    pub(super) held: Held,
    /// What the watches over the file have seen; none for a handle that changes nothing.
    pub(super) seen: Option<Arc<AtomicU32>>,
    pub(super) notes: Vec<String>,
}

/// Opens the file and starts the threads that every handle has.
pub(super) fn start(
    keeper: &'static Keeper,
    line: &Arc<Line>,
    options: &OpenOptions,
) -> Result<Facts, Error> {
    let facts = start_first(keeper, line, options)?;
    let first = usize::from(options.read_only);
    for _ in first..options.readers.max(1) {
        start_reader(keeper, line, options, &facts)?;
    }
    if !options.read_only {
        start_housekeeper(keeper, line, options, &facts)?;
    }
    Ok(facts)
}

/// Opens the file on the thread that is to write it, or, read-only, on the first reader's.
fn start_first(keeper: &Keeper, line: &Arc<Line>, options: &OpenOptions) -> Result<Facts, Error> {
    let (tell, told) = sync_channel(1);
    let (line, options) = (Arc::clone(line), options.clone());
    let guard = line.threads.enter();
    keeper.spawn("rr-db-writer", move || {
        let _guard = guard;
        let opened = {
            let _one = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
            open(&options)
        };
        let Opened {
            home,
            database,
            conn,
            reading,
            presence,
            incarnation,
            process_row,
            watch,
            notes,
        } = match opened {
            Ok(opened) => opened,
            Err(error) => {
                drop(tell.send(Err(error)));
                return;
            }
        };
        let facts = Facts {
            home,
            held: hold(&database),
            database: database.clone(),
            reading,
            presence: Arc::clone(&presence),
            incarnation,
            seen: watch.as_ref().map(FileWatch::seen),
            notes,
        };
        line.process_row.store(process_row, Ordering::Release);
        if tell.send(Ok(facts)).is_err() {
            return;
        }
        if options.read_only {
            reader(conn, line, &options).run();
        } else {
            let neighbours = Arc::new(Neighbours::new(presence, incarnation));
            Writer {
                syncer: Syncer::new(Arc::clone(&line), Arc::clone(&neighbours), &database),
                conn,
                line,
                clock: options.clock,
                process: options.process.id,
                neighbours,
                patience: (options.busy_timeout, options.lock_wait_recorded),
                watch,
                waited: None,
                company: Spin::default(),
            }
            .run();
        }
    })?;
    told.recv().map_err(|_| ended_early())?
}

fn start_reader(
    keeper: &Keeper,
    line: &Arc<Line>,
    options: &OpenOptions,
    facts: &Facts,
) -> Result<(), Error> {
    let (tell, told) = sync_channel(1);
    let (line, options) = (Arc::clone(line), options.clone());
    let (database, reading) = (facts.database.clone(), facts.reading);
    let guard = line.threads.enter();
    keeper.spawn("rr-db-reader", move || {
        let _guard = guard;
        match connect(&database, reading, options.busy_timeout) {
            Ok(conn) => {
                if tell.send(Ok(())).is_ok() {
                    reader(conn, line, &options).run();
                }
            }
            Err(error) => drop(tell.send(Err(error))),
        }
    })?;
    told.recv().map_err(|_| ended_early())?
}

fn reader(conn: Connection, line: Arc<Line>, options: &OpenOptions) -> Reader {
    Reader {
        conn,
        line,
        clock: Arc::clone(&options.clock),
        process: options.process.id,
        ends_at: Arc::new(AtomicU64::new(u64::MAX)),
    }
}

fn start_housekeeper(
    keeper: &Keeper,
    line: &Arc<Line>,
    options: &OpenOptions,
    facts: &Facts,
) -> Result<(), Error> {
    let bounds = options.bounds();
    let (tell, told) = sync_channel(1);
    let line = Arc::clone(line);
    let database = facts.database.clone();
    let seen = facts.seen.clone().unwrap_or_default();
    let guard = line.threads.enter();
    keeper.spawn("rr-db-housekeeper", move || {
        let _guard = guard;
        let ready = connect(&database, Use::Write, Duration::ZERO)
            .and_then(|conn| Ok((FileWatch::begin(&conn, &database)?.sharing(seen), conn)));
        match ready {
            Ok((watch, conn)) => {
                let mut housekeeper = Housekeeper {
                    conn,
                    line,
                    database,
                    watch,
                    bounds,
                };
                // A process that lives for one publish must know it too.
                housekeeper.look_at_room();
                if tell.send(Ok(())).is_ok() {
                    housekeeper.run();
                }
            }
            Err(error) => drop(tell.send(Err(error))),
        }
    })?;
    told.recv().map_err(|_| ended_early())?
}

fn ended_early() -> Error {
    let error = Error::new(ErrorCode::Io, "a database thread ended at its start");
    match fault::next(ErrorCode::Io) {
        Some(next) => error.with_next(next),
        None => error,
    }
}
