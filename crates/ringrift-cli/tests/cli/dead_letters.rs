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
