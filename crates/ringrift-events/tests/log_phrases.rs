//! The runbook's greps on `logs/coordination.log`, run as written, find what they look for.

#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ringrift_events::clock::{ManualClock, SharedClock, Time};
use ringrift_events::config::Home;
use ringrift_events::event::{Event, EventId, EventType, Payload, ProcessId, Seq};
use ringrift_events::log::{EventLog, Level, Part};
use ringrift_events::trace::Context;

/// The runbook lies beside the repository.
fn runbook() -> String {
    let package = std::env::var("CARGO_MANIFEST_DIR").expect("cargo runs this test");
    let path = Path::new(&package).join("../../../shared/runbook/EVENT_DEBUGGING.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every command of the runbook that greps the log.
fn greps() -> Vec<String> {
    let is_grep = |line: &&str| line.starts_with("grep ") && line.contains("coordination.log");
    runbook()
        .lines()
        .filter(is_grep)
        .map(str::to_owned)
        .collect()
}

fn found(grep: &str, home: &Path) -> Vec<String> {
    let output = Command::new("sh")
        .args(["-c", grep])
        .current_dir(home)
        .output();
    let output = output.expect("grep runs");
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

fn training_completed(clock: &SharedClock) -> Event {
    Event {
        id: EventId::new(&**clock),
        event_type: EventType::from_canonical("training_completed"),
        payload: Payload::from_checked("{}"),
        source: "trainer".to_owned(),
        key: Some("hex8_2p".to_owned()),
        published_at: clock.now(),
        trace_id: Context::root(&**clock).trace_id,
        parent_id: None,
        depth: 0,
        origin: ProcessId::new(&**clock),
        stage: None,
        seq: Some(Seq(1)),
    }
}

fn home_with_log(folder: &Path) -> (PathBuf, EventLog, SharedClock) {
    let home = Home::create(folder).expect("home").home;
    let clock: SharedClock = Arc::new(ManualClock::new(Time(1_700_000_000_000_000), 1));
    let log = EventLog::at(home.log_file(), 0o644, Level::Info, Arc::clone(&clock));
    (home.root().to_owned(), log, clock)
}

#[test]
fn each_grep_of_the_runbook_finds_its_line_at_the_default_level_and_nothing_before() {
    let folder = tempfile::tempdir().expect("folder");
    let (home, log, clock) = home_with_log(folder.path());
    let greps = greps();
    assert_eq!(greps.len(), 5, "{greps:?}");
    log.line(Level::Info, "something else");
    for grep in &greps {
        assert_eq!(found(grep, &home), [""; 0], "{grep}");
    }

    let event = training_completed(&clock);
    log.subscribed(Some(&event.event_type), "evaluator", "durable");
    log.emit(&event, event.seq);
    log.handler_timeout("evaluator", &event, Duration::from_secs(60), false);
    log.handler_took("evaluator", &event, Duration::from_secs(61), true);
    log.poller("started", "interval=500ms");
    for (grep, phrase) in greps.iter().zip([
        "emit TRAINING_COMPLETED ",
        "subscribed to TRAINING_COMPLETED ",
        "Handler timeout: evaluator exceeded 60 s",
        "handler took 61000 ms",
        "CrossProcessPoller started ",
    ]) {
        let lines = found(grep, &home);
        assert_eq!(lines.len(), 1, "{grep}: {lines:?}");
        assert!(lines[0].contains(phrase), "{grep}: {lines:?}");
    }
}

#[test]
fn the_greps_still_hit_when_the_type_comes_in_a_storm() {
    let folder = tempfile::tempdir().expect("folder");
    let (home, log, clock) = home_with_log(folder.path());
    let greps = greps();
    for _ in 0..1_000 {
        let event = training_completed(&clock);
        log.emit(&event, event.seq);
    }
    let lines = found(&greps[0], &home);
    assert!((1..1_000).contains(&lines.len()), "{} lines", lines.len());
}

#[test]
fn each_part_of_the_log_has_a_level_of_its_own() {
    let folder = tempfile::tempdir().expect("folder");
    let (home, log, clock) = home_with_log(folder.path());
    let event = training_completed(&clock);
    let said = |log: &EventLog| {
        log.emit(&event, event.seq);
        log.receive(&event);
        log.line(Level::Info, "the system itself");
        let text = std::fs::read_to_string(home.join("logs/coordination.log")).unwrap_or_default();
        ["emit ", "receive ", "the system itself"].map(|word| text.matches(word).count())
    };
    log.set_part_level(Part::Bus, Level::Error);
    log.set_part_level(Part::Router, Level::Debug);
    assert_eq!(said(&log), [0, 1, 1]);
    log.set_level(Level::Info);
    assert_eq!(said(&log), [1, 1, 2]);
}
