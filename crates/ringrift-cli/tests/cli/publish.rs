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
    assert_eq!(
        second["id"], first["id"],
        "the id of the event in the log comes first"
    );
    assert_ne!(second["unused_id"], first["id"]);
    let line = home.ok(&args);
    let id = first["id"].as_str().expect("an id");
    assert!(line.starts_with(&format!("{id} 1 duplicate")), "{line}");
}

#[test]
fn a_payload_file_that_is_not_there_is_a_wrong_argument() {
    let home = Home::new();
    let output = home.run(&["--json", "publish", "MODEL_PROMOTED", "@missing.json"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("NAME_UNKNOWN") && text.contains("missing.json"),
        "{text}"
    );
    let output = home.run_with(
        &["publish", "--jsonl"],
        "{\"type\":\"MODEL_PROMOTED\",\"payload\":{}}\nrubbish\n",
    );
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        words.contains("one event is committed before it"),
        "{words}"
    );
}

#[test]
fn a_type_is_not_made_volatile_by_adding_it_again() {
    let home = Home::new();
    home.ok(&["types", "add", "AUDIT_DONE"]);
    for name in ["AUDIT_DONE", "MODEL_PROMOTED"] {
        let output = home.run(&["--json", "types", "add", name, "--volatile"]);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains("TYPE_DIFFERS") && text.contains("volatile"),
            "{text}"
        );
        home.ok(&["types", "add", name]);
    }
}

#[test]
fn missing_required_fields_are_warned_of() {
    let home = Home::new();
    let output = home.run(&["publish", "TRAINING_COMPLETED", "{}"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        words.contains("required") && words.contains("config_key"),
        "{words}"
    );
    let output = home.ok(&["--json", "publish", "TRAINING_COMPLETED", "{}"]);
    let envelope: serde_json::Value = serde_json::from_str(&output).expect("one envelope");
    let warning = envelope["warnings"][0].as_str().expect("a warning");
    assert!(warning.contains("config_key"), "{warning}");
    let missing = envelope["data"]["missing"].as_array().expect("fields");
    assert!(missing.contains(&"config_key".into()), "{envelope}");
    let whole = home.ok(&[
        "--json",
        "publish",
        "TRAINING_COMPLETED",
        r#"{"config_key":"a"}"#,
    ]);
    assert!(whole.contains(r#""warnings":[]"#), "{whole}");
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

#[test]
fn a_disk_that_runs_full_names_the_line_and_how_to_go_on() {
    let home = Home::new();
    const KEYS: &str = "SELECT COUNT(*), COUNT(DISTINCT key) FROM cross_process_events";
    let filler = "x".repeat(20_000);
    let input: String = (0..400)
        .map(|number| format!("{{\"config_key\":\"{number}\",\"filler\":\"{filler}\"}}\n"))
        .collect();
    std::fs::write(home.file("input.jsonl"), &input).expect("written");
    // Beyond this size of a file writing fails as on a full disk.
    let output = home
        .shell(
            "trap '' XFSZ; exec prlimit --fsize=4194304:unlimited \"$0\" \"$@\" < input.jsonl",
            &["--json", "publish", "NEW_GAMES_AVAILABLE", "--jsonl"],
        )
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (ids, failure) = text.trim_end().rsplit_once('\n').expect("ids came first");
    let failure: serde_json::Value = serde_json::from_str(failure).expect("an envelope");
    let message = failure["error"]["message"].as_str().expect("words");
    let next = failure["error"]["next"].as_str().expect("a command");
    let published = ids.lines().count();
    assert!(published > 0 && published < 400, "{published}");
    assert!(message.contains("that were read all but line"), "{message}");
    // Exactly the rest goes through once there is room.
    let (_, go_on) = next.split_once("; then ").expect("how to go on");
    let script = go_on
        .replace("INPUT", "input.jsonl")
        .replace("ringrift", "\"$0\"");
    let rest = home.shell(&script, &[]).output().expect("it runs");
    assert!(rest.status.success(), "{script}: {}", said(&rest));
    let rows = home.json(&["db", "sql", KEYS]);
    assert_eq!(rows["rows"][0], serde_json::json!([400, 400]));
}
