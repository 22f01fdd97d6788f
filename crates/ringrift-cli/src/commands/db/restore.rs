//! `ringrift db restore`: puts a backup in place of the database of a home that nobody uses.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use ringrift_events::store::registry::ProcessState;
use ringrift_events::store::sqlite::database_of;
use ringrift_events::store::{Error as StoreError, ErrorCode, Store};
use serde::Serialize;

use crate::call::Call;
use crate::confirm::{Confirm, Go, Plan, quoted};
use crate::failure::{Done, Error, Stop};
use crate::open;
use crate::output::{Report, Text};
use crate::resolve::lives;

/// How every SQLite database begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The arguments of `db restore`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift db restore /backup/coordination-2026-11-22.db --dry-run\n  ringrift db restore /backup/coordination-2026-11-22.db --yes\n\nRefused while any process of the home lives. The database as it is now is kept beside it first.\nPositions that processes held mean nothing afterwards: the log has a new incarnation."
)]
pub(crate) struct Args {
    /// The backup: what `db backup` wrote.
    #[arg(value_name = "FILE")]
    from: PathBuf,

    #[command(flatten)]
    confirm: Confirm,
}

#[derive(Serialize)]
struct Restored {
    from: String,
    kept: Option<String>,
    events_before: u64,
    events: u64,
    dry_run: bool,
    undo: Option<String>,
}

/// Restores it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    check_backup(&args.from)?;
    let home = open::home(call)?;
    let database = database_of(home.root());
    let store = open::writing(call)?;
    refuse_if_used(&*store)?;
    let before = store.check().wait()?.events;
    let kept = kept_name(call, &database);
    let undo = format!(
        "ringrift db restore {} --yes",
        quoted(&kept.display().to_string())
    );
    let plan = Plan {
        what: format!(
            "replace the database ({before} events) with {}",
            args.from.display()
        ),
        count: 1,
        lines: vec![format!("kept first as {}", kept.display())],
        undo: undo.clone(),
    };
    if args.confirm.ask(call, &plan)? == Go::DryRun {
        let restored = Restored {
            from: args.from.display().to_string(),
            kept: None,
            events_before: before,
            events: before,
            dry_run: true,
            undo: None,
        };
        return call.answer("db restore", &restored);
    }
    refuse_if_used(&*store)?;
    store.backup(kept.clone()).wait()?;
    drop(store);
    put_in_place(&args.from, &database)?;
    let events = match settled(call) {
        Ok(events) => events,
        Err(stop) => {
            // The backup is no good after all: what was there comes back.
            put_in_place(&kept, &database)?;
            return Err(stop);
        }
    };
    call.answer(
        "db restore",
        &Restored {
            from: args.from.display().to_string(),
            kept: Some(kept.display().to_string()),
            events_before: before,
            events,
            dry_run: false,
            undo: Some(undo),
        },
    )
}

fn check_backup(from: &Path) -> Result<(), Stop> {
    let mut magic = [0; MAGIC.len()];
    File::open(from)
        .and_then(|mut file| file.read_exact(&mut magic))
        .map_err(|source| failed("cannot read", from, source))?;
    if &magic != MAGIC {
        return Err(StoreError::new(
            ErrorCode::NotOurs,
            format!("{} is no SQLite database", from.display()),
        )
        .with_next("ringrift db backup FILE")
        .into());
    }
    Ok(())
}

fn refuse_if_used(store: &dyn Store) -> Result<(), Stop> {
    let me = store.process();
    let living: Vec<String> = store
        .processes()
        .wait()?
        .iter()
        .filter(|state| lives(state) && state.process.id != me)
        .map(|ProcessState { process, .. }| format!("pid {} ({})", process.pid, process.command))
        .collect();
    if living.is_empty() {
        return Ok(());
    }
    Err(StoreError::new(
        ErrorCode::InUse,
        format!("cannot restore while processes live: {}", living.join(", ")),
    )
    .with_next("ringrift processes ls")
    .into())
}

/// Beside the database, named by the time; never an existing file.
fn kept_name(call: &Call, database: &Path) -> PathBuf {
    let stamp = call.now().to_sql().replace([' ', ':', '.'], "-");
    database.with_file_name(format!("coordination.db.before-restore-{stamp}"))
}

/// Copies the file beside the database and renames it over it, so that there is always a whole
/// one. The database is closed: its WAL was folded in and is empty.
fn put_in_place(from: &Path, database: &Path) -> Result<(), Stop> {
    let copy = database.with_file_name("coordination.db.restoring");
    let replace = || -> io::Result<()> {
        let wal = beside(database, "-wal");
        if fs::metadata(&wal).is_ok_and(|wal| wal.len() > 0) {
            return Err(io::Error::other(format!(
                "{} is not empty: somebody uses the database",
                wal.display()
            )));
        }
        fs::copy(from, &copy)?;
        fs::set_permissions(&copy, fs::metadata(database)?.permissions())?;
        File::open(&copy)?.sync_all()?;
        for side in [wal, beside(database, "-shm")] {
            match fs::remove_file(side) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        fs::rename(&copy, database)?;
        match database.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    replace().map_err(|source| failed("cannot replace", database, source))
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Opens what was put in place, which gives it its new incarnation, and checks it.
fn settled(call: &Call) -> Result<u64, Stop> {
    let store = open::writing(call)?;
    let checked = store.check().wait()?;
    match checked.problems.first() {
        None => Ok(checked.events),
        Some(problem) => Err(StoreError::new(
            ErrorCode::Corrupt,
            format!("the backup is damaged: {problem}; the database is as it was"),
        )
        .into()),
    }
}

fn failed(what: &str, path: &Path, source: io::Error) -> Stop {
    Stop::from(Error::Io {
        what: format!("{what} {}", path.display()),
        source,
    })
}

impl Report for Restored {
    fn write(&self, text: &mut Text) {
        if self.dry_run {
            text.line(format!("{} would be restored", self.from));
            return;
        }
        text.line(format!(
            "{} is restored: {} events, before {}",
            self.from, self.events, self.events_before
        ));
        if let (Some(kept), Some(undo)) = (&self.kept, &self.undo) {
            text.line(format!("The database as it was: {kept}"));
            text.line(format!("Undo: {undo}"));
        }
    }
}
