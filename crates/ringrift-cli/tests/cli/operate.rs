//! Subscriptions, daemons, the queue and the file, on a real store.

use std::time::Duration;

use super::home::{Home, LONG, pause, said, within};

fn publish(home: &Home, count: usize) {
    let input: String = (0..count)
        .map(|n| format!("{{\"config_key\":\"k{n}\"}}\n"))
        .collect();
    let output = home.run_with(&["publish", "NEW_GAMES_AVAILABLE", "--jsonl"], &input);
    assert!(output.status.success(), "{}", said(&output));
}

/// Makes a durable subscription whose process is gone.
fn subscribe(home: &Home, name: &str) {
    let output = home.run(&[
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        name,
        "--for",
        "1ms",
    ]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_paused_subscription_gets_nothing_until_it_is_resumed() {
    let home = Home::new();
    subscribe(&home, "reader");
    home.ok(&["subs", "pause", "reader"]);
    publish(&home, 1);
    let shown = home.json(&["events", "show", "1"]);
    assert_eq!(shown["deliveries"][0]["code"], "RT_PAUSED");
    home.ok(&["subs", "resume", "reader"]);
    let reader = home.start(&[
        "--json",
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "reader",
        "-n",
        "1",
    ]);
    reader.line();
    assert_eq!(reader.end(), Some(0));
}

#[test]
fn a_stopped_poller_is_named_with_who_stopped_it() {
    let home = Home::new();
    let reader = home.start(&["subscribe", "NEW_GAMES_AVAILABLE", "--durable", "reader"]);
    reader.note("subscribed to");
    home.json(&["daemons", "stop", "CROSS_PROCESS_POLLER"]);
    publish(&home, 1);
    let shown = stopped(&home);
    let delivery = &shown["deliveries"][0];
    assert_eq!(delivery["code"], "WT_POLLER_STOPPED", "{shown}");
    assert_eq!(
        delivery["next"],
        "ringrift daemons start CROSS_PROCESS_POLLER"
    );
    let evidence = delivery["actual"].as_str().expect("a text");
    assert!(evidence.contains("stopped since"), "{evidence}");
    let started = delivery["next"].as_str().expect("a command");
    let words: Vec<&str> = started.split(' ').skip(1).collect();
    home.json(&words);
    reader.line();
    assert_eq!(reader.stop(), Some(0));
    let after = home.json(&["events", "show", "1"]);
    assert_eq!(after["deliveries"][0]["code"], "HN_OK", "{after}");
}

/// How event 1 stands once the stopped daemon is on record: its process says so a moment after it
/// has answered.
fn stopped(home: &Home) -> serde_json::Value {
    for _ in 0..400 {
        let daemons = home.json(&["daemons", "ls"]);
        let known = daemons["daemons"].as_array().expect("rows").iter();
        if known.clone().any(|daemon| daemon["state"] == "stopped") {
            break;
        }
    }
    home.json(&["events", "show", "1"])
}

#[test]
fn a_killed_host_hosts_nothing() {
    let home = Home::new();
    let reader = home.start(&["subscribe", "NEW_GAMES_AVAILABLE", "--durable", "reader"]);
    reader.note("subscribed to");
    reader.signal(rustix::process::Signal::KILL);
    reader.end();
    publish(&home, 1);
    let shown = home.json(&["events", "show", "1"]);
    assert_eq!(shown["deliveries"][0]["code"], "WT_NO_PROCESS", "{shown}");
}

#[test]
fn after_a_seek_back_the_event_waits_and_its_recovery_is_mentioned() {
    let home = Home::new();
    let handler = home.start(&[
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "flaky",
        "-n",
        "1",
        "--exec",
        "[ $RINGRIFT_ATTEMPT = 2 ]",
    ]);
    handler.note("subscribed to");
    publish(&home, 1);
    assert_eq!(handler.end(), Some(0));
    home.json(&["subs", "seek", "flaky", "--beginning", "--yes"]);
    let shown = home.json(&["events", "show", "1"]);
    let delivery = &shown["deliveries"][0];
    assert_eq!(delivery["code"], "WT_NO_PROCESS", "{shown}");
    assert_eq!(delivery["generation"], 2);
    assert_eq!(delivery["earlier"][0]["code"], "ST_RECOVERED");
    assert_eq!(delivery["earlier"][0]["generation"], 1);
}

#[test]
fn a_removed_subscription_is_told_only_of_events_it_owed() {
    let home = Home::new();
    subscribe(&home, "reader");
    publish(&home, 1);
    home.ok(&["publish", "TRAINING_COMPLETED", r#"{"config_key":"k"}"#]);
    home.ok(&["subs", "rm", "reader", "--yes"]);
    publish(&home, 1);
    let owed = home.json(&["events", "show", "1"]);
    assert_eq!(owed["deliveries"][0]["code"], "ST_SUBSCRIPTION_REMOVED");
    for other in ["2", "3"] {
        let shown = home.json(&["events", "show", other]);
        assert_eq!(shown["deliveries"], serde_json::json!([]), "{shown}");
        assert_eq!(shown["facts"], serde_json::json!([]), "{shown}");
    }
}

#[test]
fn seek_skips_and_its_undo_brings_the_events_back() {
    let home = Home::new();
    subscribe(&home, "reader");
    publish(&home, 3);
    let moved = home.json(&["subs", "seek", "reader", "--end", "--yes"]);
    assert_eq!(moved["skipped"], 3);
    let shown = home.json(&["events", "show", "2"]);
    assert_eq!(shown["deliveries"][0]["code"], "ST_SKIPPED_BY_SEEK");
    let undo = moved["undo"].as_str().expect("a command");
    let words: Vec<&str> = undo.split(' ').skip(1).chain(["--yes"]).collect();
    assert_eq!(home.json(&words)["again"], 3);
    let reader = home.start(&[
        "--json",
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "reader",
        "-n",
        "3",
    ]);
    for _ in 0..3 {
        reader.line();
    }
    assert_eq!(reader.end(), Some(0));
}

#[test]
fn a_subscription_is_removed_only_when_nobody_hosts_it() {
    let home = Home::new();
    let reader = home.start(&["subscribe", "NEW_GAMES_AVAILABLE", "--durable", "reader"]);
    reader.note("subscribed to");
    let refused = home.run(&["subs", "rm", "reader", "--yes"]);
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
    assert_eq!(reader.stop(), Some(0));
    home.ok(&["subs", "rm", "reader", "--yes"]);
    assert_eq!(home.listed("subs", "subscriptions"), 0);
}

#[test]
fn a_killed_process_hosts_nothing_although_nobody_has_swept_it() {
    let home = Home::new();
    let reader = home.start(&["subscribe", "NEW_GAMES_AVAILABLE", "--durable", "reader"]);
    reader.note("subscribed to");
    reader.signal(rustix::process::Signal::KILL);
    assert_eq!(reader.end(), None, "it was killed");
    let listed = home.json(&["subs", "ls"]);
    let row = &listed["subscriptions"][0];
    assert_eq!(
        (&row["state"], &row["hosts"]),
        (&"no process".into(), &serde_json::json!([]))
    );
    home.ok(&["subs", "rm", "reader", "--yes"]);
}

#[test]
fn a_host_of_an_older_definition_alone_is_no_running_subscription() {
    let home = Home::new();
    let reader = home.start(&["subscribe", "NEW_GAMES_AVAILABLE", "--durable", "reader"]);
    reader.note("subscribed to");
    let state = || home.json(&["subs", "ls"])["subscriptions"][0]["state"].clone();
    assert_eq!(state(), "running");
    let wider = [
        "subscribe",
        "TRAINING_COMPLETED",
        "--durable",
        "reader",
        "--replace",
    ];
    home.ok(&[&wider[..], &["--for", "1ms"]].concat());
    assert_eq!(state(), "old version");
    assert_eq!(reader.stop(), Some(0));
}

#[test]
fn daemons_of_another_process_are_stopped_and_started() {
    let home = Home::new();
    let host = home.start(&["run"]);
    host.line();
    let stop = home.json(&["daemons", "stop", "SWEEPER"]);
    assert_eq!(stop["answers"].as_array().map(Vec::len), Some(1), "{stop}");
    home.json(&["daemons", "start", "SWEEPER"]);
    // The rows of the store are as old as the last start: the sweep itself is newer.
    let listed = || home.json(&["daemons", "ls"]);
    let sweep = |listed: &serde_json::Value| listed["swept"]["at"].as_str().map(str::to_owned);
    let first = sweep(&listed()).expect("somebody swept");
    assert!(within(LONG, || sweep(&listed()).is_some_and(|at| at > first)));
    let listed = listed();
    let row = |name: &str| {
        let rows = listed["daemons"].as_array().cloned().unwrap_or_default();
        rows.into_iter().find(|row| row["name"] == name)
    };
    let sweeper = row("SWEEPER").expect("a row");
    assert_eq!(sweeper["cycle_at"], listed["swept"]["at"]);
    assert_eq!(sweeper["process"], listed["swept"]["process"]);
    assert!(row("HEARTBEAT").expect("a row")["cycle_at"].is_string());
    let unknown = home.run(&["daemons", "stop", "SWEEPR"]);
    assert_eq!(unknown.status.code(), Some(3), "{}", said(&unknown));
    assert_eq!(host.stop(), Some(0));
    let ended = home.json(&["daemons", "ls", "--all"]);
    for row in ended["daemons"].as_array().expect("rows") {
        let state = row["state"].as_str().unwrap_or_default();
        assert!(["ended", "stopped"].contains(&state), "{row}");
    }
    let nobody = home.run(&["daemons", "stop", "all"]);
    assert_eq!(nobody.status.code(), Some(4), "{}", said(&nobody));
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let home = Home::new();
    let handler = home.start(&[
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "slow",
        "--exec",
        "echo started; sleep 600",
        "--timeout",
        "10m",
    ]);
    handler.note("subscribed to");
    publish(&home, 1);
    assert_eq!(handler.line(), "started");
    handler.signal(rustix::process::Signal::TERM);
    // Any sooner it would be an echo of the first.
    pause(Duration::from_millis(500));
    handler.signal(rustix::process::Signal::TERM);
    assert_eq!(handler.end(), Some(6));
}

/// Copies of the database that were kept before this verb.
fn copies(home: &Home, verb: &str) -> usize {
    let folder = std::fs::read_dir(home.file("data/coordination")).expect("a folder");
    let names = folder.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let before = format!(".before-{verb}-");
    names.filter(|name| name.contains(&before)).count()
}

#[test]
fn where_no_copy_can_be_kept_nothing_is_cleared() {
    let home = Home::new();
    subscribe(&home, "reader");
    publish(&home, 2);
    // A limit on the size of files holds for root too: the copy is larger, what else is written not.
    let script = "trap '' XFSZ; ulimit -f 400; exec \"$0\" queue clear --yes";
    let refused = home.shell(script, &[]).output().expect("it runs");
    assert!(!refused.status.success(), "{}", said(&refused));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains(".before-clear-"), "{words}");
    assert_eq!(home.listed("events", "events"), 2);
    assert_eq!(
        home.json(&["queue", "clear", "--yes", "--no-backup"])["events"],
        2
    );
    assert_eq!(copies(&home, "clear"), 0);
}

#[test]
fn a_cleared_queue_comes_back() {
    let home = Home::new();
    subscribe(&home, "reader");
    publish(&home, 5);
    home.ok(&["queue", "clear", "--dry-run"]);
    assert_eq!(home.run(&["queue", "clear"]).status.code(), Some(3));
    assert_eq!(copies(&home, "clear"), 0, "nothing was deleted yet");
    let cleared = home.json(&["queue", "clear", "--yes"]);
    assert_eq!(cleared["events"], 5);
    let kept = cleared["kept"].as_str().expect("a copy");
    let copy = rusqlite::Connection::open(kept).expect("it opens");
    let ask = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, i64>(0));
    let pending = "SELECT COUNT(*) FROM cross_process_events WHERE acked = 0";
    assert_eq!(ask(pending).expect("it answers"), 5, "the copy came first");
    drop(copy);
    let none = home.json(&["queue", "clear", "--yes"]);
    assert_eq!((&none["events"], none["kept"].is_null()), (&0.into(), true));
    assert_eq!(home.listed("events", "events"), 0);
    assert_eq!(home.json(&["queue", "restore", "--yes"])["events"], 5);
    assert_eq!(home.listed("events", "events"), 5);
}

#[test]
fn one_process_that_does_not_answer_is_one_whatever_was_asked_of_it() {
    let home = Home::new();
    let host = home.start(&["--json", "run"]);
    host.line();
    let status = home.json(&["status"]);
    assert!(status["swept"]["at"].is_string(), "{status}");
    assert!(status["swept"]["process"].is_string(), "{status}");
    host.signal(rustix::process::Signal::STOP);
    let refused = home.run(&[
        "--json",
        "--set",
        "process.command_wait=1s",
        "daemons",
        "restart",
        "all",
    ]);
    host.signal(rustix::process::Signal::CONT);
    assert_eq!(refused.status.code(), Some(4), "{}", said(&refused));
    let text = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(text.contains("one process did not answer"), "{text}");
    assert!(text.contains("CROSS_PROCESS_POLLER, "), "{text}");
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn a_backup_of_a_live_store_is_whole_and_can_be_restored_once_nobody_lives() {
    let home = Home::new();
    subscribe(&home, "reader");
    publish(&home, 7);
    let host = home.start(&["run"]);
    host.line();
    let backup = home.file("backup.db").display().to_string();
    home.ok(&["db", "backup", &backup]);
    let again = home.run(&["db", "backup", &backup]);
    assert_eq!(again.status.code(), Some(3), "{}", said(&again));
    let refused = home.run(&["--json", "db", "restore", &backup, "--yes"]);
    assert_eq!(refused.status.code(), Some(4), "{}", said(&refused));
    assert!(String::from_utf8_lossy(&refused.stdout).contains("STORE_IN_USE"));
    assert_eq!(host.stop(), Some(0));
    publish(&home, 2);
    let restored = home.json(&["db", "restore", &backup, "--yes"]);
    assert_eq!(
        (&restored["events_before"], &restored["events"]),
        (&9.into(), &7.into())
    );
    assert_eq!(home.json(&["db", "check"])["healthy"], true);
    let kept = restored["kept"].as_str().expect("a file");
    let undone = home.json(&["db", "restore", kept, "--yes"]);
    assert_eq!(undone["events"], 9);
}

#[test]
fn sql_reads_and_does_not_write() {
    let home = Home::new();
    publish(&home, 3);
    let rows = home.json(&[
        "db",
        "sql",
        "SELECT COUNT(*) AS n FROM cross_process_events",
    ]);
    assert_eq!(
        (&rows["columns"][0], &rows["rows"][0][0]),
        (&"n".into(), &3.into())
    );
    let refused = home.run(&["db", "sql", "DELETE FROM cross_process_events"]);
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n";
    let refused = home.run(&["db", "sql", endless, "--timeout", "100ms"]);
    assert_eq!(refused.status.code(), Some(6), "{}", said(&refused));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        words.contains("TIMED_OUT") && words.contains("100ms"),
        "{words}"
    );
    assert_eq!(home.listed("events", "events"), 3);
}

/// The runbook's two deletions, as they stand there.
#[test]
fn sql_deletes_through_the_public_views_and_says_how_to_undo_it() {
    let home = Home::new();
    publish(&home, 3);
    let clear = "DELETE FROM cross_process_events WHERE acked = 0";
    let pending = || {
        let rows = home.json(&["db", "sql", "SELECT COUNT(*) FROM cross_process_events"]);
        rows["rows"][0][0].as_i64()
    };
    let asked = home.run(&["db", "sql", "--write", clear]);
    assert_eq!(asked.status.code(), Some(3), "{}", said(&asked));
    let words = String::from_utf8_lossy(&asked.stderr).into_owned();
    for expected in [
        "This will delete 3 events.",
        "event 1",
        "Undo: ringrift queue restore",
        "next: ringrift db sql --write",
        "--yes",
    ] {
        assert!(words.contains(expected), "{expected}: {words}");
    }
    assert_eq!(pending(), Some(3), "nothing happened yet");
    let deleted = home.json(&["db", "sql", "--write", clear, "--yes"]);
    assert_eq!(deleted["events"], 3);
    assert_eq!(pending(), Some(0));
    let kept = deleted["kept"].as_str().expect("a copy");
    assert!(std::path::Path::new(kept).exists());
    let undo = deleted["undo"].as_str().expect("a command");
    let words: Vec<&str> = undo.split(' ').skip(1).chain(["--yes"]).collect();
    home.ok(&words);
    assert_eq!(pending(), Some(3));
    let old = "DELETE FROM dead_letter_queue WHERE created_at < datetime('now', '-7 days')";
    let none = home.json(&["db", "sql", "--write", old, "--yes"]);
    assert_eq!(
        (&none["letters"], &none["dry_run"]),
        (&0.into(), &true.into())
    );
    let refused = home.run(&[
        "--json",
        "db",
        "sql",
        "--write",
        "DELETE FROM events",
        "--yes",
    ]);
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
    let words = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(
        words.contains("SQL_REFUSED") && words.contains("ringrift queue clear"),
        "{words}"
    );
}

#[test]
fn status_says_no_when_work_has_no_process() {
    let home = Home::new();
    assert_eq!(home.run(&["status"]).status.code(), Some(0));
    subscribe(&home, "reader");
    let asked = |args: &[&str]| {
        let output = home.run(args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text)
    };
    let nobody = ["--set", "doctor.unhosted_after=0s", "doctor"];
    for args in [&["status"][..], &["check", "health"], &["check", "hosts"]] {
        let (code, text) = asked(args);
        assert_eq!(code, Some(0), "all is settled: {text}");
    }
    assert!(!asked(&nobody).1.contains("reader"));
    home.ok(&["publish", "NEW_GAMES_AVAILABLE"]);
    let owing = [
        "reader owes events",
        "without a process: 1",
        "without a process: 1",
        "DR_HANDLER_NOT_STARTED",
    ];
    let questions = [
        &["status"][..],
        &["check", "health"],
        &["check", "hosts"],
        &nobody,
    ];
    for (args, expected) in questions.into_iter().zip(owing) {
        let (code, text) = asked(args);
        assert_eq!(code, Some(1), "{args:?}: {text}");
        assert!(text.contains(expected), "{args:?}: {text}");
    }
}

#[test]
fn a_command_line_that_is_not_understood_is_exit_2() {
    let home = Home::unmade();
    assert_eq!(home.run(&["publsh"]).status.code(), Some(2));
    let output = home.run(&["--json", "events", "ls", "--limit", "none"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"USAGE\""));
}
