//! Places where no store can be, or not this one: refused at the open, and left as they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use ringrift_events::coded::Coded as _;
use ringrift_events::config::Home;

use crate::children::{in_own_mounts, mode, part, part_as_nobody, program};
use crate::ground::{Ground, Works, database, open};

/// Every file below a folder with its bytes, every folder with none.
fn everything(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(everything(&path));
            found.insert(path, Vec::new());
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

fn shell(database: &Path, sql: &str) {
    let done = Command::new("sqlite3").arg(database).arg(sql).status();
    assert!(done.unwrap().success(), "{sql}");
}

/// The open is refused with this code and a next command.
#[track_caller]
fn refused(home: &Path, code: &str) {
    let error = open(home).err().expect("it was opened");
    assert_eq!(error.code(), code, "{error}");
    assert!(error.next().is_some(), "{error}");
}

#[test]
fn a_named_home_that_is_missing_is_refused_and_not_made() {
    let ground = Ground::new();
    let absent = ground.path("absent");
    let here = ground.path("");
    for (flag, variable) in [(Some(&absent), None), (None, Some(&absent))] {
        let error = Home::find(
            flag.map(PathBuf::as_path),
            variable.map(PathBuf::as_path),
            &here,
        )
        .unwrap_err();
        assert_eq!(error.code(), "HOME_MISSING", "{error}");
        assert!(error.to_string().contains("absent") && error.next().is_some());
    }
    assert!(everything(&here).is_empty());
}

#[test]
fn a_home_that_cannot_be_written_is_refused_and_nothing_is_made_in_it() {
    let ground = Ground::new();
    let program = program(&ground);
    std::fs::create_dir(ground.home()).unwrap();
    mode(&ground.home(), 0o555);
    let told = part_as_nobody("open", &ground.home(), &program);
    assert_eq!(told, ["HOME_UNWRITABLE next true"]);
    assert!(everything(&ground.home()).is_empty());
}

#[test]
fn a_database_that_may_only_be_read_is_refused_and_whole_when_it_may_be_written_again() {
    let ground = Ground::used(20);
    let program = program(&ground);
    let coordination = ground.home().join("data/coordination");
    let before = std::fs::read(ground.database()).unwrap();
    for (folder, file) in [(0o555, 0o444), (0o777, 0o444), (0o555, 0o666)] {
        mode(&coordination, folder);
        mode(&ground.database(), file);
        let told = part_as_nobody("open", &ground.home(), &program);
        // Writable by its group, but not handed on to it, is refused before that.
        let code = if folder == 0o777 {
            "STORE_PERMISSIONS"
        } else {
            "STORE_READ_ONLY"
        };
        assert_eq!(told, [format!("{code} next true")]);
        assert_eq!(std::fs::read(ground.database()).unwrap(), before);
    }
    mode(&coordination, 0o755);
    mode(&ground.database(), 0o644);
    let works = Works::open(&ground.home());
    assert_eq!(works.log().len(), 20);
    works.close();
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_left_byte_for_byte() {
    let ground = Ground::new();
    std::fs::create_dir_all(ground.database().parent().unwrap()).unwrap();
    shell(
        &ground.database(),
        "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)",
    );
    left_alone(&ground, "STORE_NOT_OURS");
    std::fs::write(ground.database(), "some text of somebody\n".repeat(500)).unwrap();
    left_alone(&ground, "STORE_NOT_OURS");
}

/// Refused twice, and the database keeps its bytes.
#[track_caller]
fn left_alone(ground: &Ground, code: &str) {
    let before = std::fs::read(ground.database()).unwrap();
    refused(&ground.home(), code);
    refused(&ground.home(), code);
    assert_eq!(std::fs::read(ground.database()).unwrap(), before);
}

#[test]
fn a_file_from_a_newer_version_is_refused_and_left_byte_for_byte() {
    let ground = Ground::used(20);
    shell(
        &ground.database(),
        "PRAGMA user_version = 900; PRAGMA wal_checkpoint(TRUNCATE)",
    );
    left_alone(&ground, "STORE_NEWER");
}

#[test]
fn a_damaged_file_is_refused_at_the_open_and_left_byte_for_byte() {
    let ground = Ground::used(500);
    let whole = std::fs::read(ground.database()).unwrap();
    std::fs::write(ground.database(), &whole[..8_192]).unwrap();
    left_alone(&ground, "STORE_CORRUPT");
    let mut scribbled = whole.clone();
    scribbled[4_096..].fill(0x5A);
    std::fs::write(ground.database(), &scribbled).unwrap();
    left_alone(&ground, "STORE_CORRUPT");
    std::fs::write(ground.database(), &whole).unwrap();
    let works = Works::open(&ground.home());
    assert_eq!(works.log().len(), 500);
    works.close();
}

#[test]
fn damage_that_the_open_does_not_touch_is_told_where_it_is_read() {
    let ground = Ground::new();
    let works = Works::open(&ground.home());
    let marked = format!("{{\"x\":\"{}\"}}", "marked".repeat(20_000));
    let hurt = works.publish(&marked).unwrap();
    for _ in 0..20 {
        works.publish("{}").unwrap();
    }
    works.stands_at(21);
    works.close();
    // The overflow pages of that payload point into nowhere.
    let mut bytes = std::fs::read(ground.database()).unwrap();
    let pages: Vec<usize> = (1..bytes.len() / 4_096)
        .map(|page| page * 4_096)
        .filter(|at| {
            bytes[at + 4..at + 4_096]
                .windows(12)
                .all(|w| b"markedmarkedmarkedmarked".windows(12).any(|m| m == w))
        })
        .collect();
    assert!(pages.len() > 10, "the payload was not found");
    for at in pages {
        bytes[at..at + 4].fill(0xFF);
    }
    std::fs::write(ground.database(), &bytes).unwrap();
    let system = open(&ground.home()).unwrap();
    let of_it = ringrift_events::store::log::EventRef::Id(hurt.id);
    let error = system.store().find(of_it).wait().unwrap_err();
    assert_eq!(error.code(), "STORE_CORRUPT", "{error}");
    let problems = system.store().check().wait().unwrap().problems;
    assert!(!problems.is_empty(), "the check names it");
    system.close();
}

#[test]
fn a_hard_link_or_a_copy_of_another_home_s_file_is_refused_and_the_other_home_goes_on() {
    let ground = Ground::new();
    let works = Works::open(&ground.home());
    works.publish("{}").unwrap();
    works.stands_at(1);
    let other = ground.path("other");
    std::fs::create_dir_all(database(&other).parent().unwrap()).unwrap();
    std::fs::hard_link(ground.database(), database(&other)).unwrap();
    refused(&other, "STORE_TWO_HOMES");
    std::fs::remove_file(database(&other)).unwrap();
    crate::ground::until("the file is whole", || {
        std::fs::copy(ground.database(), database(&other)).unwrap();
        open(&other).is_err_and(|error| error.code() == "STORE_TWO_HOMES")
    });
    works.publish("{}").unwrap();
    works.stands_at(2);
    works.close();
}

#[test]
fn a_bind_mount_of_another_home_s_folder_is_refused_and_the_other_home_goes_on() {
    let ground = Ground::new();
    let program = program(&ground);
    let works = Works::open(&ground.home());
    works.publish("{}").unwrap();
    let other = ground.path("other");
    std::fs::create_dir_all(other.join("data")).unwrap();
    let script = format!(
        "mount --bind '{}/data' '{}/data' && exec \"$@\"",
        ground.home().display(),
        other.display()
    );
    let told = part("open", &other, &in_own_mounts(&script), &program);
    assert_eq!(told, ["STORE_TWO_HOMES next true"]);
    works.publish("{}").unwrap();
    works.stands_at(2);
    works.close();
}

#[test]
fn a_full_disk_refuses_a_publish_whole_and_takes_the_same_event_once_there_is_room() {
    let ground = Ground::new();
    let program = program(&ground);
    std::fs::create_dir(ground.home()).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=16m,mode=755 disk '{}' && exec \"$@\"",
        ground.home().display()
    );
    let told = part(
        "fill the disk",
        &ground.home(),
        &in_own_mounts(&script),
        &program,
    );
    assert!(
        told[0].starts_with("PUB_STORE_FAILED STORE_FULL true"),
        "{told:?}"
    );
    assert!(told[1].starts_with("whole"), "{told:?}");
}

#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk_too() {
    let ground = Ground::new();
    let program = program(&ground);
    let script = "trap '' XFSZ; exec prlimit --fsize=6291456:unlimited \"$@\"";
    let told = part(
        "meet the limit",
        &ground.home(),
        &["sh", "-c", script, "sh"],
        &program,
    );
    assert!(
        told[0].starts_with("PUB_STORE_FAILED STORE_FULL true"),
        "{told:?}"
    );
    assert!(told[1].starts_with("whole"), "{told:?}");
}

#[test]
fn a_handle_used_after_a_fork_is_refused_and_its_parent_goes_on() {
    let ground = Ground::new();
    let program = program(&ground);
    let told = part("fork", &ground.home(), &["env"], &program);
    assert_eq!(told, ["0"]);
}

#[test]
fn no_child_of_a_fork_waits_for_what_a_thread_of_its_parent_holds() {
    let ground = Ground::new();
    let program = program(&ground);
    let told = part("fork under load", &ground.home(), &["env"], &program);
    assert_eq!(told, ["whole"]);
}
