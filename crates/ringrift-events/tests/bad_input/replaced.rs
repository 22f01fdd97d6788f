//! The store is taken away under running processes: nothing is acknowledged that is in no log, and
//! nothing is written into what lies there now.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ringrift_events::coded::Coded as _;
use ringrift_events::router::Error;

use crate::ground::{Ground, Works, open, until};

/// Two systems in the home, as two processes; the store quiet, its WAL empty.
fn two(ground: &Ground) -> [Works; 2] {
    let first = Works::open(&ground.home());
    for _ in 0..20 {
        first.publish("{}").unwrap();
    }
    first.stands_at(20);
    let second = Works::open(&ground.home());
    quiet(ground);
    [first, second]
}

/// Waits until the WAL is copied wholly.
fn quiet(ground: &Ground) {
    let mut wal = ground.database().into_os_string();
    wal.push("-wal");
    until("the WAL is empty", || {
        fs::metadata(&wal).map_or(0, |found| found.len()) == 0
    });
}

/// The very next publish is refused, and every one after it, and reads say so within seconds.
#[track_caller]
fn noticed(works: &Works) {
    for _ in 0..2 {
        let error = works.publish("{}").unwrap_err();
        assert_eq!(error.code(), "PUB_STORE_FAILED");
        let Error::PublishFailed { source, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(source.code(), "STORE_REPLACED", "{source}");
        assert!(!source.may_have_applied, "nothing was written");
    }
    let read = works.system.store().head().wait().unwrap_err();
    assert_eq!(read.code(), "STORE_REPLACED");
    let health = works.system.health();
    assert!(
        !health.healthy && health.message.contains("replaced"),
        "{health:?}"
    );
}

/// What lies there now keeps its bytes while the old processes end.
#[track_caller]
fn ends_without_touching_it(ground: &Ground, works: [Works; 2]) {
    let before = fs::read(ground.database()).unwrap();
    for one in works {
        one.close();
    }
    assert_eq!(fs::read(ground.database()).unwrap(), before);
}

#[test]
fn a_store_that_was_moved_away_takes_no_further_publish_and_is_whole_elsewhere() {
    let ground = Ground::new();
    let works = two(&ground);
    let elsewhere = Ground::new();
    fs::create_dir_all(elsewhere.database().parent().unwrap()).unwrap();
    fs::rename(ground.database(), elsewhere.database()).unwrap();
    works.iter().for_each(noticed);
    for one in works {
        one.close();
    }
    let whole = Works::open(&elsewhere.home());
    assert_eq!(whole.log().len(), 20);
    whole.publish("{}").unwrap();
    whole.close();
}

#[test]
fn another_store_moved_over_it_is_noticed_at_once_and_not_written_to() {
    let ground = Ground::new();
    let works = two(&ground);
    let other = Ground::used(3);
    fs::rename(other.database(), ground.database()).unwrap();
    works.iter().for_each(noticed);
    ends_without_touching_it(&ground, works);
}

/// As `cp` does: the inode stays.
fn copy_over(from: &Path, to: &Path) {
    let inode = fs::metadata(to).unwrap().ino();
    assert!(
        Command::new("cp")
            .args([from, to])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(fs::metadata(to).unwrap().ino(), inode);
}

#[test]
fn another_store_copied_over_it_is_noticed_at_once_and_not_written_to() {
    let ground = Ground::new();
    let works = two(&ground);
    let other = Ground::used(3);
    copy_over(&other.database(), &ground.database());
    works.iter().for_each(noticed);
    ends_without_touching_it(&ground, works);
}

#[test]
fn an_older_backup_copied_over_it_is_noticed_at_once_and_not_written_to() {
    let ground = Ground::new();
    let works = two(&ground);
    let backup = ground.path("coordination.db.bak");
    fs::copy(ground.database(), &backup).unwrap();
    let large = format!("{{\"x\":\"{}\"}}", "y".repeat(20_000));
    works[0].publish(&large).unwrap();
    quiet(&ground);
    // The processes look at their file once a second.
    std::thread::park_timeout(Duration::from_millis(2_500));
    copy_over(&backup, &ground.database());
    works.iter().for_each(noticed);
    ends_without_touching_it(&ground, works);
    // A process that starts now works with what was put there.
    let fresh = Works::open(&ground.home());
    assert_eq!(fresh.log().len(), 20);
    fresh.publish("{}").unwrap();
    assert!(
        fresh
            .system
            .store()
            .check()
            .wait()
            .unwrap()
            .problems
            .is_empty()
    );
    fresh.close();
}

#[test]
fn something_else_written_over_it_is_noticed_at_once() {
    let ground = Ground::new();
    let works = two(&ground);
    let text = ground.path("text");
    fs::write(&text, "no database\n".repeat(2_000)).unwrap();
    copy_over(&text, &ground.database());
    works.iter().for_each(noticed);
    ends_without_touching_it(&ground, works);
}

#[test]
fn a_store_that_a_shell_vacuums_is_still_the_same() {
    let ground = Ground::new();
    let works = two(&ground);
    for n in 0..5 {
        let shell = Command::new("sqlite3")
            .args(["-cmd", ".timeout 10000"])
            .arg(ground.database())
            .arg("VACUUM")
            .status();
        assert!(shell.unwrap().success());
        for one in &works {
            one.publish("{}").unwrap();
        }
        if n % 2 == 0 {
            quiet(&ground);
        }
    }
    for one in works {
        assert_eq!(one.log().len(), 30);
        one.close();
    }
}

#[test]
fn a_removed_store_is_noticed_by_who_has_it_open_and_made_anew_by_nobody() {
    let ground = Ground::new();
    let works = two(&ground);
    fs::remove_file(ground.database()).unwrap();
    works.iter().for_each(noticed);
    for _ in 0..2 {
        let error = open(&ground.home()).err().expect("a new store was made");
        assert_eq!(error.code(), "STORE_LOST", "{error}");
        assert_eq!(error.next().as_deref(), Some("ringrift db restore FILE"));
        assert!(!ground.database().exists());
    }
    for one in works {
        one.close();
    }
    assert!(
        open(&ground.home()).is_err(),
        "the log shows that it was there"
    );
}
