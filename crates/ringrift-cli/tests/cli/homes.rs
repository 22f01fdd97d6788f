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
