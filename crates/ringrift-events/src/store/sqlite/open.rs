//! Opening: every refusal that can be made before the first verb, each with its code. Runs on a
//! database thread.

use std::fs::OpenOptions as FileOptions;
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::connection::{Use, connect};
use super::fs_probe::{self, FsProbe};
use super::housekeeper::wal_of;
use super::presence::{Presence, PresenceSettings};
use super::registry::Join;
use super::room::Bounds;
use super::verb::{Tx, Verb as _};
use super::watch::FileWatch;
use super::{identity, integrity, migrate};
use crate::clock::SharedClock;
use crate::event::ProcessId;
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
    /// How long a write waits for another process's lock.
    pub busy_timeout: Duration,
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
            busy_timeout: BUSY_TIMEOUT,
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

/// Where a home's database lies.
#[must_use]
pub fn database_of(home: &Path) -> PathBuf {
    home.join("data")
        .join("coordination")
        .join("coordination.db")
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
    let home = real(&options.home)?;
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
    if options.read_only {
        return open_reading(options, home, database, notes);
    }
    check_writable(&folder, &database)?;
    let mut conn = connect(&database, Use::Write, options.busy_timeout)
        .map_err(|error| explain_first_read(error, &database))?;
    prepare(&mut conn, &home, &database, options)
        .map_err(|error| explain_first_read(error, &database))?;
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
    let process_row = join(&conn, options)?;
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

fn join(conn: &Connection, options: &OpenOptions) -> Result<i64, Error> {
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let joined = Join {
        process: options.process.clone(),
    }
    .run(&Tx {
        conn,
        now: options.clock.now(),
        process: options.process.id,
        process_row: 0,
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
    database: &Path,
    options: &OpenOptions,
) -> Result<(), Error> {
    let shown = database.display().to_string();
    // Somebody else's database must not even change its journal mode.
    migrate::inspect(conn, &shown)?;
    into_wal(conn)?;
    let migrated = migrate::migrate(conn, &shown)?;
    identity::settle(conn, home, database, &*options.clock)?;
    first_read(conn)?;
    if migrated {
        // A copy of a fresh or migrated store's file is then a whole one.
        drop(super::checkpoint::truncate(conn));
    }
    Ok(())
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
    home: PathBuf,
    database: PathBuf,
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
    let (conn, found) = looked.map_err(|error| explain_first_read(error, &database))?;
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
        .map_err(|error| explain_first_read(error, &database))?;
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

fn real(path: &Path) -> Result<PathBuf, Error> {
    std::fs::canonicalize(path).map_err(|error| {
        let code = if error.kind() == io::ErrorKind::PermissionDenied {
            ErrorCode::Permissions
        } else {
            ErrorCode::Missing
        };
        Error::new(code, format!("{}: {error}", path.display())).with_next("ringrift init")
    })
}

fn folder_of(home: &Path, options: &OpenOptions) -> Result<PathBuf, Error> {
    let folder = home.join("data").join("coordination");
    if options.create && !options.read_only {
        std::fs::create_dir_all(&folder).map_err(|error| cannot_make(&folder, &error))?;
    }
    std::fs::canonicalize(&folder).map_err(|_| missing(&folder))
}

/// Makes an empty database file with the mode that its side files will take over.
fn make_file(path: &Path, folder: &Path) -> Result<(), Error> {
    let shared = group_writable(folder)?;
    let made = FileOptions::new()
        .write(true)
        .create_new(true)
        .mode(if shared { 0o660 } else { 0o644 })
        .open(path);
    match made {
        Ok(file) if shared => {
            // The umask may have taken the group's bit away.
            file.set_permissions(std::fs::Permissions::from_mode(0o660))
                .map_err(|error| cannot_make(path, &error))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(cannot_make(path, &error)),
    }
}

fn check_writable(folder: &Path, database: &Path) -> Result<(), Error> {
    group_writable(folder)?;
    for path in [folder, database] {
        rustix::fs::access(path, rustix::fs::Access::WRITE_OK).map_err(|error| {
            Error::new(
                ErrorCode::ReadOnly,
                format!("{} cannot be written: {error}", path.display()),
            )
            .with_next(format!("ls -ld {}", path.display()))
        })?;
    }
    Ok(())
}

/// Whether a group shares the folder. Without setgid the first opener's side files get that
/// user's own group, and shut everybody else out.
fn group_writable(folder: &Path) -> Result<bool, Error> {
    let mode = std::fs::metadata(folder)
        .map_err(|error| cannot_make(folder, &error))?
        .mode();
    let shared = mode & 0o020 != 0;
    if shared && mode & 0o2000 == 0 {
        return Err(Error::new(
            ErrorCode::Permissions,
            format!(
                "{} is writable by its group but not setgid (mode {:o}): the first user's files would shut the others out",
                folder.display(),
                mode & 0o7777
            ),
        )
        .with_next("ringrift init --group GROUP"));
    }
    Ok(shared)
}

fn missing(path: &Path) -> Error {
    Error::new(
        ErrorCode::Missing,
        format!("there is no store at {}", path.display()),
    )
    .with_next("ringrift init")
}

fn cannot_make(path: &Path, error: &io::Error) -> Error {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kind = error.kind();
    let code = if [PermissionDenied, ReadOnlyFilesystem].contains(&kind) {
        ErrorCode::ReadOnly
    } else if [StorageFull, QuotaExceeded].contains(&kind) {
        ErrorCode::Full
    } else {
        ErrorCode::Io
    };
    Error::new(code, format!("{} cannot be made: {error}", path.display())).with_next(format!(
        "ls -ld {}",
        path.parent().unwrap_or(path).display()
    ))
}
