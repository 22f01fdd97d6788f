//! Subscriptions, daemons, the queue and the file, on a real store.

use super::home::{Home, said};

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
    assert_eq!(
        home.json(&["subs", "ls"])["subscriptions"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
}

#[test]
fn daemons_of_another_process_are_stopped_and_started() {
    let home = Home::new();
    let host = home.start(&["run"]);
    host.line();
    let stop = home.json(&["daemons", "stop", "SWEEPER"]);
    assert_eq!(stop["answers"].as_array().map(Vec::len), Some(1), "{stop}");
    home.json(&["daemons", "start", "SWEEPER"]);
    let unknown = home.run(&["daemons", "stop", "SWEEPR"]);
    assert_eq!(unknown.status.code(), Some(3), "{}", said(&unknown));
    assert_eq!(host.stop(), Some(0));
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
    handler.signal(rustix::process::Signal::INT);
    assert_eq!(handler.end(), Some(6));
}

#[test]
fn a_cleared_queue_comes_back() {
    let home = Home::new();
    subscribe(&home, "reader");
    publish(&home, 5);
    assert_eq!(home.json(&["queue", "clear", "--yes"])["events"], 5);
    assert_eq!(
        home.json(&["events", "ls"])["events"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
    assert_eq!(home.json(&["queue", "restore", "--yes"])["events"], 5);
    assert_eq!(
        home.json(&["events", "ls"])["events"]
            .as_array()
            .map(Vec::len),
        Some(5)
    );
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
    assert_ne!(refused.status.code(), Some(0), "{}", said(&refused));
    assert_eq!(
        home.json(&["events", "ls"])["events"]
            .as_array()
            .map(Vec::len),
        Some(3)
    );
}

#[test]
fn status_says_no_when_work_has_no_process() {
    let home = Home::new();
    assert_eq!(home.run(&["status"]).status.code(), Some(0));
    subscribe(&home, "reader");
    let output = home.run(&["--json", "status"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("no live process hosts reader"));
}

#[test]
fn a_command_line_that_is_not_understood_is_exit_2() {
    let home = Home::unmade();
    assert_eq!(home.run(&["publsh"]).status.code(), Some(2));
    let output = home.run(&["--json", "events", "ls", "--limit", "none"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"USAGE\""));
}
