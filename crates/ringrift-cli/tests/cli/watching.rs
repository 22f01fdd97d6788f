//! `pipeline` and `alerts` as operators run them.

use super::home::{Home, said};

#[test]
fn the_demos_events_verify_and_a_pipeline_that_stops_halfway_does_not() {
    let home = Home::unmade();
    let run = ["demo", "--configs", "2", "--iterations", "3", "--work", "2"];
    let home_of_demo = home.path().display().to_string();
    home.ok(&[&run[..], &["--home", &home_of_demo]].concat());
    let matrix = home.json(&["pipeline", "verify", "--all"]);
    let keys = matrix["keys"].as_array().expect("keys").clone();
    assert_eq!(keys.len(), 2, "{matrix}");
    for key in &keys {
        assert_eq!(
            key["counts"],
            serde_json::json!([3, 3, 3, 3, 3, 3, 3]),
            "{key}"
        );
        let name = key["key"].as_str().expect("a key");
        let text = home.ok(&["pipeline", "verify", name]);
        let begins: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split("  ").next())
            .collect();
        assert_eq!(begins[0], "✓ new_games_available: 3", "{text}");
        assert_eq!(begins.len(), 7, "{text}");
    }
    let half = r#"{"config_key":"half"}"#;
    for name in ["NEW_GAMES_AVAILABLE", "DATA_SYNC_COMPLETED"] {
        home.ok(&["publish", name, half]);
    }
    let missing = home.run(&["pipeline", "verify", "half"]);
    assert_eq!(missing.status.code(), Some(1), "{}", said(&missing));
    let text = String::from_utf8_lossy(&missing.stdout).into_owned();
    assert!(text.contains("✓ data_sync_completed: 1"), "{text}");
    assert!(text.contains("✗ npz_export_complete: 0\n"), "{text}");
    let all = home.run(&["pipeline", "verify", "--all"]);
    assert_eq!(all.status.code(), Some(1), "{}", said(&all));
    let unknown = home.run(&["pipeline", "show", "ringrfit"]);
    assert_eq!(unknown.status.code(), Some(3), "{}", said(&unknown));
}

#[test]
fn a_sink_that_fails_its_test_exits_1_and_is_remembered() {
    let home = Home::new();
    let text = "[[sink]]\nname = \"good\"\nfile = \"out.jsonl\"\n\n\
        [[sink]]\nname = \"bad\"\ncommand = \"echo no >&2; exit 3\"\n";
    std::fs::write(home.file("ringrift.toml"), text).expect("a file");
    home.ok(&["alerts", "test", "good"]);
    let lines = std::fs::read_to_string(home.file("out.jsonl")).expect("the sink's file");
    assert_eq!(lines.lines().count(), 1);
    let failed = home.run(&["alerts", "test"]);
    assert_eq!(failed.status.code(), Some(1), "{}", said(&failed));
    let rules = home.json(&["alerts", "rules"]);
    let sinks = rules["sinks"].as_array().expect("sinks");
    let bad = sinks
        .iter()
        .find(|sink| sink["name"] == "bad")
        .expect("bad");
    assert_eq!(bad["failures"], 1, "{bad}");
    assert!(
        bad["error"].as_str().expect("an error").ends_with(": no"),
        "{bad}"
    );
    assert_eq!(rules["rules"].as_array().expect("rules").len(), 5);
}

#[test]
fn a_silence_holds_until_it_is_ended_and_unknown_names_are_refused() {
    let home = Home::new();
    let begun = home.json(&["alerts", "silence", "TRAINING_FAILED", "--for", "1h"]);
    let id = begun["begun"].to_string();
    assert_eq!(begun["silences"].as_array().expect("silences").len(), 1);
    let ended = home.json(&["alerts", "silence", "--end", &id]);
    assert_eq!(ended["silences"].as_array().expect("silences").len(), 0);
    for line in [
        &["alerts", "silence", "TRAINING_FAILD"][..],
        &["alerts", "silence", "--end", &id],
        &["alerts", "ack", "99"],
        &["alerts", "test", "nowhere"],
    ] {
        let refused = home.run(line);
        assert_eq!(
            refused.status.code(),
            Some(3),
            "{line:?} {}",
            said(&refused)
        );
    }
}
