//! `ringrift doctor`: what it finds, and what `--fix` does and leaves alone.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::home::{Home, LONG, said, within};
use crate::over::Over;

const TYPE: &str = "TRAINING_COMPLETED";

fn findings(answer: &Value) -> Vec<String> {
    let findings = answer["data"]["findings"].as_array().expect("findings");
    let code = |finding: &Value| finding["code"].as_str().unwrap_or_default().to_owned();
    findings.iter().map(code).collect()
}

/// The answer of the doctor, whatever it found.
fn doctor(home: &Home, args: &[&str]) -> Value {
    // The disk is this machine's, and the lease of these homes is short on purpose.
    let asked = [
        "doctor",
        "--json",
        "--set",
        "doctor.disk_free_percent=0",
        "--set",
        "store.lease=30s",
    ];
    let args = [&asked, args].concat();
    let output = home.run(&args);
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "{}",
        crate::home::said(&output)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Everything the store holds of events and what is owed of them.
fn ledger(home: &Home) -> Vec<Value> {
    let tables = [
        "SELECT seq, id, payload FROM events ORDER BY seq",
        "SELECT id, name, cursor, settled, generation FROM subscription_rows ORDER BY id",
        "SELECT id, event_id, state, attempts_total FROM redeliveries ORDER BY id",
        "SELECT COUNT(*) FROM deleted_events",
    ];
    let rows = |sql: &str| home.json(&["db", "sql", sql])["rows"].clone();
    tables.iter().map(|sql| rows(sql)).collect()
}

fn backups(home: &Home) -> usize {
    let folder = fs::read_dir(home.file("data/coordination")).expect("a folder");
    let names = folder.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.contains(".before-fix-")).count()
}

#[test]
fn a_home_in_which_nothing_happened_is_well() {
    let home = Home::new();
    let answer = doctor(&home, &[]);
    assert_eq!(findings(&answer), Vec::<String>::new(), "{answer}");
}

#[test]
fn notes_alone_are_no_reason_to_exit_1() {
    let home = Home::new();
    let reader = ["subscribe", TYPE, "--durable", "reader", "--for", "1ms"];
    home.ok(&reader);
    home.ok(&["publish", "DATA_SYNC_COMPLETED", "{}"]);
    let answer = doctor(&home, &[]);
    assert_eq!(findings(&answer), ["DR_NOBODY_SUBSCRIBES"], "{answer}");
    let output = home.run(&[
        "--set",
        "doctor.disk_free_percent=0",
        "--set",
        "store.lease=30s",
        "doctor",
    ]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        crate::home::said(&output)
    );
}

#[test]
fn fix_loses_no_event_makes_a_backup_once_and_then_has_nothing_to_do() {
    let home = Home::new();
    for number in 0..20 {
        home.ok(&[
            "publish",
            TYPE,
            &format!("{{\"config_key\":\"k{number}\"}}"),
        ]);
    }
    home.ok(&[
        "subscribe",
        TYPE,
        "--durable",
        "trainer",
        "--beginning",
        "--count",
        "5",
    ]);
    let pages = home.file("data/coordination/coordination.db.pages");
    let side = fs::read_dir(&pages)
        .expect("pages")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.is_file())
        .expect("a side file");
    let mode = fs::metadata(&side).expect("a file").permissions().mode() & 0o777;
    fs::set_permissions(&side, fs::Permissions::from_mode(0o600)).expect("a mode");
    let before = ledger(&home);
    let found = doctor(&home, &[]);
    assert!(
        findings(&found).contains(&"DR_PERMISSIONS".to_owned()),
        "{found}"
    );

    let first = doctor(&home, &["--fix"]);
    assert!(
        !findings(&first).contains(&"DR_PERMISSIONS".to_owned()),
        "{first}"
    );
    assert_eq!(first["data"]["mended"][0]["done"], true, "{first}");
    let now = fs::metadata(&side).expect("a file").permissions().mode() & 0o777;
    assert_eq!(now & mode, mode);
    assert_eq!(ledger(&home), before, "nothing was lost");
    assert_eq!(backups(&home), 1);

    let second = doctor(&home, &["--fix"]);
    assert_eq!(second["data"]["mended"], serde_json::json!([]), "{second}");
    assert_eq!(backups(&home), 1, "nothing to do needs no backup");
    assert_eq!(ledger(&home), before);
}

/// The sums of the one durable subscription, after `db check` found them right.
fn sums(home: &Home) -> Value {
    let checked = home.json(&["db", "check", "--sums"]);
    assert_eq!(checked["healthy"], true, "{checked}");
    checked["sums"][0].clone()
}

fn side_files(home: &Home) -> Vec<PathBuf> {
    let pages = fs::read_dir(home.file("data/coordination/coordination.db.pages"));
    let pages = pages
        .expect("pages")
        .filter_map(|entry| Some(entry.ok()?.path()));
    pages.filter(|path| path.is_file()).collect()
}

/// The number of an event that a handler said it handled; the last line of one that was killed may
/// be half a line.
fn seq_of(line: &str) -> Option<i64> {
    let line: Value = serde_json::from_str(line).ok()?;
    line["seq"].as_i64()
}

/// Handlers come and are killed, until it is over; answers every event's number that any handled.
fn handlers_that_die(home: &Home, is_over: &AtomicBool) -> BTreeSet<i64> {
    let start = || home.start(&["--json", "subscribe", TYPE, "--durable", "trainer"]);
    let mut handled = BTreeSet::new();
    let mut handlers = vec![start(), start()];
    while !is_over.load(Ordering::Acquire) {
        crate::home::pause(Duration::from_millis(250));
        let killed = handlers.remove(0);
        killed.signal(Signal::KILL);
        handlers.push(start());
        killed.until_silent(|line| handled.extend(seq_of(&line)));
    }
    let open = || {
        let sums = sums(home);
        let count = |state: &str| sums[state].as_u64().expect("a count");
        count("waiting") + count("claimed") + count("retrying")
    };
    assert!(within(LONG, || open() == 0), "{}", sums(home));
    for handler in handlers {
        handler.signal(Signal::TERM);
        handler.until_silent(|line| handled.extend(seq_of(&line)));
        assert_eq!(handler.end(), Some(0));
    }
    handled
}

#[test]
fn no_examination_and_no_mending_fails_or_loses_an_event_while_processes_write_and_die() {
    let home = Home::new();
    let (is_over, published) = (AtomicBool::new(false), AtomicU64::new(0));
    // The subscription stands before the first event.
    let first = home.start(&["subscribe", TYPE, "--durable", "trainer"]);
    first.note("subscribed to");
    assert_eq!(first.stop(), Some(0));
    let handled = std::thread::scope(|scope| {
        let handlers = scope.spawn(|| handlers_that_die(&home, &is_over));
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                let lines: String = (0..50)
                    .map(|n| format!("{{\"config_key\":\"k{n}\"}}\n"))
                    .collect();
                let sent = home.run_with(&["publish", TYPE, "--jsonl"], &lines);
                assert!(sent.status.success(), "{}", said(&sent));
                published.fetch_add(50, Ordering::AcqRel);
            }
        });
        let ends = Over(&is_over);
        let mut mended = 0;
        for round in 0..8 {
            let found = doctor(&home, &["--since", "1h"]);
            assert_eq!(found["ok"], true, "{found}");
            if let Some(file) = side_files(&home).get(round) {
                // It may have gone with its process.
                drop(fs::set_permissions(file, fs::Permissions::from_mode(0o400)));
            }
            let fixed = doctor(&home, &["--fix"]);
            mended += fixed["data"]["mended"].as_array().expect("a list").len();
        }
        drop(ends);
        assert!(mended > 0, "nothing was ever mended");
        handlers.join().expect("handlers")
    });
    let published = published.into_inner();
    let sums = sums(&home);
    assert_eq!(sums["matching"], published, "{sums}");
    let poisoned = sums["dead"].as_u64().expect("a count");
    assert!(
        handled.len() as u64 + poisoned >= published,
        "{} of {published}: {sums}",
        handled.len()
    );
    let after = doctor(&home, &[]);
    assert_eq!(after["data"]["is_stopped"], true, "{after}");
}

#[test]
fn fix_looks_for_the_dead_where_the_sweepers_were_stopped() {
    let home = Home::new();
    let waits = "echo ran; while [ -d \"$RINGRIFT_HOME\" ] && [ ! -e \"$RINGRIFT_HOME/go\" ]; do sleep 0.1; done";
    let subscribe = |exec: &str| {
        let handler = home.start(&["subscribe", TYPE, "--durable", "trainer", "--exec", exec]);
        handler.note("subscribed to");
        handler
    };
    let dies = subscribe(waits);
    home.ok(&["publish", TYPE]);
    assert_eq!(dies.line(), "ran");
    let lives = subscribe("echo took");
    home.ok(&["daemons", "stop", "SWEEPER"]);
    dies.signal(Signal::KILL);
    assert_ne!(dies.end(), Some(0));
    fs::write(home.file("go"), "").expect("a file");
    home.ok(&["publish", TYPE]);
    assert_eq!(
        lives.line(),
        "took",
        "the new one is handled, the one that died with its process waits"
    );
    let only_one_is_held = || {
        let sums = sums(&home);
        (&sums["matching"], &sums["claimed"], &sums["done"]) == (&2.into(), &1.into(), &1.into())
    };
    assert!(within(LONG, only_one_is_held), "{}", sums(&home));

    // How long ago the sweeper swept is what the finding goes by: it comes with time.
    let mended = || {
        let mut answer = Value::Null;
        let is_mended = within(LONG, || {
            answer = doctor(&home, &["--fix", "--set", "doctor.unswept=100ms"]);
            answer["data"]["mended"][0] != Value::Null
        });
        assert!(is_mended, "{answer}");
        answer["data"]["mended"][0].clone()
    };
    let fixed = mended();
    assert_eq!(
        (&fixed["fix"]["what"], &fixed["done"]),
        (&"sweep".into(), &true.into()),
        "{fixed}"
    );
    let words = fixed["said"].as_str().expect("words");
    assert!(words.contains("1 found, 1 claim returned"), "{words}");
    assert_eq!(lives.line(), "took", "now that one too");
    let done = || sums(&home)["done"] == 2;
    assert!(within(LONG, done), "{}", sums(&home));
    // Nobody sweeps by himself still, so it looks again, and finds nobody and changes nothing.
    let again = mended();
    let words = again["said"].as_str().expect("words");
    assert!(
        words.contains("0 found, 0 claims returned, 0 runs interrupted"),
        "{words}"
    );
    assert_eq!(sums(&home)["done"], 2);
    assert_eq!(lives.stop(), Some(0));
}

#[test]
fn a_time_that_is_none_and_one_to_come_are_refused() {
    let home = Home::new();
    for since in ["soon", "", "1 fortnight", "2999-01-01"] {
        let refused = home.run(&["doctor", "--since", since]);
        assert_eq!(
            refused.status.code(),
            Some(3),
            "{since}: {}",
            said(&refused)
        );
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(words.contains(since) && words.contains("next: "), "{words}");
    }
    doctor(&home, &["--since", "2020-01-01"]);
}

#[test]
fn one_who_keeps_the_database_for_itself_is_named() {
    let home = Home::new();
    let mut shell = Command::new("sqlite3")
        .arg(home.file("data/coordination/coordination.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sqlite3");
    let mut input = shell.stdin.take().expect("its input");
    let mut output = BufReader::new(shell.stdout.take().expect("its output"));
    let ask = "PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE theirs (n); SELECT 'held';\n";
    input.write_all(ask.as_bytes()).expect("asked");
    let mut line = String::new();
    while line.trim() != "held" {
        line.clear();
        assert!(
            output.read_line(&mut line).expect("an answer") > 0,
            "it ended"
        );
    }
    let refused = home.run(&["--set", "store.busy_limit=200ms", "doctor"]);
    assert_eq!(refused.status.code(), Some(4), "{}", said(&refused));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    for expected in [
        "STORE_BUSY",
        &format!("process {} (sqlite3", shell.id()),
        "for itself alone",
    ] {
        assert!(words.contains(expected), "{expected}: {words}");
    }
    drop(input);
    shell.wait().expect("its end");
    doctor(&home, &[]);
}
