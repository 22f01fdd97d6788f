//! `ringrift publish`, one event and many.

use super::home::{Home, said};

#[test]
fn a_published_event_is_shown_by_prefix_number_and_key() {
    let home = Home::new();
    let payload = r#"{"config_key":"hex8_2p","games":12345678901234567890123}"#;
    let published = home.json(&[
        "publish",
        "NEW_GAMES_AVAILABLE",
        payload,
        "--idempotency-key",
        "run-7",
    ]);
    let id = published["id"].as_str().expect("an id").to_owned();
    for name in [&id[..18], "1", "run-7"] {
        let text = home.ok(&["--json", "events", "show", name]);
        assert!(text.contains(&id), "{name}: {text}");
        assert!(
            text.contains("12345678901234567890123"),
            "digits are kept: {text}"
        );
    }
}

#[test]
fn publishing_twice_with_one_key_names_the_original() {
    let home = Home::new();
    let args = [
        "publish",
        "NEW_GAMES_AVAILABLE",
        r#"{"config_key":"a"}"#,
        "--idempotency-key",
        "k",
    ];
    let first = home.json(&args);
    let second = home.json(&args);
    assert_eq!(second["duplicate_of"], first["id"]);
    assert_eq!(second["seq"], first["seq"]);
}

#[test]
fn bad_input_is_refused_with_a_code_and_nothing_is_published() {
    let home = Home::new();
    for (name, payload, code) in [
        ("NEW_GAMES_AVAILABEL", "{}", "TYPE_UNKNOWN"),
        ("NEW_GAMES_AVAILABLE", "[1]", "PAYLOAD_NOT_OBJECT"),
        ("NEW_GAMES_AVAILABLE", "{", "PAYLOAD_NOT_JSON"),
    ] {
        let output = home.run(&["--json", "publish", name, payload]);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(code), "{text}");
    }
    assert_eq!(
        home.json(&["events", "ls"])["events"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
}

const LINES: &str = concat!(
    r#"{"type":"NEW_GAMES_AVAILABLE","payload":{"config_key":"a"}}"#,
    "\n",
    r#"{"type":"new_games_available","payload":{"config_key":"b"},"source":"x"}"#,
    "\n",
    r#"{"type":"NO_SUCH_TYPE","payload":{}}"#,
    "\n",
    r#"{"type":"NEW_GAMES_AVAILABLE","payload":{"config_key":"c"}}"#,
    "\n",
);

#[test]
fn a_bad_line_stops_the_stream_after_the_earlier_ones_are_committed() {
    let home = Home::new();
    let output = home.run_with(&["publish", "--jsonl"], LINES);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let ids = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(ids.lines().count(), 2, "{ids}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 3"));
    let events = home.json(&["events", "ls", "--oldest"]);
    let listed: Vec<&str> = events["events"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|event| event["id"].as_str())
        .collect();
    let printed: Vec<&str> = ids
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(listed, printed, "one line an event, in input order");
}

#[test]
fn keep_going_reports_bad_lines_and_publishes_the_rest() {
    let home = Home::new();
    let output = home.run_with(&["publish", "--jsonl", "--keep-going"], LINES);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 3);
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 3"));
}

#[test]
fn lines_can_be_payloads_of_one_type() {
    let home = Home::new();
    let input: String = (0..500)
        .map(|n| format!("{{\"config_key\":\"k{n}\"}}\n"))
        .collect();
    let output = home.run_with(&["publish", "NEW_GAMES_AVAILABLE", "--jsonl"], &input);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 500);
}
