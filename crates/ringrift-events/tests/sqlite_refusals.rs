//! Whatever cannot be opened is refused with its code, and nothing is made or changed.
#![cfg(test)]

mod sqlite_support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use ringrift_events::store::log::Log as _;
use ringrift_events::store::sqlite::{OpenOptions, SqliteStore, database_of};
use ringrift_events::store::{Error, ErrorCode};
use sqlite_support::{Home, batch, event, options, shell};

fn refusal(options: OpenOptions) -> Error {
    SqliteStore::open(options).expect_err("it was opened")
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A home whose store was opened, written to and closed.
fn used_home() -> Home {
    let home = Home::new();
    let store = home.open();
    let events = (0..500).map(|_| event(&store, "training_completed", "{\"a\":1}"));
    store.append(batch(events), None).wait().unwrap();
    store.close();
    home
}

#[test]
fn a_home_that_is_not_there_is_not_made() {
    let home = Home::new();
    let absent = home.path().join("absent");
    let error = refusal(options(&absent));
    assert_eq!(error.code, ErrorCode::Missing);
    assert!(error.next.is_some());
    assert!(!absent.exists());
}

#[test]
fn a_store_that_is_not_there_is_made_only_when_asked() {
    let home = Home::new();
    let mut options = home.options();
    options.create = false;
    assert_eq!(refusal(options.clone()).code, ErrorCode::Missing);
    options.create = true;
    options.read_only = true;
    assert_eq!(refusal(options).code, ErrorCode::Missing);
    assert!(!home.path().join("data").exists());
}

#[test]
fn a_file_of_something_else_is_left_as_it_is() {
    let home = Home::new();
    let database = database_of(home.path());
    std::fs::create_dir_all(database.parent().unwrap()).unwrap();
    shell(
        &database,
        "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)",
    )
    .unwrap();
    let before = std::fs::read(&database).unwrap();
    assert_eq!(refusal(home.options()).code, ErrorCode::NotOurs);
    assert_eq!(std::fs::read(&database).unwrap(), before);
    let text = "not a database at all, but long enough to be looked at\n".repeat(200);
    std::fs::write(&database, &text).unwrap();
    let error = refusal(home.options());
    assert_eq!(error.code, ErrorCode::NotOurs, "{error}");
    assert_eq!(std::fs::read(&database).unwrap(), text.as_bytes());
}

#[test]
fn a_newer_file_is_refused_with_both_versions() {
    let home = used_home();
    shell(&home.database(), "PRAGMA user_version = 900").unwrap();
    let error = refusal(home.options());
    assert_eq!(error.code, ErrorCode::Newer);
    assert!(error.message.contains("900"));
}

#[test]
fn a_damaged_file_is_told_at_the_open_or_at_the_first_read_of_the_damage() {
    let home = used_home();
    let database = home.database();
    let whole = std::fs::read(&database).unwrap();
    // Cut off: the header says more pages than there are.
    std::fs::write(&database, &whole[..8_192]).unwrap();
    let error = refusal(home.options());
    assert_eq!(error.code, ErrorCode::Corrupt, "{error}");
    assert!(error.next.is_some());
    // Scribbled over from the second page on.
    let mut scribbled = whole.clone();
    scribbled[4_096..].fill(0x5A);
    std::fs::write(&database, &scribbled).unwrap();
    assert_eq!(refusal(home.options()).code, ErrorCode::Corrupt);
    std::fs::write(&database, &whole).unwrap();
    home.open();
}

#[test]
fn network_file_systems_are_refused_and_fuse_is_noted() {
    let home = Home::new();
    let mut options = home.options();
    options.fs_probe = |_| Ok(0x6969);
    let error = refusal(options);
    assert_eq!(error.code, ErrorCode::NetworkFs);
    assert!(error.message.contains("NFS"));
    let mut options = home.options();
    options.fs_probe = |_| Ok(0x6573_5546);
    let store = SqliteStore::open(options).unwrap();
    assert!(store.notes().iter().any(|note| note.contains("FUSE")));
}

#[test]
fn a_group_writable_folder_without_setgid_is_refused() {
    let home = used_home();
    let folder = home.database().parent().unwrap().to_owned();
    mode(&folder, 0o770);
    assert_eq!(refusal(home.options()).code, ErrorCode::Permissions);
    mode(&folder, 0o2770);
    home.open();
}

#[test]
fn files_of_a_shared_home_get_the_group_s_bits() {
    let home = Home::new();
    let folder = database_of(home.path()).parent().unwrap().to_owned();
    std::fs::create_dir_all(&folder).unwrap();
    mode(&folder, 0o2770);
    let store = home.open();
    store
        .append(batch([event(&store, "training_completed", "{}")]), None)
        .wait()
        .unwrap();
    for name in [
        "coordination.db",
        "coordination.db-wal",
        "coordination.db-shm",
    ] {
        let found = std::fs::metadata(folder.join(name)).unwrap().permissions();
        assert_eq!(found.mode() & 0o777, 0o660, "{name}");
    }
}

#[test]
fn a_copy_and_a_hard_link_of_another_home_s_file_are_two_homes() {
    let home = used_home();
    let other = Home::new();
    let theirs = database_of(other.path());
    std::fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    std::fs::copy(home.database(), &theirs).unwrap();
    let error = refusal(other.options());
    assert_eq!(error.code, ErrorCode::TwoHomes, "{error}");
    assert!(error.message.contains("copy"));
    std::fs::remove_file(&theirs).unwrap();
    std::fs::hard_link(home.database(), &theirs).unwrap();
    assert_eq!(refusal(other.options()).code, ErrorCode::TwoHomes);
}

#[test]
fn a_home_that_was_moved_opens_with_its_log() {
    let home = used_home();
    let moved = Home::new();
    std::fs::rename(home.path().join("data"), moved.path().join("data")).unwrap();
    let store = moved.open();
    assert_eq!(store.head().wait().unwrap().seq.0, 500);
}

#[test]
fn a_copy_put_in_the_file_s_place_has_another_incarnation() {
    let home = used_home();
    let store = home.open();
    let before = store.head().wait().unwrap();
    store.close();
    let database = home.database();
    let copy = home.path().join("copy.db");
    std::fs::copy(&database, &copy).unwrap();
    std::fs::rename(&copy, &database).unwrap();
    let store = home.open();
    let after = store.head().wait().unwrap();
    assert_eq!(after.seq, before.seq);
    assert_ne!(after.incarnation, before.incarnation);
}

#[test]
fn a_read_only_handle_reads_and_refuses_to_write() {
    let home = used_home();
    let mut options = home.options();
    options.read_only = true;
    let store = SqliteStore::open(options).unwrap();
    assert_eq!(store.head().wait().unwrap().seq.0, 500);
    let refused = store.append(batch([event(&store, "training_completed", "{}")]), None);
    assert_eq!(refused.wait().unwrap_err().code, ErrorCode::ReadOnly);
}
