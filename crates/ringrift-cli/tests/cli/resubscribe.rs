//! Resubscribing: what it would do is said first, what was stopped runs again, nothing is lost.

use super::home::{Home, LONG, said, within};

#[test]
fn the_plan_names_handlers_and_stopped_daemons_and_all_of_them_run_afterwards() {
    let home = Home::new();
    let nobody = home.run(&["subs", "resubscribe", "--yes"]);
    assert_eq!(nobody.status.code(), Some(4), "{}", said(&nobody));
    let reader = home.start(&["subscribe", "NEW_GAMES_AVAILABLE", "--durable", "reader"]);
    reader.note("subscribed to");
    let host = home.start(&["run"]);
    host.line();
    home.json(&["daemons", "stop", "CROSS_PROCESS_POLLER"]);
    home.ok(&["publish", "NEW_GAMES_AVAILABLE"]);
    let state = |name: &str| {
        let listed = home.json(&["daemons", "ls"]);
        let rows = listed["daemons"].as_array().cloned().unwrap_or_default();
        let mut states = rows.iter().filter(|row| row["name"] == name);
        states.all(|row| row["state"] != "stopped")
    };
    assert!(within(LONG, || !state("CROSS_PROCESS_POLLER")));
    let asked = home.run(&["subs", "resubscribe"]);
    assert_eq!(asked.status.code(), Some(3), "{}", said(&asked));
    let plan = String::from_utf8_lossy(&asked.stderr).into_owned();
    for expected in [
        "stop and start every handler and daemon of 2 processes",
        ": reader; CROSS_PROCESS_POLLER is stopped by ",
        ": no handler; CROSS_PROCESS_POLLER is stopped by ",
        "Undo: none needed",
    ] {
        assert!(plan.contains(expected), "{expected}: {plan}");
    }
    let shown = home.ok(&["subs", "resubscribe", "--dry-run"]);
    assert!(shown.contains("2 processes would be"), "{shown}");
    assert!(!state("CROSS_PROCESS_POLLER"), "nothing was done yet");
    let done = home.json(&["subs", "resubscribe", "--yes"]);
    let answers: Vec<&str> = done["processes"]
        .as_array()
        .expect("answers")
        .iter()
        .filter_map(|one| one["answer"].as_str())
        .collect();
    assert_eq!(answers.len(), 2, "{done}");
    assert!(answers.contains(&"ok resubscribed reader"), "{done}");
    assert!(answers.contains(&"ok no handler resubscribed"), "{done}");
    reader.line();
    assert!(within(LONG, || state("CROSS_PROCESS_POLLER")));
    assert_eq!(reader.stop(), Some(0));
    let again = home.json(&["events", "show", "1"]);
    assert_eq!(again["deliveries"][0]["code"], "HN_OK", "{again}");
    assert_eq!(host.stop(), Some(0));
}
