//! Finding and making homes; configuration.

use super::home::{Home, said};

#[test]
fn init_makes_a_home_and_repeating_it_changes_nothing() {
    let home = Home::unmade();
    let first = home.ok(&["init"]);
    assert!(first.starts_with("made a home: "), "{first}");
    assert!(home.file("ringrift.toml").is_file());
    assert!(home.file("data/coordination/coordination.db").is_file());
    let again = home.ok(&["init"]);
    assert!(again.starts_with("this home was made already: "), "{again}");
}

#[test]
fn a_read_verb_makes_nothing() {
    let home = Home::unmade();
    let output = home.run(&["--json", "events", "ls"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("STORE_MISSING"));
    let left: Vec<_> = std::fs::read_dir(home.path()).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_broken_configuration_is_refused_before_anything_is_made() {
    let home = Home::unmade();
    let here = home.path().to_str().expect("text").to_owned();
    let broken = [
        ("this is no TOML", "CONFIG_UNREADABLE"),
        ("[handler]\ntime_limt = \"1s\"", "CONFIG_KEY_UNKNOWN"),
        ("[[types]]\nname = \"two words\"", "TYPE_NAME_INVALID"),
        ("[[expect]]\nhandler = \"#1\"", "CONFIG_VALUE_INVALID"),
    ];
    let verbs: [&[&str]; 9] = [
        &["init"],
        &["init", "--group", "0"],
        &["publish", "MODEL_PROMOTED"],
        &["subscribe", "MODEL_PROMOTED", "--for", "1s"],
        &["run"],
        &["queue", "clear", "--yes"],
        &["types", "add", "AUDIT_DONE"],
        &[
            "--home",
            &here,
            "demo",
            "--configs",
            "1",
            "--iterations",
            "1",
        ],
        &["status"],
    ];
    for (text, code) in broken {
        std::fs::write(home.file("ringrift.toml"), text).expect("a file");
        for verb in verbs {
            let refused = home.run(verb);
            assert!(!refused.status.success(), "{verb:?}: {}", said(&refused));
            assert!(
                said(&refused).contains(code),
                "{verb:?}: {}",
                said(&refused)
            );
            let left: Vec<_> = std::fs::read_dir(home.path())
                .expect("a folder")
                .map(|entry| entry.expect("an entry").file_name())
                .collect();
            assert_eq!(left, ["ringrift.toml"], "{verb:?}");
        }
    }
}

/// In an incident a configuration that somebody broke must not be the end of looking.
#[test]
fn what_tells_of_trouble_goes_on_where_the_configuration_is_refused_in_part() {
    let home = Home::new();
    home.ok(&["publish", "MODEL_PROMOTED", "{}"]);
    home.ok(&[
        "subscribe",
        "MODEL_PROMOTED",
        "--durable",
        "d",
        "--for",
        "1ms",
    ]);
    for (text, code) in [
        ("this is no TOML", "CONFIG_UNREADABLE"),
        (
            "[handler]\ntime_limt = \"1s\"\n[doctor]\ndisk_free_percent = 1",
            "CONFIG_KEY_UNKNOWN",
        ),
        ("[[sink]]\nname = 3", "CONFIG_VALUE_INVALID"),
    ] {
        std::fs::write(home.file("ringrift.toml"), text).expect("a file");
        let verbs: [&[&str]; 5] = [
            &["--json", "doctor"],
            &["--json", "status"],
            &["--json", "explain", "1"],
            &["--json", "why-not", "d"],
            &["--json", "config", "show"],
        ];
        for verb in verbs {
            let output = home.run(verb);
            let answer: serde_json::Value =
                serde_json::from_slice(&output.stdout).expect("an envelope");
            assert_eq!(answer["ok"], true, "{verb:?}: {answer}");
            let warnings = answer["warnings"].as_array().expect("warnings");
            assert_eq!(warnings.len(), 1, "{verb:?}: {answer}");
            let warning = warnings[0].as_str().expect("text");
            assert!(warning.contains(code), "{verb:?}: {warning}");
        }
        let doctor = home.run(&["--json", "doctor"]);
        let doctor = said(&doctor);
        assert!(
            doctor.contains("DR_SETTINGS") && doctor.contains(code),
            "{doctor}"
        );
        let shown = home.run(&["config", "show", "--origin"]);
        assert_eq!(shown.status.code(), Some(1), "{}", said(&shown));
        assert!(said(&shown).contains("handler.time_limit"));
        let fix = home.run(&["doctor", "--fix"]);
        assert_eq!(fix.status.code(), Some(3), "it mends by no defaults");
    }
    // What is well is in force.
    let limits = "[handler]\ntime_limt = \"1s\"\n[doctor]\ndisk_free_percent = 1";
    std::fs::write(home.file("ringrift.toml"), limits).expect("a file");
    let shown = home.run(&["--json", "config", "show", "doctor.disk_free_percent"]);
    assert!(said(&shown).contains("\"value\":\"1\""), "{}", said(&shown));
}

#[test]
fn a_lost_database_is_never_made_anew_unasked() {
    let home = Home::new();
    home.ok(&["publish", "MODEL_PROMOTED"]);
    home.ok(&["db", "backup", "backup.db"]);
    let database = home.file("data/coordination/coordination.db");
    for lost in ["data/coordination/coordination.db", "data"] {
        let path = home.file(lost);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).expect("removed");
        } else {
            std::fs::remove_file(&path).expect("removed");
        }
        let verbs: [&[&str]; 5] = [
            &["publish", "MODEL_PROMOTED"],
            &["run"],
            &["init"],
            &["status"],
            &["queue", "clear", "--yes"],
        ];
        for verb in verbs {
            let refused = home.run(verb);
            let text = said(&refused);
            assert_eq!(refused.status.code(), Some(5), "{verb:?}: {text}");
            assert!(text.contains("STORE_LOST"), "{verb:?}: {text}");
            for named in [
                "coordination.db is gone",
                "ringrift db restore",
                "ringrift init --anew",
            ] {
                assert!(text.contains(named), "{verb:?}: {text}");
            }
            assert!(!database.exists(), "{verb:?}");
        }
        home.ok(&["db", "restore", "backup.db", "--yes"]);
        let events = home.json(&["events", "ls"]);
        assert_eq!(
            events["events"].as_array().map(Vec::len),
            Some(1),
            "{events}"
        );
    }
    std::fs::remove_file(&database).expect("removed");
    home.ok(&["init", "--anew"]);
    home.ok(&["init", "--anew"]);
    assert!(home.ok(&["publish", "MODEL_PROMOTED"]).contains(" 1\n"));
}

#[test]
fn a_named_home_that_does_not_exist_is_refused() {
    let home = Home::unmade();
    let output = home.run(&["--home", "/nowhere/at/all", "status"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
}

#[test]
fn a_subfolder_finds_the_home_above_it() {
    let home = Home::new();
    let inner = home.file("logs");
    let output = home
        .command(&["--json", "events", "ls"])
        .env_remove("RINGRIFT_HOME")
        .current_dir(inner)
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn settings_say_where_they_come_from() {
    let home = Home::new();
    let shown = home.json(&[
        "--set",
        "handler.time_limit=10m",
        "config",
        "show",
        "handler.time_limit",
    ]);
    assert_eq!(shown["settings"][0]["origin"], "command line");
    let shown = home.json(&["config", "show", "store.lease"]);
    assert_eq!(shown["settings"][0]["origin"], "RINGRIFT_STORE_LEASE");
    let refused = home.run(&["--set", "handler.time_limit=soon", "config", "show"]);
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
}

#[test]
fn a_type_of_ones_own_is_known_to_every_process() {
    let home = Home::new();
    let add = [
        "types",
        "add",
        "AUDIT_DONE",
        "--required",
        "config_key",
        "--policy",
        "reject",
    ];
    assert_eq!(home.json(&add)["new"], true);
    assert_eq!(home.json(&add)["new"], false);
    let refused = home.run(&["publish", "AUDIT_DONE", "{}"]);
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
    home.ok(&["publish", "audit_done", r#"{"config_key":"hex8_2p"}"#]);
    let shown = home.json(&["types", "show", "AUDIT_DONE"]);
    assert_eq!(shown["type"]["required"][0], "config_key");
}
