//! `db restore`: what it refuses, what it replaces, and that no accepted event is lost by it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use serde_json::Value;

use crate::home::{Home, said};
use crate::over::Over;

const DATABASE: &str = "data/coordination/coordination.db";

/// A home of two events, and a backup of the first.
fn ground() -> Home {
    let home = Home::new();
    home.ok(&["publish", "MODEL_PROMOTED"]);
    home.ok(&["db", "backup", "backup.db"]);
    home.ok(&["publish", "MODEL_PROMOTED"]);
    home
}

fn restore(home: &Home, more: &[&str]) -> Output {
    home.run(&[&["--json", "db", "restore", "backup.db"], more].concat())
}

fn refused(output: &Output, exit: i32, code: &str) -> Value {
    assert_eq!(output.status.code(), Some(exit), "{}", said(output));
    let envelope: Value = serde_json::from_slice(&output.stdout).expect("one envelope");
    assert_eq!(envelope["error"]["code"], code, "{envelope}");
    envelope["error"].clone()
}

fn restored(home: &Home) -> Value {
    home.json(&["db", "restore", "backup.db", "--yes"])
}

#[test]
fn a_connection_of_another_program_is_noticed_and_named() {
    let home = ground();
    let mut other = Command::new("python3")
        .arg("-c")
        .arg(
            "import sqlite3, sys\n\
             c = sqlite3.connect(sys.argv[1])\n\
             c.execute('SELECT COUNT(*) FROM cross_process_events').fetchall()\n\
             print('open', flush=True)\n\
             sys.stdin.read()",
        )
        .arg(home.file(DATABASE))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut said = [0; 4];
    let stdout = other.stdout.as_mut().expect("a pipe");
    stdout.read_exact(&mut said).expect("it opens the file");
    for how in ["--yes", "--dry-run"] {
        let error = refused(&restore(&home, &[how]), 4, "STORE_IN_USE");
        let pid = format!("pid {}", other.id());
        let message = error["message"].as_str().expect("text");
        assert!(message.contains(&pid), "{message}");
        assert_eq!(error["next"], format!("ps -fp {}", other.id()));
    }
    drop(other.stdin.take());
    other.wait().expect("it ends");
    assert_eq!(home.listed("events", "events"), 2);
    assert_eq!(restored(&home)["events"], 1);
}

#[test]
fn a_damaged_or_newer_database_is_replaced_and_kept() {
    let home = ground();
    let database = home.file(DATABASE);
    let damage = |at: usize| {
        let mut bytes = std::fs::read(&database).expect("the file");
        bytes[at..].fill(0xA5);
        std::fs::write(&database, bytes).expect("written");
    };
    let newer = || {
        let conn = Connection::open(&database).expect("it opens");
        conn.pragma_update(None, "user_version", 9_999)
            .expect("written");
    };
    let ways: [(&dyn Fn(), &str); 3] = [
        (&|| damage(0), "STORE_NOT_OURS"),
        (&|| damage(100), "STORE_CORRUPT"),
        (&newer, "STORE_NEWER"),
    ];
    for (spoil, code) in ways {
        spoil();
        let output = home.run(&["--json", "publish", "MODEL_PROMOTED"]);
        refused(&output, 5, code);
        let answer = restored(&home);
        assert_eq!(answer["events"], 1, "{code}");
        assert_eq!(answer["events_before"], Value::Null, "{code}");
        assert_eq!(answer["undo"], Value::Null, "{code}");
        let kept = answer["kept"].as_str().expect("a file");
        assert!(std::path::Path::new(kept).exists(), "{code}");
        assert_eq!(home.listed("events", "events"), 1, "{code}");
        home.ok(&["publish", "MODEL_PROMOTED"]);
    }
}

#[test]
fn a_damaged_backup_or_none_is_refused_before_anything_is_touched() {
    let home = ground();
    let backup = home.file("backup.db");
    let mut bytes = std::fs::read(&backup).expect("the file");
    let half = bytes.len() / 2;
    bytes[half..].fill(0xA5);
    std::fs::write(&backup, bytes).expect("written");
    refused(&restore(&home, &["--yes"]), 5, "STORE_CORRUPT");
    std::fs::remove_file(&backup).expect("removed");
    let error = refused(&restore(&home, &["--yes"]), 3, "NOT_FOUND");
    assert!(
        error["next"]
            .as_str()
            .expect("a command")
            .starts_with("ls "),
        "{error}"
    );
    assert_eq!(home.listed("events", "events"), 2);
    home.ok(&["publish", "MODEL_PROMOTED"]);
}

#[test]
fn what_is_published_during_restores_is_in_a_log_that_is_there() {
    let home = ground();
    let over = AtomicBool::new(false);
    let mut accepted = std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut accepted = BTreeSet::new();
                    while !over.load(Ordering::Acquire) {
                        let output = home.run(&["publish", "MODEL_PROMOTED"]);
                        if output.status.success() {
                            let text = String::from_utf8_lossy(&output.stdout).into_owned();
                            let id = text.split_whitespace().next().expect("an id");
                            accepted.insert(id.to_owned());
                        }
                    }
                    accepted
                })
            })
            .collect();
        let ends = Over(&over);
        let mut done = 0;
        for _ in 0..200 {
            let output = restore(&home, &["--yes"]);
            match output.status.code() {
                Some(0) => done += 1,
                Some(4) => {}
                _ => panic!("{}", said(&output)),
            }
            if done == 4 {
                break;
            }
        }
        drop(ends);
        let accepted = publishers
            .into_iter()
            .flat_map(|one| one.join().expect("no panic"));
        accepted.collect::<BTreeSet<_>>()
    });
    assert!(!accepted.is_empty());
    let folder = home.file(DATABASE);
    let folder = folder.parent().expect("a folder");
    for file in std::fs::read_dir(folder).expect("a folder") {
        let path = file.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        let is_log = name == "coordination.db" || name.contains("before-restore");
        if !is_log || name.ends_with("-wal") || name.ends_with("-shm") {
            assert!(!name.contains("restoring"), "{name} is left");
            continue;
        }
        for id in ids(&path) {
            accepted.remove(&id);
        }
    }
    assert_eq!(accepted, BTreeSet::new(), "accepted and lost");
}

fn ids(database: &std::path::Path) -> Vec<String> {
    let output = Command::new("sqlite3")
        .arg(database)
        .arg("SELECT event_id FROM cross_process_events")
        .output()
        .expect("sqlite3 runs");
    assert!(output.status.success(), "{}", said(&output));
    BufReader::new(output.stdout.as_slice())
        .lines()
        .map(|line| line.expect("text"))
        .collect()
}
