//! `subscribe --exec`.

use serde_json::Value;

use super::home::{Home, LONG, within};

fn publish(home: &Home, key: &str) -> String {
    let payload = format!("{{\"config_key\":\"{key}\"}}");
    let published = home.json(&["publish", "NEW_GAMES_AVAILABLE", &payload]);
    published["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_command_gets_the_line_and_the_environment_and_its_publish_has_a_parent() {
    let home = Home::new();
    let command = format!(
        "cat; echo $RINGRIFT_EVENT_ID $RINGRIFT_KEY $RINGRIFT_ATTEMPT $RINGRIFT_SUBSCRIPTION; \
         {} publish DATA_SYNC_COMPLETED '{{\"config_key\":\"b\"}}' >/dev/null",
        env!("CARGO_BIN_EXE_ringrift")
    );
    let handler = home.start(&[
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "sync",
        "--exec",
        &command,
        "-n",
        "1",
    ]);
    handler.note("subscribed to");
    let id = publish(&home, "hex8_2p");
    let line: Value = serde_json::from_str(&handler.line()).expect("json");
    assert_eq!(line["id"], id.as_str());
    for name in [
        "seq",
        "type",
        "payload",
        "source",
        "key",
        "time",
        "trace_id",
        "parent_id",
        "subscription",
        "attempt",
    ] {
        assert!(line.get(name).is_some(), "{name} is missing: {line}");
    }
    assert_eq!(handler.line(), format!("{id} hex8_2p 1 sync"));
    assert_eq!(handler.end(), Some(0));
    let child = home.json(&["events", "show", "2"]);
    assert_eq!(child["event"]["parent_id"], id.as_str());
    assert_eq!(child["event"]["trace_id"], line["trace_id"]);
    assert_eq!(child["event"]["depth"], 1);
}

#[test]
fn a_failing_command_is_retried_and_then_done() {
    let home = Home::new();
    let handler = home.start(&[
        "subscribe", "NEW_GAMES_AVAILABLE", "--durable", "flaky", "-n", "1", "--exec",
        "echo attempt $RINGRIFT_ATTEMPT; [ $RINGRIFT_ATTEMPT = 3 ] || { echo not yet >&2; exit 1; }",
    ]);
    handler.note("subscribed to");
    publish(&home, "a");
    for attempt in 1..=3 {
        assert_eq!(handler.line(), format!("attempt {attempt}"));
    }
    assert_eq!(handler.end(), Some(0));
    let shown = home.json(&["events", "show", "1"]);
    assert_eq!(shown["deliveries"][0]["code"], "ST_RECOVERED");
}

#[test]
fn exit_65_is_dead_at_once_with_the_words_of_the_command() {
    let home = Home::new();
    let handler = home.start(&[
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "strict",
        "--exec",
        "echo no such config >&2; echo ran; exit 65",
    ]);
    handler.note("subscribed to");
    publish(&home, "a");
    assert_eq!(handler.line(), "ran");
    handler.note("no such config");
    assert_eq!(handler.stop(), Some(0));
    let letters = home.json(&["dlq", "ls"]);
    assert_eq!(letters["letters"][0]["status"], "dead");
    assert_eq!(letters["letters"][0]["attempts"], 1);
    let error = letters["letters"][0]["error"].as_str().expect("a text");
    assert!(error.contains("no such config"), "{error}");
}

#[test]
fn at_its_timeout_the_command_is_ended_and_the_letter_says_so() {
    let home = Home::new();
    let handler = home.start(&[
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "slow",
        "--attempts",
        "1",
        "--timeout",
        "300ms",
        "--exec",
        "echo started; sleep 60",
    ]);
    handler.note("subscribed to");
    publish(&home, "a");
    assert_eq!(handler.line(), "started");
    let letter = wait_for_letter(&home);
    assert_eq!(letter["error_kind"], "timeout");
    let error = letter["error"].as_str().expect("a text");
    assert!(
        error.contains("limit of 0.3 s in step command:echo started; sleep 60"),
        "{error}"
    );
    let sql = "SELECT evidence FROM verdicts WHERE code = 'HN_ABANDONED'";
    let ended = || {
        home.json(&["db", "sql", sql])["rows"]
            .pointer("/0/0")
            .cloned()
    };
    assert!(within(LONG, || ended().is_some()), "no end came");
    let evidence = ended().unwrap_or_default().to_string();
    assert!(
        evidence.contains("limit of 300 ms; its process group got SIGTERM: killed by signal 15"),
        "{evidence}"
    );
    assert_eq!(handler.stop(), Some(0));
}

fn wait_for_letter(home: &Home) -> Value {
    // Nothing on the command's own streams announces a letter: look, a bounded number of times.
    for _ in 0..400 {
        let mut letters = home.json(&["dlq", "ls"]);
        if letters["letters"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
        {
            return letters["letters"][0].take();
        }
    }
    panic!("no letter came");
}

#[test]
fn a_signal_lets_the_running_command_finish_and_hands_back_the_rest() {
    let home = Home::new();
    let handler = home.start(&[
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "worker",
        "--exec",
        "echo started $RINGRIFT_KEY; sleep 1; echo finished $RINGRIFT_KEY",
    ]);
    handler.note("subscribed to");
    for key in ["a", "b", "c"] {
        publish(&home, key);
    }
    assert_eq!(handler.line(), "started a");
    handler.signal(rustix::process::Signal::TERM);
    assert_eq!(handler.line(), "finished a");
    assert_eq!(handler.end(), Some(0));
    let rest = home.start(&[
        "--json",
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "worker",
        "-n",
        "2",
    ]);
    let keys: Vec<String> = (0..2)
        .map(|_| serde_json::from_str::<Value>(&rest.line()).expect("json")["key"].to_string())
        .collect();
    assert_eq!(keys, ["\"b\"", "\"c\""]);
    assert_eq!(rest.end(), Some(0));
}

#[test]
fn a_signal_that_also_went_to_the_group_ends_nothing_at_once() {
    let home = Home::new();
    let handler = home.start(&[
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "worker",
        "--exec",
        "echo started; sleep 1; echo finished",
    ]);
    handler.note("subscribed to");
    publish(&home, "a");
    assert_eq!(handler.line(), "started");
    // Two different signals: two equal ones may reach the process as one.
    handler.signal(rustix::process::Signal::TERM);
    handler.signal(rustix::process::Signal::INT);
    assert_eq!(handler.line(), "finished");
    assert_eq!(handler.end(), Some(0));
}

#[test]
fn a_killed_subscriber_takes_its_commands_and_what_they_started_with_it() {
    let home = Home::new();
    let handler = home.start(&[
        "subscribe",
        "NEW_GAMES_AVAILABLE",
        "--durable",
        "worker",
        "--exec",
        // The shell waits for a child of its own: both must go.
        "sleep 300 & echo $$ $!; wait",
    ]);
    handler.note("subscribed to");
    publish(&home, "a");
    let line = handler.line();
    let pids: Vec<&str> = line.split(' ').collect();
    assert_eq!(pids.len(), 2, "{line}");
    assert!(pids.iter().all(|pid| runs(pid)), "{line}");
    handler.signal(rustix::process::Signal::KILL);
    assert_eq!(handler.end(), None);
    let gone = within(LONG, || !pids.iter().any(|pid| runs(pid)));
    assert!(gone, "{line} still run");
}

/// Whether a process of this id runs and is no zombie.
fn runs(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.contains(") Z") && stat.contains(") "))
}
