//! Past events again and keys forgotten, while the processes that handle them live.

use std::collections::BTreeMap;

use rustix::process::Signal;
use serde_json::Value;

use super::home::{Home, LONG, Running, said, within};
use super::terminal::Terminal;

const TYPE: &str = "NEW_GAMES_AVAILABLE";

fn publish(home: &Home, key: &str) {
    home.ok(&["publish", TYPE, &format!("{{\"config_key\":\"{key}\"}}")]);
}

/// The letters, newest first.
fn letters(home: &Home) -> Vec<Value> {
    let listed = home.json(&["dlq", "ls"]);
    listed["letters"].as_array().expect("letters").clone()
}

/// How often each letter's delivery has run.
fn runs(home: &Home) -> BTreeMap<i64, u64> {
    let one = |letter: &Value| {
        let id = letter["id"].as_i64().expect("a number");
        (id, letter["attempts_total"].as_u64().expect("attempts"))
    };
    letters(home).iter().map(one).collect()
}

#[test]
fn a_retry_by_fingerprint_touches_what_was_seen_and_neither_what_came_nor_what_moved_on() {
    let home = Home::new();
    // 65 is the end of a letter: it stays dead until somebody retries it.
    let strict = home.start(&[
        "subscribe",
        TYPE,
        "--durable",
        "strict",
        "--exec",
        "echo refused >&2; echo ran; exit 65",
    ]);
    strict.note("subscribed to");
    let fail = |times: u32| {
        for _ in 0..times {
            publish(&home, "a");
            assert_eq!(strict.line(), "ran");
        }
    };
    fail(3);
    assert!(within(LONG, || runs(&home).len() == 3));
    let groups = home.json(&["dlq", "ls", "--by", "fingerprint"]);
    let print = groups["fingerprints"][0]["fingerprint"]
        .as_str()
        .expect("an id");

    let retry = ["--json", "dlq", "retry", "--fingerprint", print];
    let mut asked = Terminal::of(home.command(&retry));
    asked.shows("This will retry 3 dead letters.");
    asked.shows("Go ahead? [y/N] ");
    // While it asks, two more fail alike, and one of the three is tried by somebody else.
    fail(2);
    assert!(within(LONG, || runs(&home).len() == 5));
    let first = *runs(&home).keys().next().expect("a letter");
    home.ok(&["dlq", "retry", &first.to_string()]);
    assert_eq!(strict.line(), "ran");
    let dead = |id: i64| {
        let all = letters(&home);
        all.iter()
            .any(|one| one["id"] == id && one["status"] == "dead")
    };
    assert!(within(LONG, || dead(first) && runs(&home)[&first] == 2));
    asked.types("y");
    let (code, done) = asked.answer();
    assert_eq!(code, Some(0), "{done}");
    assert_eq!(
        (&done["selected"], &done["changed"]),
        (&3.into(), &2.into()),
        "{done}"
    );
    assert_eq!(done["left"], serde_json::json!([first]), "{done}");

    for _ in 0..2 {
        assert_eq!(strict.line(), "ran");
    }
    let all_ran = || runs(&home).values().sum::<u64>() == 8;
    assert!(within(LONG, all_ran), "{:?}", runs(&home));
    let expected: Vec<u64> = runs(&home).into_values().collect();
    assert_eq!(expected, [2, 2, 2, 1, 1], "the new ones ran once");
    assert_eq!(strict.stop(), Some(0));
}

/// A handler that takes an equal `config_key` once.
fn deduplicating(home: &Home, kind: [&str; 2]) -> Running {
    let handler = home.start(&[
        "subscribe",
        TYPE,
        kind[0],
        kind[1],
        "--dedup",
        "config_key",
        "--dedup-ttl",
        "1h",
        "--exec",
        "grep -o '\"config_key\":\"[a-z]*\"'",
    ]);
    handler.note("subscribed to");
    handler
}

#[test]
fn keys_are_forgotten_in_the_process_that_holds_them_and_only_those() {
    for kind in [["--name", "watcher"], ["--durable", "watcher"]] {
        let home = Home::new();
        let handler = deduplicating(&home, kind);
        let seen = |key: &str| format!("\"config_key\":\"{key}\"");
        for key in ["a", "b", "a", "b", "c"] {
            publish(&home, key);
        }
        for key in ["a", "b", "c"] {
            assert_eq!(handler.line(), seen(key), "{kind:?}");
        }
        let reset = home.json(&["dedup", "reset", "watcher", "--key", "a", "--yes"]);
        if kind[0] == "--durable" {
            assert_eq!(reset["forgotten"], 1, "{reset}");
        } else {
            let answers = reset["answers"].as_array().expect("answers");
            assert_eq!(answers.len(), 1, "{reset}");
            let answer = answers[0]["answer"].as_str().expect("an answer");
            assert!(answer.starts_with("ok"), "{answer}");
        }
        for key in ["b", "a", "d"] {
            publish(&home, key);
        }
        // What comes next shows that b, which came first, was a duplicate still.
        for key in ["a", "d"] {
            assert_eq!(handler.line(), seen(key), "{kind:?}");
        }
        home.ok(&["dedup", "reset", "watcher", "--yes"]);
        for key in ["c", "a"] {
            publish(&home, key);
            assert_eq!(handler.line(), seen(key), "{kind:?}");
        }
        assert_eq!(handler.stop(), Some(0));
    }
}

#[test]
fn a_process_that_does_not_answer_is_named() {
    let home = Home::new();
    let handler = deduplicating(&home, ["--name", "watcher"]);
    publish(&home, "a");
    handler.line();
    let processes = home.json(&["processes", "ls"]);
    let all = processes["processes"].as_array().expect("processes");
    let host = all.iter().find(|one| one["liveness"] == "alive");
    let pid = host.expect("a host")["pid"].clone();
    handler.signal(Signal::STOP);
    let asked = home.run(&[
        "--set",
        "process.command_wait=300ms",
        "dedup",
        "reset",
        "watcher",
        "--yes",
    ]);
    handler.signal(Signal::CONT);
    assert_eq!(asked.status.code(), Some(4), "{}", said(&asked));
    let words = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(words.contains(&format!("pid {pid}")), "{words}");
    assert_eq!(handler.stop(), Some(0));
    let gone = home.run(&["dedup", "reset", "watcher", "--yes"]);
    assert!(!gone.status.success(), "{}", said(&gone));
}

/// How often each event was handled, by its number, once `lines` lines came.
fn handled(reader: &Running, lines: usize) -> BTreeMap<i64, usize> {
    let mut times = BTreeMap::new();
    for _ in 0..lines {
        let line: Value = serde_json::from_str(&reader.line()).expect("json");
        *times.entry(line["seq"].as_i64().expect("seq")).or_insert(0) += 1;
    }
    times
}

#[test]
fn a_replay_killed_in_the_middle_goes_on_and_delivers_nothing_twice() {
    const EVENTS: usize = 60;
    let home = Home::new();
    let reader = home.start(&["--json", "subscribe", TYPE, "--durable", "reader"]);
    let other = home.start(&["--json", "subscribe", TYPE, "--durable", "other"]);
    reader.note("subscribed to");
    other.note("subscribed to");
    for number in 0..EVENTS {
        publish(&home, &format!("k{number}"));
    }
    let once = handled(&reader, EVENTS);
    assert_eq!(
        (once.len(), handled(&other, EVENTS).len()),
        (EVENTS, EVENTS)
    );

    let replay = ["replay", "--to", "reader", "--rate", "20/s"];
    let mut asked = Terminal::of(home.command(&replay));
    asked.shows("This will deliver 60 past events again, to reader alone.");
    asked.types("y");
    let note = "if interrupted: ringrift replay --resume ";
    let shown = asked.shows(note).to_owned();
    // What it shows of itself while it goes on.
    let shown = asked.shows("/60 events").to_owned() + &shown;
    let run = shown.split(note).nth(1).expect("a run");
    let run: String = run.chars().take_while(char::is_ascii_hexdigit).collect();
    let mut again = handled(&reader, 10);
    asked.kill();
    // Nothing is replayed any more; what was, is delivered.
    let left = |home: &Home| {
        let left = home.json(&["replay", "--resume", &run, "--dry-run"]);
        left["selected"]["events"].as_u64().expect("a count")
    };
    let rest = left(&home);
    assert!((1..=50).contains(&rest), "{rest} of 60 are left");

    let resumed = home.json(&["replay", "--resume", &run, "--yes"]);
    assert_eq!(resumed["replayed"], rest, "{resumed}");
    assert_eq!(left(&home), 0);
    for (seq, times) in handled(&reader, EVENTS - 10) {
        *again.entry(seq).or_insert(0) += times;
    }
    assert!(again.values().all(|times| *times == 1), "{again:?}");
    assert_eq!(again, once, "each of them once");
    // A line that comes now is a new event's, not one more replayed one's.
    publish(&home, "last");
    for handler in [&reader, &other] {
        let next = handled(handler, 1);
        assert_eq!(next.keys().next(), Some(&61), "and nobody else got any");
    }
    assert_eq!((reader.stop(), other.stop()), (Some(0), Some(0)));
}

/// What comes while somebody reads the question was shown to nobody: it is neither deleted nor
/// brought back, and a plain yes stays enough.
#[test]
fn clearing_and_restoring_touch_what_was_shown_and_nothing_that_came_since() {
    let home = Home::new();
    home.ok(&["subscribe", TYPE, "--durable", "reader", "--for", "1ms"]);
    let publish = |count: usize| {
        let input = "{\"config_key\":\"k\"}\n".repeat(count);
        let sent = home.run_with(&["publish", TYPE, "--jsonl"], &input);
        assert!(sent.status.success(), "{}", said(&sent));
    };
    publish(3);
    let mut asked = Terminal::of(home.command(&["--json", "queue", "clear"]));
    asked.shows("This will delete 3 pending events.");
    asked.shows("Go ahead? [y/N] ");
    publish(2_000);
    asked.types("y");
    let (exit, cleared) = asked.answer();
    assert_eq!((exit, &cleared["events"]), (Some(0), &3.into()));
    let mut asked = Terminal::of(home.command(&["--json", "queue", "restore"]));
    asked.shows("This will bring 3 deleted events back");
    asked.shows("Go ahead? [y/N] ");
    publish(2);
    let delete = "DELETE FROM cross_process_events WHERE id > 3";
    home.ok(&["db", "sql", "--write", "--yes=2002", delete]);
    asked.types("y");
    let (exit, _) = asked.answer();
    assert_eq!(exit, Some(3), "two thousand more are deleted by now");
    let pending = home.json(&["queue", "clear", "--dry-run"]);
    assert_eq!(pending["events"], 0, "and none was brought back");
}
