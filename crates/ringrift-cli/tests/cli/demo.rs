//! `demo`: what its closing table says, at a rate, with failures, and when it is stopped.

use rustix::process::Signal;

use super::home::{Home, said};

/// Work so short that a run of a few rounds takes a second.
const QUICK: [&str; 7] = ["demo", "--configs", "3", "--iterations", "4", "--work", "2"];

#[test]
fn at_a_rate_every_stage_says_how_long_events_took_until_they_were_handled() {
    let home = Home::unmade();
    let run = home.json(&["demo", "--rate", "140", "--for", "1s", "--configs", "3"]);
    assert_eq!((&run["lost"], &run["open"]), (&0.into(), &0.into()));
    assert_eq!((&run["rounds"], &run["events"]), (&20.into(), &140.into()));
    let stages = run["stages"].as_array().expect("stages");
    assert_eq!(stages.len(), 7);
    for stage in stages {
        assert_eq!(stage["handled"], 20, "{stage}");
        let ms = |name: &str| stage[name].as_f64().unwrap_or_else(|| panic!("{stage}"));
        assert!(
            0.0 < ms("p50_ms") && ms("p50_ms") <= ms("p99_ms"),
            "{stage}"
        );
    }
}

#[test]
fn where_no_terminal_reads_there_are_plain_lines_and_a_row_a_stage() {
    let home = Home::unmade();
    let output = home.run(&[&QUICK[..], &["--failures", "30"]].concat());
    assert!(output.status.success(), "{}", said(&output));
    let (told, text) = (text(&output.stderr), text(&output.stdout));
    assert!(!told.contains('\u{1b}') && !text.contains('\u{1b}'));
    assert!(
        told.contains("7 processes, 12 rounds of 7 events each"),
        "{told}"
    );
    assert!(told.contains("train was killed with SIGKILL"), "{told}");
    let names = [
        "selfplay",
        "sync",
        "export",
        "train",
        "evaluate",
        "promote",
        "distribute",
    ];
    for (line, name) in text.lines().skip(1).zip(names) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!((words[0], words[1], words[2]), (name, "12", "12"), "{line}");
        assert!(line.matches(" ms").count() == 2, "{line}");
    }
    assert!(text.contains("84 events"), "{text}");
    assert!(text.contains("1 killed, 0 crashed\nlost: 0\n"), "{text}");
}

#[test]
fn a_demo_that_is_stopped_says_what_was_under_way_and_calls_nothing_lost() {
    let home = Home::unmade();
    let running = home.start(&["demo", "--work", "400"]);
    running.note("published of 576: ");
    running.signal(Signal::INT);
    let lines: Vec<String> = std::iter::repeat_with(|| running.line()).take(12).collect();
    assert_eq!(lines[10], "lost: 0");
    let last = &lines[11];
    assert!(last.starts_with("not complete: "), "{last}");
    assert!(!last.contains(", 0 deliveries"), "{last}");
    assert_eq!(running.end(), Some(1));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
