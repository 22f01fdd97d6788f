use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::store::log::Log as _;
use crate::store::over::Over;
use crate::store::sqlite::testing::TestStore;
use crate::store::sqlite::{SqliteStore, database_of};

/// A home of 20 events that nobody has open, and a backup of its first 10.
fn ground() -> (TestStore, PathBuf) {
    let home = TestStore::new();
    home.append(10);
    let backup = home.path("backup.db");
    home.store.back_up(backup.clone()).wait().unwrap();
    home.append(10);
    home.store.close();
    (home, backup)
}

fn head(home: &TestStore) -> i64 {
    let store = SqliteStore::open(home.options()).unwrap();
    let seq = store.head().wait().unwrap().seq.0;
    store.close();
    seq
}

fn append_one(home: &TestStore) {
    let store = SqliteStore::open(home.options()).unwrap();
    crate::store::sqlite::testing::append(&store, 1).unwrap();
    store.close();
}

#[test]
fn what_is_published_while_the_backup_is_copied_is_not_lost() {
    let (home, backup) = ground();
    let (options, from) = (home.options(), backup.clone());
    let copied = on_database_thread(move || Copied::of(&options, &from)).unwrap();
    append_one(&home);
    let refused = on_database_thread(move || copied.put_in_place()).unwrap_err();
    assert_eq!(refused.code, ErrorCode::InUse, "{}", refused.message);
    assert_eq!(head(&home), 21);
    assert_eq!(restore(&home.options(), &backup, false).unwrap().events, 10);
    let left: Vec<_> = std::fs::read_dir(database_of(&home.options().home).parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("restoring"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn whoever_opens_during_a_restore_writes_into_the_new_file() {
    let (home, backup) = ground();
    let (options, from) = (home.options(), backup);
    let (go, gone) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        // Its first statement waits for the lock, on the file that was there when it opened it.
        let opener = scope.spawn(|| {
            while !go.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            gone.store(true, Ordering::Release);
            append_one(&home);
        });
        // Also where the taking fails: the opener waits for it.
        let begins = Over(&go);
        let taken = on_database_thread(move || {
            let mut copied = Copied::of(&options, &from)?;
            copied.target.as_mut().unwrap().take()?;
            Ok(copied)
        })
        .unwrap();
        drop(begins);
        while !gone.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        let restored = on_database_thread(move || taken.put_in_place()).unwrap();
        opener.join().unwrap();
        assert_eq!(restored.events_before, Some(20));
        assert!(restored.kept_is_readable);
        let kept = Connection::open(restored.kept.unwrap()).unwrap();
        assert_eq!(events_of(&kept).unwrap(), 20);
    });
    assert_eq!(head(&home), 11);
}

/// A program that is not ours: it reads once and keeps the file open.
fn foreign(database: &Path) -> std::process::Child {
    let mut child = Command::new("python3")
        .arg("-c")
        .arg(
            "import sqlite3, sys\n\
             c = sqlite3.connect(sys.argv[1])\n\
             try: c.execute('SELECT COUNT(*) FROM sqlite_master').fetchall()\n\
             except sqlite3.DatabaseError: pass\n\
             print('open', flush=True)\n\
             sys.stdin.read()",
        )
        .arg(database)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 5];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
    child
}

#[test]
fn a_connection_that_is_not_ours_is_noticed_and_named() {
    let (home, backup) = ground();
    let mut other = foreign(&database_of(&home.options().home));
    for dry_run in [true, false] {
        let refused = restore(&home.options(), &backup, dry_run).unwrap_err();
        assert_eq!(refused.code, ErrorCode::InUse);
        let pid = format!("pid {}", other.id());
        assert!(refused.message.contains(&pid), "{}", refused.message);
    }
    drop(other.stdin.take());
    other.wait().unwrap();
    assert_eq!(head(&home), 20);
    assert_eq!(restore(&home.options(), &backup, false).unwrap().events, 10);
}

fn damage(database: &Path, from: usize, bytes: usize) {
    let mut content = std::fs::read(database).unwrap();
    let end = (from + bytes).min(content.len());
    content[from..end].fill(0xA5);
    std::fs::write(database, content).unwrap();
}

#[test]
fn a_damaged_store_is_what_one_restores_over() {
    for (from, bytes) in [(0, 100), (100, 4_096), (8_192, usize::MAX / 2)] {
        let (home, backup) = ground();
        let database = database_of(&home.options().home);
        damage(&database, from, bytes);
        let restored = restore(&home.options(), &backup, false).unwrap();
        assert_eq!(restored.events, 10, "{from}");
        assert!(restored.kept.unwrap().exists());
        assert_eq!(head(&home), 10, "{from}");
    }
}

#[test]
fn a_damaged_store_is_not_replaced_under_a_living_process() {
    let home = TestStore::new();
    home.append(10);
    let backup = home.path("backup.db");
    home.store.back_up(backup.clone()).wait().unwrap();
    // In place: the process that has it open goes on holding it.
    damage(&database_of(&home.options().home), 0, 100);
    let refused = restore(&home.options(), &backup, false).unwrap_err();
    assert_eq!(refused.code, ErrorCode::InUse, "{}", refused.message);
    // A page that is gone hides nobody: the lock on the file is asked too.
    home.store.presence.die();
    let refused = restore(&home.options(), &backup, false).unwrap_err();
    assert_eq!(refused.code, ErrorCode::InUse, "{}", refused.message);
}

#[test]
fn a_store_of_a_newer_version_is_restored_over() {
    let (home, backup) = ground();
    let database = database_of(&home.options().home);
    let conn = Connection::open(&database).unwrap();
    conn.pragma_update(None, "user_version", 9_999).unwrap();
    drop(conn);
    assert_eq!(
        SqliteStore::open(home.options()).unwrap_err().code,
        ErrorCode::Newer
    );
    let mut other = foreign(&database);
    let refused = restore(&home.options(), &backup, false).unwrap_err();
    assert_eq!(refused.code, ErrorCode::InUse);
    drop(other.stdin.take());
    other.wait().unwrap();
    let restored = restore(&home.options(), &backup, false).unwrap();
    assert!(!restored.kept_is_readable);
    assert_eq!(head(&home), 10);
}
