//! Each fault is loud, names what helps, and loses nothing that was acknowledged.
#![cfg(test)]

#[path = "support/bounded.rs"]
mod bounded;
mod sqlite_support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ringrift_events::clock::{Clock as _, SystemClock};
use ringrift_events::store::ErrorCode;
use ringrift_events::store::log::Log as _;
use ringrift_events::store::sqlite::SqliteStore;
use sqlite_support::{Home, batch, event, options, shell};

/// Names what a child of this test does, and where.
const PART: &str = "RINGRIFT_TEST_PART";
const HOME: &str = "RINGRIFT_TEST_HOME";

/// A user and group without rights, as on every Linux.
const NOBODY: u32 = 65_534;

/// A child runs one part and nothing else; the tests themselves find nothing to do.
#[test]
fn part_of_a_child() {
    let (Ok(part), Some(home)) = (std::env::var(PART), std::env::var_os(HOME)) else {
        return;
    };
    bounded::bound_this_process();
    let home = Path::new(&home);
    match part.as_str() {
        "append for ever" => append_for_ever(home),
        "append until full" => append_until_full(home),
        "open read-only" => println!("\nread {}", read_only(home)),
        "open" => println!(
            "\nrefused {:?}",
            SqliteStore::open(options(home)).unwrap_err().code
        ),
        other => panic!("no part {other}"),
    }
}

fn child(part: &str, home: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "part_of_a_child", "--nocapture"])
        .env(PART, part)
        .env(HOME, home)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

fn append_for_ever(home: &Path) {
    let store = SqliteStore::open(options(home)).unwrap();
    println!();
    loop {
        let seq = store
            .append(batch([event(&store, "training_completed", "{}")]), None)
            .wait()
            .unwrap()[0]
            .seq;
        println!("acknowledged {seq}");
    }
}

fn append_until_full(home: &Path) {
    let store = SqliteStore::open(options(home)).unwrap();
    let payload = format!("{{\"x\":\"{}\"}}", "y".repeat(50_000));
    let mut acknowledged = 0;
    let error = loop {
        match store
            .append(batch([event(&store, "training_completed", &payload)]), None)
            .wait()
        {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 10_000, "the limit was never met");
    };
    println!(
        "\nfull {acknowledged} {:?} {}",
        error.code,
        error.is_retryable()
    );
    let head = store.head().wait().unwrap();
    println!("head {head:?}");
}

fn read_only(home: &Path) -> i64 {
    let mut options = options(home);
    options.create = false;
    options.read_only = true;
    let store = SqliteStore::open(options).unwrap();
    store.head().wait().unwrap().seq.0
}

fn output(mut command: Command) -> String {
    let mut child = command.spawn().unwrap();
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    child.wait().unwrap();
    text
}

#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    let home = Home::new();
    for _ in 0..3 {
        let mut writer = child("append for ever", home.path()).spawn().unwrap();
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let mut last = 0;
        for _ in 0..200 {
            last = next_acknowledged(&mut lines);
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        let store = home.open();
        assert!(store.head().wait().unwrap().seq.0 >= last);
        store.close();
        assert_eq!(
            shell(&home.database(), "PRAGMA integrity_check").unwrap(),
            "ok"
        );
    }
}

fn next_acknowledged(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> i64 {
    loop {
        let line = lines.next().expect("the child ended").unwrap();
        if let Some(seq) = line.strip_prefix("acknowledged ") {
            return seq.parse().unwrap();
        }
    }
}

#[test]
fn a_full_disk_is_told_and_what_was_acknowledged_stays() {
    let home = Home::new();
    let disk = home.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let kept = home.path().join("kept");
    // A disk of 8 MiB, seen by the child alone; what it holds is copied out at the end.
    let script = "mount -t tmpfs -o size=8m,mode=755 disk \"$2\" || exit 9; \
        \"$1\" --exact part_of_a_child --nocapture; cp -r \"$2/data\" \"$3\"";
    let mut command = Command::new("unshare");
    if rustix::process::geteuid().is_root() {
        command.arg("--mount");
    } else {
        command.args(["--user", "--map-root-user", "--mount"]);
    }
    command
        .args(["sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([&disk, &kept])
        .env(PART, "append until full")
        .env(HOME, &disk)
        .stdout(Stdio::piped());
    let text = output(command);
    let told = text
        .lines()
        .find_map(|line| line.strip_prefix("full "))
        .unwrap_or_else(|| panic!("no disk of its own, or no full one: {text}"));
    let acknowledged: i64 = told.split(' ').next().unwrap().parse().unwrap();
    assert!(told.ends_with("Full true"), "{told}");
    assert!(acknowledged > 10, "{told}");
    let moved = Home::new();
    std::fs::rename(&kept, moved.path().join("data")).unwrap();
    let store = moved.open();
    assert_eq!(store.head().wait().unwrap().seq.0, acknowledged);
    let event = event(&store, "training_completed", "{}");
    store.append(batch([event]), None).wait().unwrap();
    store.close();
    assert_eq!(
        shell(&moved.database(), "PRAGMA integrity_check").unwrap(),
        "ok"
    );
}

/// A shell that holds the write lock until it is dropped.
struct Holder(Child);

impl Holder {
    fn new(database: &Path) -> Holder {
        let mut shell = Command::new("sqlite3")
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = shell.stdin.as_mut().unwrap();
        writeln!(stdin, ".timeout 10000\nBEGIN IMMEDIATE;\nSELECT 'held';").unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line.trim(), "held");
        Holder(shell)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_lock_that_is_held_too_long_is_busy_and_the_same_write_succeeds_after_it() {
    let home = Home::new();
    let mut options = home.options();
    options.busy_timeout = Duration::from_millis(300);
    let store = SqliteStore::open(options).unwrap();
    let waiting = event(&store, "training_completed", "{}");
    {
        let _holder = Holder::new(&home.database());
        let error = store
            .append(batch([waiting.clone()]), None)
            .wait()
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::Busy, "{error}");
        assert!(error.is_retryable() && !error.may_have_applied);
        assert!(error.message.contains("sqlite3"), "{error}");
        assert!(store.head().wait().is_ok(), "reading goes on");
    }
    let appended = store.append(batch([waiting]), None).wait().unwrap();
    assert_eq!(appended[0].duplicate_of, None);
}

#[test]
fn a_file_replaced_under_a_process_is_noticed_within_seconds() {
    let home = Home::new();
    let store = home.open();
    store
        .append(batch([event(&store, "training_completed", "{}")]), None)
        .wait()
        .unwrap();
    std::fs::rename(home.database(), home.path().join("away.db")).unwrap();
    let clock = SystemClock;
    let deadline = clock.monotonic() + Duration::from_secs(10);
    let error = loop {
        match store
            .append(batch([event(&store, "training_completed", "{}")]), None)
            .wait()
        {
            Err(error) => break error,
            Ok(_) => assert!(clock.monotonic() < deadline, "nobody noticed"),
        }
        std::thread::yield_now();
    };
    assert_eq!(error.code, ErrorCode::Replaced, "{error}");
    assert_eq!(store.head().wait().unwrap_err().code, ErrorCode::Replaced);
}

/// Runs a part as a user without rights, if this one may do that; otherwise as this one.
fn as_nobody(part: &str, home: &Path) -> Command {
    let mut command = child(part, home);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_for_writing_and_read_as_it_stands() {
    let home = Home::new();
    let store = home.open();
    let events = (0..20).map(|_| event(&store, "training_completed", "{}"));
    store.append(batch(events), None).wait().unwrap();
    store.close();
    let folder = home.database().parent().unwrap().to_owned();
    for (path, mode) in [
        (home.path().to_owned(), 0o755),
        (folder.clone(), 0o555),
        (home.database(), 0o444),
    ] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let refused = output(as_nobody("open", home.path()));
    assert!(refused.contains("refused ReadOnly"), "{refused}");
    let read = output(as_nobody("open read-only", home.path()));
    assert!(read.contains("read 20"), "{read}");
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}
