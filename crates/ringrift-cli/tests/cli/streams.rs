//! `tail` and `subscribe` without a command.

use serde_json::Value;

use super::home::{Home, said};

const GAMES: &str = r#"{"config_key":"hex8_2p"}"#;

#[test]
fn tail_follows_what_other_processes_publish() {
    let home = Home::new();
    home.ok(&["publish", "NEW_GAMES_AVAILABLE", GAMES]);
    let tail = home.start(&[
        "--json",
        "tail",
        "-n",
        "1",
        "--count",
        "2",
        "--timeout",
        "50s",
    ]);
    let first: Value = serde_json::from_str(&tail.line()).expect("json");
    assert_eq!(first["seq"], 1);
    home.ok(&["publish", "MODEL_PROMOTED", GAMES]);
    let second: Value = serde_json::from_str(&tail.line()).expect("json");
    assert_eq!(second["type"], "model_promoted");
    assert_eq!(tail.end(), Some(0));
}

#[test]
fn a_durable_subscription_misses_nothing_while_it_is_down() {
    let home = Home::new();
    let args = [
        "--json",
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "reader",
        "-n",
        "1",
    ];
    let first = home.start(&args);
    first.note("subscribed to");
    home.ok(&["publish", "NEW_GAMES_AVAILABLE", GAMES]);
    let line: Value = serde_json::from_str(&first.line()).expect("json");
    assert_eq!((&line["seq"], &line["attempt"]), (&1.into(), &1.into()));
    assert_eq!(line["subscription"], "reader");
    assert_eq!(first.end(), Some(0));
    home.ok(&["publish", "NEW_GAMES_AVAILABLE", GAMES]);
    let second = home.start(&args);
    let line: Value = serde_json::from_str(&second.line()).expect("json");
    assert_eq!(line["seq"], 2);
    assert_eq!(second.end(), Some(0));
    let shown = home.json(&["subs", "show", "reader"]);
    assert_eq!(shown["subscription"]["settled"], 2);
}

#[test]
fn where_a_durable_subscription_begins_need_not_be_said_again() {
    let home = Home::new();
    home.ok(&["publish", "NEW_GAMES_AVAILABLE", GAMES]);
    let args = [
        "--json",
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "-d",
        "reader",
        "-n",
        "1",
    ];
    let first = home.start(&[&args[..], &["--beginning"]].concat());
    first.note("subscribed to NEW_GAMES_AVAILABLE as reader (durable)");
    let line: Value = serde_json::from_str(&first.line()).expect("json");
    assert_eq!(line["seq"], 1);
    assert_eq!(first.end(), Some(0));
    for (seq, again) in [(2, &[][..]), (3, &["--after", "0"][..])] {
        home.ok(&["publish", "NEW_GAMES_AVAILABLE", GAMES]);
        let resumed = home.start(&[&args[..], again].concat());
        resumed.note("as reader (durable, goes on where it was)");
        if !again.is_empty() {
            resumed.note("ringrift subs seek reader");
        }
        let line: Value = serde_json::from_str(&resumed.line()).expect("json");
        assert_eq!(line["seq"], seq);
        assert_eq!(resumed.end(), Some(0));
    }
}

#[test]
fn a_filter_keeps_other_events_away() {
    let home = Home::new();
    let reader = home.start(&[
        "--json",
        "subscribe",
        "TRAINING_COMPLETED",
        "--durable",
        "strong",
        "--where",
        "elo__gte=1900",
        "-n",
        "1",
    ]);
    reader.note("subscribed to");
    home.ok(&[
        "publish",
        "TRAINING_COMPLETED",
        r#"{"config_key":"a","elo":1500}"#,
    ]);
    home.ok(&[
        "publish",
        "TRAINING_COMPLETED",
        r#"{"config_key":"a","elo":1950}"#,
    ]);
    let line: Value = serde_json::from_str(&reader.line()).expect("json");
    assert_eq!(line["payload"]["elo"], 1950);
    let shown = home.json(&["events", "show", "1"]);
    assert_eq!(shown["deliveries"][0]["code"], "RT_FILTER_FALSE");
}

#[test]
fn a_reader_that_goes_away_leaves_its_event_unharmed() {
    let home = Home::new();
    // `true` closes its end of the pipe without reading.
    let script = format!(
        "{} subscribe NEW_GAMES_AVAILABLE --durable reader --beginning | true",
        env!("CARGO_BIN_EXE_ringrift")
    );
    home.ok(&["publish", "NEW_GAMES_AVAILABLE", GAMES]);
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .env("RINGRIFT_HOME", home.path())
        .output()
        .expect("runs");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
    let again = home.start(&[
        "--json",
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "reader",
        "--beginning",
        "-n",
        "1",
    ]);
    let line: Value = serde_json::from_str(&again.line()).expect("json");
    assert_eq!(line["seq"], 1);
    assert_eq!(again.end(), Some(0));
}

#[test]
fn a_broken_pipe_is_no_panic() {
    let home = Home::new();
    for verb in ["codes", "types ls", "completion bash"] {
        let script = format!("{} {verb} | true", env!("CARGO_BIN_EXE_ringrift"));
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .env("RINGRIFT_HOME", home.path())
            .output()
            .expect("runs");
        assert!(output.stderr.is_empty(), "{}", said(&output));
    }
}

#[test]
fn time_that_runs_out_is_exit_6() {
    let home = Home::new();
    let output = home.run(&[
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "-n",
        "1",
        "--for",
        "200ms",
    ]);
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
}

#[test]
fn a_subscription_with_an_odd_name_is_refused_and_a_command_makes_none() {
    let home = Home::new();
    for name in ["two\nlines", "#1", "../..", "a b", ""] {
        let refused = home.run(&["subscribe", "MODEL_PROMOTED", "--durable", name]);
        assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
        assert!(
            said(&refused).contains("SUBSCRIPTION_NAME_INVALID"),
            "{}",
            said(&refused)
        );
    }
    let exec = home.start(&[
        "subscribe",
        "MODEL_PROMOTED",
        "--exec",
        "true && cat > '/dev/null'",
    ]);
    exec.note("as ringrift-exec:true____cat____/dev/null_ (live)");
    assert_eq!(exec.stop(), Some(0));
}
