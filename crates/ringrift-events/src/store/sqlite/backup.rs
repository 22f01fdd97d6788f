//! A consistent copy of a live store.

use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::SqliteStore;
use super::connection::{Use, connect};
use super::long::Place;
use crate::store::{Error, ErrorCode, Pending};

/// Pages copied between two looks at the store's end: 16 MiB.
const PAGES_AT_ONCE: i32 = 4_096;

impl SqliteStore {
    /// Writes a consistent copy to `to`, which must not exist; it appears whole or not at all.
    pub(crate) fn back_up(&self, to: PathBuf) -> Pending<()> {
        self.work(move |place| {
            let source = connect(&place.database, place.reading, place.busy)?;
            copy(&source, &to, Some(&place.database), || place.go_on())
        })
    }
}

impl Place {
    /// Opens the database as this handle reads it.
    pub(super) fn reader(&self) -> Result<Connection, Error> {
        connect(&self.database, self.reading, self.busy)
    }
}

/// Copies what `source` holds now to a new file, which is for whom the file `like` is for. On a
/// database thread.
pub(super) fn copy(
    source: &Connection,
    to: &Path,
    like: Option<&Path>,
    go_on: impl Fn() -> Result<(), Error>,
) -> Result<(), Error> {
    if to.exists() {
        return Err(Error::new(
            ErrorCode::WrongState,
            format!(
                "{} exists already, a backup overwrites nothing",
                to.display()
            ),
        ));
    }
    let mut unfinished = to.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let copied = copy_to(source, &unfinished, like, go_on).and_then(|()| {
        name(&unfinished, to).map_err(|error| {
            Error::new(
                ErrorCode::Io,
                format!("{} cannot be made: {error}", to.display()),
            )
        })
    });
    if copied.is_err() {
        // What is left of it is of no use; that it cannot be removed changes nothing.
        drop(std::fs::remove_file(&unfinished));
    }
    copied
}

fn copy_to(
    source: &Connection,
    unfinished: &Path,
    like: Option<&Path>,
    go_on: impl Fn() -> Result<(), Error>,
) -> Result<(), Error> {
    let made = File::create(unfinished).and_then(|file| match like {
        Some(like) => share_as(&file, like),
        None => Ok(()),
    });
    made.map_err(|error| {
        Error::new(
            ErrorCode::ReadOnly,
            format!("{} cannot be made: {error}", unfinished.display()),
        )
    })?;
    // One read transaction around it: what others commit meanwhile neither shows nor makes the
    // copy begin again.
    source.execute_batch("BEGIN; SELECT COUNT(*) FROM sqlite_master;")?;
    let mut target = connect(unfinished, Use::Write, std::time::Duration::ZERO)?;
    {
        let backup = Backup::new(source, &mut target)?;
        while backup.step(PAGES_AT_ONCE)? != StepResult::Done {
            go_on()?;
        }
    }
    source.execute_batch("COMMIT")?;
    drop(target);
    Ok(())
}

/// Gives the file the group and the mode of another one, whatever this process's umask: the users
/// who share a home also read its backups.
fn share_as(file: &File, like: &Path) -> std::io::Result<()> {
    let wanted = std::fs::metadata(like)?;
    if file.metadata()?.gid() != wanted.gid()
        && std::os::unix::fs::fchown(file, None, Some(wanted.gid())).is_err()
    {
        // Not a member of that group: with its own one the mode opens the file to nobody new.
        return Ok(());
    }
    file.set_permissions(std::fs::Permissions::from_mode(wanted.mode() & 0o666))
}

/// Syncs the file and gives it its name.
fn name(unfinished: &Path, to: &Path) -> std::io::Result<()> {
    File::open(unfinished)?.sync_all()?;
    std::fs::rename(unfinished, to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::log::Log as _;
    use crate::store::sqlite::restore;
    use crate::store::sqlite::testing::TestStore;

    #[test]
    fn a_backup_of_a_live_store_is_whole_and_can_be_restored_once_nobody_has_it_open() {
        let home = TestStore::new();
        home.append(500);
        let before = home.store.head().wait().unwrap();
        let to = home.path("backup.db");
        home.store.back_up(to.clone()).wait().unwrap();
        home.append(5);
        let again = home.store.back_up(to.clone()).wait().unwrap_err();
        assert_eq!(again.code, ErrorCode::WrongState);
        let refused = restore(&home.options(), &to, false).unwrap_err();
        assert_eq!(refused.code, ErrorCode::InUse);
        home.store.close();
        assert_eq!(restore(&home.options(), &to, true).unwrap().events, 500);
        let restored = restore(&home.options(), &to, false).unwrap();
        assert_eq!(restored.events, 500);
        assert!(restored.kept.unwrap().exists());
        let store = SqliteStore::open(home.options()).unwrap();
        let after = store.head().wait().unwrap();
        assert_eq!(after.seq, before.seq);
        assert_eq!(after.incarnation, restored.incarnation);
        assert_ne!(after.incarnation, before.incarnation);
        let checked = crate::store::Upkeep::check(&*store).wait().unwrap();
        assert_eq!((checked.problems, checked.events), (Vec::new(), 500));
    }

    #[test]
    fn a_backup_taken_under_load_is_whole() {
        let home = TestStore::new();
        home.append(5_000);
        let to = home.path("backup.db");
        let backup = home.store.back_up(to.clone());
        for _ in 0..50 {
            home.append(20);
        }
        backup.wait().unwrap();
        let conn = Connection::open(&to).unwrap();
        assert_eq!(
            crate::store::sqlite::integrity::problems(&conn).unwrap(),
            Vec::<String>::new()
        );
        let count: i64 = conn
            .query_row("SELECT COUNT(*) FROM events", [], |row| row.get(0))
            .unwrap();
        assert!(count >= 5_000);
    }

    #[test]
    fn a_damaged_backup_is_refused_before_anything_is_touched() {
        let home = TestStore::new();
        home.append(2_000);
        let to = home.path("backup.db");
        home.store.back_up(to.clone()).wait().unwrap();
        home.store.close();
        let mut bytes = std::fs::read(&to).unwrap();
        let end = bytes.len();
        bytes[end / 2..end / 2 + 8_192].fill(0xA5);
        std::fs::write(&to, bytes).unwrap();
        assert_eq!(
            restore(&home.options(), &to, false).unwrap_err().code,
            ErrorCode::Corrupt
        );
        let store = SqliteStore::open(home.options()).unwrap();
        assert_eq!(store.head().wait().unwrap().seq.0, 2_000);
    }

    #[test]
    fn a_restore_into_a_home_whose_database_is_gone_puts_its_wal_aside() {
        let home = TestStore::new();
        home.append(500);
        let to = home.path("backup.db");
        home.store.back_up(to.clone()).wait().unwrap();
        home.store.close();
        let database = home.store.database().to_owned();
        let wal = crate::store::sqlite::housekeeper::wal_of(&database);
        std::fs::remove_file(&database).unwrap();
        std::fs::write(&wal, b"what its last process left").unwrap();
        assert_eq!(
            SqliteStore::open(home.options()).unwrap_err().code,
            ErrorCode::Lost
        );
        assert_eq!(restore(&home.options(), &to, false).unwrap().kept, None);
        assert!(
            !wal.exists(),
            "a WAL belongs to the file it was written for"
        );
        let store = SqliteStore::open(home.options()).unwrap();
        assert_eq!(store.head().wait().unwrap().seq.0, 500);
    }
}
