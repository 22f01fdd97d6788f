//! Opening: every refusal that can be made before the first verb, each with its code. Runs on a
//! database thread.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::begin::{LOCK_WAIT_RECORDED, begin, name_holder};
use super::connection::{Use, connect};
use super::fs_probe::{self, FsProbe};
use super::housekeeper::wal_of;
use super::identity::FileId;
use super::place::{check_writable, database_of, folder_of, make_file, missing, real, refuse_lost};
use super::presence::{Presence, PresenceSettings};
use super::registry::Join;
use super::room::Bounds;
use super::verb::{Tx, Verb as _};
use super::verbs::head::log_end;
use super::watch::FileWatch;
use super::{identity, integrity, migrate};
use crate::clock::SharedClock;
use crate::event::{ProcessId, Seq};
use crate::store::pages::{self, Side};
use crate::store::registry::ProcessIdentity;
use crate::store::{Error, ErrorCode};

/// How long a write waits for another process's lock before it fails with `STORE_BUSY`.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Threads that answer questions: one may scan while the other serves the poller.
pub const READERS: usize = 2;

/// Most events in the log: a week at 80 events a second.
pub const LOG_EVENTS_MAX: u64 = 50_000_000;

/// Most bytes of the database file: what a small machine's disk can spare.
pub const LOG_BYTES_MAX: u64 = 10 << 30;

/// A larger WAL is held by somebody: a store checkpoints at a few MiB.
pub const WAL_BYTES_MAX: u64 = 1 << 30;

/// How often an open begins again because a restore put another file in place meanwhile.
const REPLACED_TRIES: u32 = 3;

/// What a store is opened with.
#[derive(Clone)]
pub struct OpenOptions {
    /// The home's folder; it exists.
    pub home: PathBuf,
    /// This process.
    pub process: ProcessIdentity,
    /// The clock. Database threads ask it, so it must own no descriptor.
    pub clock: SharedClock,
    /// Opens the file read-only; every writing verb is refused.
    pub read_only: bool,
    /// Makes the database, and its folder, where there is none.
    pub create: bool,
    /// With `create`: makes an empty one also where a store was lost.
    pub anew: bool,
    /// How long a write waits for another process's lock.
    pub busy_timeout: Duration,
    /// How long a write waits for the lock before that is recorded, with who held it.
    pub lock_wait_recorded: Duration,
    /// Threads that answer questions, at least 1.
    pub readers: usize,
    /// Publishing is held back while less of the disk is free, in percent; 0 never does.
    pub disk_free_min_percent: u32,
    /// Publishing is held back while unsettled work fills a log of so many events.
    pub log_events_max: u64,
    /// Publishing is held back while unsettled work fills a file of so many bytes.
    pub log_bytes_max: u64,
    /// A WAL of more bytes is a finding that names who holds it.
    pub wal_bytes_max: u64,
    /// Which file system a folder lies on.
    pub fs_probe: FsProbe,
    /// Lease, and when others count this process as hung.
    pub(crate) presence: PresenceSettings,
}

impl std::fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenOptions")
            .field("home", &self.home)
            .field("process", &self.process)
            .field("read_only", &self.read_only)
            .field("create", &self.create)
            .finish_non_exhaustive()
    }
}

impl OpenOptions {
    /// The defaults for a process that writes: nothing is created.
    #[must_use]
    pub fn new(home: PathBuf, process: ProcessIdentity, clock: SharedClock) -> OpenOptions {
        OpenOptions {
            home,
            process,
            clock,
            read_only: false,
            create: false,
            anew: false,
            busy_timeout: BUSY_TIMEOUT,
            lock_wait_recorded: LOCK_WAIT_RECORDED,
            readers: READERS,
            disk_free_min_percent: 0,
            log_events_max: LOG_EVENTS_MAX,
            log_bytes_max: LOG_BYTES_MAX,
            wal_bytes_max: WAL_BYTES_MAX,
            fs_probe: fs_probe::kernel,
            presence: PresenceSettings::default(),
        }
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            disk_free_min_percent: self.disk_free_min_percent,
            log_events_max: self.log_events_max,
            log_bytes_max: self.log_bytes_max,
        }
    }

    /// The same with another lease, in which a process proves that it goes on.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> OpenOptions {
        self.presence.lease = lease;
        self
    }

    /// The same with another age of the last beat from which on a process counts as hung.
    #[must_use]
    pub fn with_hung_after(mut self, hung_after: Duration) -> OpenOptions {
        self.presence.hung_after = hung_after;
        self
    }

    /// The same with another pace of looks for writers that do not ring.
    #[must_use]
    pub fn with_foreign_poll(mut self, foreign_poll: Duration) -> OpenOptions {
        self.presence.foreign_poll = foreign_poll;
        self
    }
}

/// What opening found.
pub(super) struct Opened {
    /// The home, without symbolic links.
    pub(super) home: PathBuf,
    /// The database, without symbolic links.
    pub(super) database: PathBuf,
    /// The first connection: the writer's, or a reader's of a read-only handle.
    pub(super) conn: Connection,
    /// How further readers are to connect.
    pub(super) reading: Use,
    /// This handle among the store's processes.
    pub(super) presence: Arc<Presence>,
    /// The log's identity.
    pub(super) incarnation: u64,
    /// This process's row; 0 for a handle that changes nothing.
    pub(super) process_row: i64,
    /// Over the file of the first connection; none for a handle that changes nothing.
    pub(super) watch: Option<FileWatch>,
    /// What is unusual.
    pub(super) notes: Vec<String>,
}

/// Opens the store, or says in a code why not.
pub(super) fn open(options: &OpenOptions) -> Result<Opened, Error> {
    let named = database_of(&options.home);
    for _ in 1..REPLACED_TRIES {
        let before = FileId::of(&named).ok();
        let opened = open_file(options);
        let replaced = before.is_some() && before != FileId::of(&named).ok();
        if opened.is_ok() || !replaced {
            return opened;
        }
    }
    open_file(options)
}

/// Opens the file that has the database's name now.
fn open_file(options: &OpenOptions) -> Result<Opened, Error> {
    let home = real(&options.home)?;
    if !(options.create && options.anew) {
        refuse_lost(&home)?;
    }
    let folder = folder_of(&home, options)?;
    let notes: Vec<String> = fs_probe::check(options.fs_probe, &folder)?
        .into_iter()
        .collect();
    let wished = folder.join("coordination.db");
    if options.create && !options.read_only {
        make_file(&wished, &folder)?;
    }
    // Side files lie beside the real file, also where the name is a symbolic link.
    let database = real(&wished).map_err(|_| missing(&wished))?;
    let file = FileId::of(&database).map_err(|_| missing(&database))?;
    if options.read_only {
        return open_reading(options, (home, database, file), notes);
    }
    check_writable(&folder, &database)?;
    let mut conn = connect(&database, Use::Write, options.busy_timeout)
        .map_err(|error| explain_first_read(error, &database))?;
    prepare(&mut conn, &home, (&database, file), options)
        .map_err(|error| explain_first_read(error, &database))
        .map_err(|error| name_holder(error, &database, options.busy_timeout))?;
    let incarnation = identity::incarnation(&conn)?;
    // The page before the row: a row without a page means a dead process.
    let side = Side::of(&database, true)?;
    let presence = Presence::open(
        side,
        options.process.id,
        Arc::clone(&options.clock),
        options.presence,
    )?;
    heal(&conn, &presence, options.process.id)?;
    let process_row = join(&conn, &presence, options, incarnation)?;
    let watch = FileWatch::begin(&conn, &database)?;
    Ok(Opened {
        home,
        database,
        conn,
        reading: Use::Read,
        presence,
        incarnation,
        process_row,
        watch: Some(watch),
        notes,
    })
}

/// After a failed sync nobody may publish with power durability until all have closed and the
/// file was checked. Whoever opens it first after that checks it here.
fn heal(conn: &Connection, presence: &Presence, own: ProcessId) -> Result<(), Error> {
    let Some(shared) = presence.shared().filter(|shared| shared.is_poisoned()) else {
        return Ok(());
    };
    for process in presence.side().pages()? {
        if process != own
            && pages::glance(presence.side(), process)?.is_some_and(|(_, lives)| lives)
        {
            return Ok(());
        }
    }
    if integrity::problems(conn)?.is_empty() {
        shared.heal();
    }
    Ok(())
}

fn join(
    conn: &Connection,
    presence: &Presence,
    options: &OpenOptions,
    incarnation: u64,
) -> Result<i64, Error> {
    let begun = begin(
        conn,
        presence,
        (options.busy_timeout, options.lock_wait_recorded),
    );
    begun.result?;
    let now = options.clock.now();
    let tx = |process_row: i64| Tx::new(conn, now, options.process.id, process_row);
    let joining = Join {
        process: options.process.clone(),
    };
    let joined = joining.run(&tx(0)).and_then(|row| {
        // A command that has waited is gone soon: what it waited for is to be told afterwards.
        let waited = begun
            .waited
            .map_or(Ok(()), |waited| waited.record(&tx(row)));
        waited?;
        // Nobody commits meanwhile.
        if let Ok(end) = log_end(conn) {
            presence.begin_log(incarnation, Seq(end));
        }
        Ok(row)
    });
    match joined {
        Ok(row) => {
            conn.execute_batch("COMMIT")?;
            Ok(row)
        }
        Err(error) => {
            if !conn.is_autocommit() {
                conn.execute_batch("ROLLBACK")?;
            }
            Err(error)
        }
    }
}

fn prepare(
    conn: &mut Connection,
    home: &Path,
    (database, file): (&Path, FileId),
    options: &OpenOptions,
) -> Result<(), Error> {
    let shown = database.display().to_string();
    // Somebody else's database must not even change its journal mode.
    migrate::inspect(conn, &shown)?;
    into_wal(conn)?;
    still_named(database, file)?;
    let migrated = migrate::migrate(conn, &shown)?;
    identity::settle(conn, home, database, &*options.clock)?;
    first_read(conn)?;
    if migrated {
        // A copy of a fresh or migrated store's file is then a whole one.
        drop(super::checkpoint::truncate(conn));
    }
    Ok(())
}

/// A restore renames another file over the database while it has the old one for itself: whoever
/// waited for that lock must not write into the old one. Once a connection has its share of the lock
/// nobody replaces the file any more.
fn still_named(database: &Path, file: FileId) -> Result<(), Error> {
    match FileId::of(database) {
        Ok(now) if now == file => Ok(()),
        Ok(_) | Err(_) => Err(Error::new(
            ErrorCode::Replaced,
            format!(
                "{} was replaced while it was opened: try again",
                database.display()
            ),
        )
        .with_next("ringrift status")),
    }
}

/// The change to WAL needs the file alone for a moment, and SQLite's busy handler is not asked.
fn into_wal(conn: &Connection) -> Result<(), Error> {
    const TRIES: u32 = 200;
    let mut tries = 0;
    loop {
        let mode: rusqlite::Result<String> =
            conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                return Err(Error::new(
                    ErrorCode::Io,
                    format!("the journal mode stays {mode}: this place does not carry a WAL"),
                ));
            }
            Err(error) => {
                tries += 1;
                let error = Error::from(error);
                if error.code != ErrorCode::Busy || tries > TRIES {
                    return Err(error);
                }
                std::thread::park_timeout(Duration::from_millis(10));
            }
        }
    }
}

fn open_reading(
    options: &OpenOptions,
    (home, database, file): (PathBuf, PathBuf, FileId),
    mut notes: Vec<String>,
) -> Result<Opened, Error> {
    let shown = database.display().to_string();
    let look = |reading| {
        let conn = connect(&database, reading, options.busy_timeout)?;
        let found = migrate::inspect(&conn, &shown)?;
        Ok((conn, found))
    };
    let mut reading = Use::ReadOnly;
    let mut looked = look(reading);
    // A WAL that is there belongs to a live process, or holds what a dead one committed last: the
    // file without it is not the store.
    if looked.as_ref().is_err_and(side_files_cannot_be_made) && !wal_of(&database).exists() {
        // No process has the store open (its side files would be there) and none can be made.
        reading = Use::Immutable;
        looked = look(reading);
        notes.push(format!(
            "{shown} is read as it stands: its folder cannot be written and no process has it open"
        ));
    }
    let (conn, found) = looked
        .map_err(|error| explain_first_read(error, &database))
        .map_err(|error| name_excluder(error, &database, options.busy_timeout))?;
    let looked = match found {
        migrate::Found::Ours(version) if version == migrate::newest() => Ok(()),
        migrate::Found::Ours(version) => Err(Error::new(
            ErrorCode::NotOurs,
            format!("{shown} has schema version {version}: a writing process has to bring it up to date first"),
        )
        .with_next("ringrift init")),
        migrate::Found::Empty => Err(missing(&database)),
    };
    let side = Side::of(&database, false);
    looked
        .and_then(|()| identity::check(&conn, &home, &database))
        .and_then(|()| first_read(&conn))
        .and_then(|()| still_named(&database, file))
        .map_err(|error| explain_first_read(error, &database))
        .map_err(|error| name_excluder(error, &database, options.busy_timeout))?;
    let incarnation = identity::incarnation(&conn)?;
    let presence = Presence::open_unseen(
        side?,
        options.process.id,
        Arc::clone(&options.clock),
        options.presence,
    );
    Ok(Opened {
        home,
        database,
        conn,
        reading,
        presence,
        incarnation,
        process_row: 0,
        watch: None,
        notes,
    })
}

/// Readers wait for nobody but for one who keeps the whole file for itself.
fn name_excluder(mut error: Error, database: &Path, waited: Duration) -> Error {
    if error.code == ErrorCode::Busy {
        let shown = database.display();
        (error.message, error.next) = match pages::excluder(database) {
            Some(pid) => (
                format!(
                    "{shown} was kept by process {pid} ({}) for itself alone for {waited:.1?}",
                    pages::command_line(pid)
                ),
                Some(format!("ps -fp {pid}")),
            ),
            None => (
                format!("{shown} could not be read for {waited:.1?}: somebody keeps it locked"),
                Some(format!("fuser -v {shown}")),
            ),
        };
    }
    error
}

/// A read-only connection to a WAL database needs `-wal` and `-shm`; in a folder nobody can write
/// it gets them only from a process that has them open.
fn side_files_cannot_be_made(error: &Error) -> bool {
    matches!(error.code, ErrorCode::ReadOnly | ErrorCode::Io)
}

/// Touches the pages that everything else needs: damage there is told at once.
fn first_read(conn: &Connection) -> Result<(), Error> {
    identity::incarnation(conn)?;
    conn.query_row("SELECT MAX(seq) FROM events", [], |row| {
        row.get::<_, Option<i64>>(0)
    })?;
    Ok(())
}

fn explain_first_read(mut error: Error, database: &Path) -> Error {
    if [ErrorCode::Corrupt, ErrorCode::Io].contains(&error.code)
        && let Some(two_homes) = identity::other_names(database)
    {
        // A WAL lies beside each name, and the file makes no sense without the other one's.
        return two_homes;
    }
    if error.code == ErrorCode::Corrupt {
        error.message = format!("{} is damaged: {}", database.display(), error.message);
    }
    error
}
