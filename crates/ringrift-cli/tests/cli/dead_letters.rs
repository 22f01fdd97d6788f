//! `ringrift dlq` on a real store.

use super::home::{Home, said};

/// A home with one dead letter of `strict`, whose handler is down.
fn with_letter() -> Home {
    let home = Home::new();
    let handler = home.start(&[
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "strict",
        "--exec",
        "echo refused >&2; echo ran; exit 65",
    ]);
    handler.note("subscribed to");
    home.ok(&["publish", "NEW_GAMES_AVAILABLE", r#"{"config_key":"a"}"#]);
    assert_eq!(handler.line(), "ran");
    assert_eq!(handler.stop(), Some(0));
    home
}

#[test]
fn a_retry_reaches_the_handler_that_failed_and_no_other() {
    let home = with_letter();
    let other = home.start(&[
        "--json",
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "other",
        "-n",
        "1",
    ]);
    other.note("subscribed to");
    home.ok(&["dlq", "retry", "1"]);
    let strict = home.start(&[
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "strict",
        "--exec",
        "echo again",
        "-n",
        "1",
    ]);
    assert_eq!(strict.line(), "again");
    assert_eq!(strict.end(), Some(0));
    home.ok(&["publish", "NEW_GAMES_AVAILABLE", r#"{"config_key":"b"}"#]);
    let line: serde_json::Value = serde_json::from_str(&other.line()).expect("json");
    assert_eq!(line["seq"], 2, "the retried event was not delivered to it");
    assert_eq!(home.json(&["dlq", "ls"])["total"], 0);
}

#[test]
fn an_edited_letter_reaches_its_handler_with_the_new_payload() {
    let home = with_letter();
    home.ok(&[
        "dlq",
        "edit",
        "1",
        "--payload",
        r#"{"config_key":"fixed"}"#,
        "--yes",
    ]);
    let strict = home.start(&[
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "strict",
        "--exec",
        "cat",
        "-n",
        "1",
    ]);
    let line: serde_json::Value = serde_json::from_str(&strict.line()).expect("json");
    assert_eq!(line["payload"]["config_key"], "fixed");
    assert_eq!(strict.end(), Some(0));
}

#[test]
fn a_purge_asks_and_can_be_undone() {
    let home = with_letter();
    let refused = home.run(&["dlq", "purge", "--all"]);
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("next: ringrift dlq purge --all --yes")
    );
    home.ok(&["dlq", "purge", "--all", "--yes"]);
    assert_eq!(home.json(&["dlq", "ls"])["total"], 0);
    home.ok(&["dlq", "restore", "1"]);
    assert_eq!(home.json(&["dlq", "ls"])["total"], 1);
}

#[test]
fn the_undo_of_an_edit_brings_the_original_back_and_delivers_nothing() {
    let home = with_letter();
    let before = home.json(&["dlq", "ls"]);
    let payload = r#"{"config_key":"wrong"}"#;
    let edited = home.json(&["dlq", "edit", "1", "--payload", payload, "--yes"]);
    assert_eq!(
        home.json(&["dlq", "ls"])["letters"][0]["id"],
        edited["letter"]
    );
    let undo = edited["undo"].as_str().expect("a command");
    home.ok(&undo.split(' ').skip(1).collect::<Vec<_>>());
    let mut after = home.json(&["dlq", "ls"]);
    // It stays linked to what was tried.
    after["letters"][0]["linked"] = before["letters"][0]["linked"].clone();
    assert_eq!(after, before);
    home.ok(&["publish", "NEW_GAMES_AVAILABLE", r#"{"config_key":"b"}"#]);
    let strict = home.start(&[
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "strict",
        "--exec",
        "cat",
        "-n",
        "1",
    ]);
    let line: serde_json::Value = serde_json::from_str(&strict.line()).expect("json");
    assert_eq!(
        line["payload"]["config_key"], "b",
        "the edited one did not come"
    );
    assert_eq!(strict.end(), Some(0));
}

#[test]
fn the_undo_of_many_brings_back_these_and_no_others() {
    let home = with_letter();
    let strict = home.start(&[
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "strict",
        "--exec",
        "echo ran; exit 65",
    ]);
    strict.note("subscribed to");
    for _ in 0..4 {
        home.ok(&["publish", "NEW_GAMES_AVAILABLE", r#"{"config_key":"a"}"#]);
        assert_eq!(strict.line(), "ran");
    }
    assert_eq!(strict.stop(), Some(0));
    home.ok(&["dlq", "discard", "4", "--yes"]);
    let all = home.ok(&["--json", "dlq", "discard", "--all", "--yes"]);
    let all: serde_json::Value = serde_json::from_str(&all).expect("json");
    let undo = all["data"]["undo"].as_str().expect("an undo");
    assert_eq!(undo, "ringrift dlq restore 1..3 5");
    let words: Vec<&str> = undo.split(' ').skip(1).collect();
    home.ok(&words);
    let count = |state| {
        home.json(&["dlq", "ls", "--state", state])["letters"]
            .as_array()
            .map(Vec::len)
    };
    assert_eq!(count("dead"), Some(4));
    assert_eq!(count("discarded"), Some(1), "it was discarded before");
}

/// Starts `strict` again, which does what it gets this time; waits until it has done one.
fn mended(home: &Home) {
    let strict = home.start(&[
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "strict",
        "--exec",
        "cat",
        "-n",
        "1",
    ]);
    strict.line();
    assert_eq!(strict.end(), Some(0));
}

/// Edits letter 1; answers the edited event.
fn edit(home: &Home) -> String {
    let good = r#"{"config_key":"good"}"#;
    let edited = home.json(&["dlq", "edit", "1", "--payload", good, "--yes"]);
    edited["event_id"].as_str().expect("its event").to_owned()
}

/// What `explain` says, whatever it comes to.
fn told(home: &Home, event: &str) -> serde_json::Value {
    let output = home.run(&["--json", "explain", event]);
    let mut envelope: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("an envelope");
    envelope["data"].take()
}

#[test]
fn an_edited_event_is_told_of_as_what_it_is() {
    let home = with_letter();
    let event = edit(&home);
    assert_eq!(home.json(&["dlq", "ls"])["letters"][0]["key"], "good");
    let waits = home.run(&["explain", &event]);
    let text = said(&waits);
    assert_eq!(waits.status.code(), Some(1), "{text}");
    assert!(
        text.contains("It was edited by ") && text.contains("from dead letter 1"),
        "{text}"
    );
    assert!(
        text.contains("WT_NO_PROCESS") && !text.contains("PUB_VOLATILE"),
        "{text}"
    );
    let tree = home.json(&["tree", &event]);
    assert_eq!(tree["root"]["id"], event.as_str());
    let shown = said(&home.run(&["events", "show", &event]));
    assert!(shown.contains("next: ringrift dlq show 2"), "{shown}");
    mended(&home);
    let done = home.run(&["explain", &event]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
}

#[test]
fn an_edit_that_succeeded_is_told_of_its_original_and_stays() {
    let home = with_letter();
    home.ok(&["dlq", "discard", "1", "--yes"]);
    home.ok(&["dlq", "restore", "1"]);
    let history = told(&home, "1")["deliveries"][0]["history"].clone();
    let acts: Vec<_> = history.as_array().expect("facts").iter().collect();
    let restored = acts
        .iter()
        .any(|fact| fact["act"] == "dlq.restore" && fact["code"].is_null());
    assert!(restored, "{history}");
    let event = edit(&home);
    let waits = told(&home, "1")["deliveries"][0].clone();
    assert_eq!(waits["next"], format!("ringrift explain {event}"));
    assert!(
        waits["sentence"]
            .as_str()
            .expect("text")
            .starts_with("An edited event took its place, by ")
    );
    mended(&home);
    let done = home.run(&["explain", "1"]);
    let text = said(&done);
    assert_eq!(done.status.code(), Some(0), "{text}");
    assert!(
        text.contains("is recovered") && !text.contains("dlq restore 1"),
        "{text}"
    );
    let late = home.run(&["dlq", "restore", "1"]);
    assert_eq!(late.status.code(), Some(3), "{}", said(&late));
    assert!(said(&late).contains("WRONG_STATE"), "{}", said(&late));
    assert_eq!(home.json(&["dlq", "ls"])["total"], 0);
}

#[test]
fn a_number_that_no_event_has_is_unknown_however_large() {
    let home = with_letter();
    for name in ["999", "#999", "0", "+1", "00999"] {
        let found = home.run(&["explain", name]);
        assert_eq!(found.status.code(), Some(6), "{name}: {}", said(&found));
        assert!(said(&found).contains("EVENT_UNKNOWN"), "{}", said(&found));
    }
    for name in ["1", "#1", "00001"] {
        let found = told(&home, name);
        assert_eq!(found["event"]["seq"], 1, "{name}");
    }
}
