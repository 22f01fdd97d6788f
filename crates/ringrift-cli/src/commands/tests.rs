//! Snapshots of what operators and scripts read, over a store in memory.

use insta::assert_snapshot;
use serde_json::Value::Null;

use crate::world::{Ran, World};

fn shown(ran: &Ran) -> String {
    let json: Result<serde_json::Value, _> = serde_json::from_str(&ran.stdout);
    let stdout = match json {
        Ok(value) => serde_json::to_string_pretty(&value).expect("json"),
        Err(_) => ran.stdout.clone(),
    };
    format!(
        "exit {}\n--- stdout\n{stdout}\n--- stderr\n{}",
        ran.exit, ran.stderr
    )
}

/// The answer of a command that was run with `--json`.
#[track_caller]
fn answer(ran: &Ran) -> serde_json::Value {
    let mut all: serde_json::Value = serde_json::from_str(&ran.stdout).expect("json");
    assert_eq!(all["ok"], true, "{}", ran.stdout);
    all["data"].take()
}

macro_rules! snapshots {
    ($($name:ident: $world:expr, $line:expr;)*) => {
        $(
            #[test]
            fn $name() {
                assert_snapshot!(shown(&$world.run(&$line)));
            }
        )*
    };
}

snapshots! {
    events_ls_is_a_table: World::busy(), ["events", "ls"];
    events_ls_is_an_envelope_for_scripts: World::busy(), ["--json", "events", "ls", "-n", "1"];
    events_ls_narrows_by_type_and_filter: World::busy(), ["events", "ls", "--type", "TRAINING_COMPLETED", "--where", "elo__gt=1700"];
    events_ls_says_none: World::empty(), ["events", "ls"];
    events_show_names_the_dead_letter: World::busy(), ["events", "show", "2"];
    events_show_names_what_waits: World::busy(), ["events", "show", "4"];
    events_show_knows_no_such_event: World::busy(), ["events", "show", "99999"];
    events_show_tells_scripts_too: World::busy(), ["--json", "events", "show", "99999"];
    explain_names_the_dead_letter: World::busy(), ["explain", "2"];
    explain_tells_scripts: World::busy(), ["--json", "explain", "2"];
    explain_says_well: World::busy(), ["explain", "1"];
    explain_of_what_nobody_takes: World::busy(), ["explain", "3"];
    explain_of_an_ambiguous_prefix_lists_the_candidates: World::busy(), ["explain", "018b"];
    explain_of_an_unknown_id_says_since_when_events_are_kept: World::busy(), ["--json", "explain", "018a0000-0000-7000-8000-000000000001"];
    explain_of_an_unknown_key: World::busy(), ["explain", "--key", "run-7"];
    why_not_names_what_became_of_each: World::busy(), ["why-not", "evaluator", "--type", "TRAINING_COMPLETED"];
    why_not_names_a_type_that_it_does_not_take: World::busy(), ["why-not", "evaluator", "--type", "NEW_GAMES_AVAILABLE", "--since", "1d"];
    why_not_knows_no_such_subscription: World::busy(), ["why-not", "evaluater", "--type", "TRAINING_COMPLETED"];
    why_not_names_what_came_instead: World::silent(), ["why-not", "evaluator", "--type", "TRAINING_COMPLETED"];
    explain_cannot_tell_what_became_of_a_live_delivery: World::forgotten(), ["explain", "1"];
    explain_of_what_a_live_process_had_not_read: World::forgotten(), ["explain", "2"];
    explain_of_a_number_to_come: World::busy(), ["explain", "99999"];
    tree_of_an_unknown_event: World::busy(), ["tree", "018a0000-0000-7000-8000-000000000001"];
    tree_of_an_ambiguous_prefix: World::busy(), ["tree", "018b"];
    route_says_who_would_get_it: World::busy(), ["route", "TRAINING_COMPLETED", "--payload", r#"{"config_key":"sq8_2p","elo":1700}"#];
    route_says_why_nobody_would: World::busy(), ["route", "TRAINING_COMPLETED", "--payload", r#"{"config_key":"sq8_2p","elo":1400}"#];
    route_offers_the_nearest_type: World::busy(), ["route", "TRAINING_COMPLETE"];
    route_refuses_what_the_door_refuses: World::busy(), ["route", "TRAINING_COMPLETED", "--payload", "[1]"];
    tree_of_one_event: World::busy(), ["tree", "2"];
    subs_ls: World::busy(), ["subs", "ls"];
    subs_show: World::busy(), ["subs", "show", "evaluator"];
    subs_show_offers_the_nearest_name: World::busy(), ["subs", "show", "evaluater"];
    subs_pause: World::busy(), ["subs", "pause", "evaluator"];
    subs_seek_shows_what_it_would_do: World::busy(), ["subs", "seek", "evaluator", "--beginning", "--dry-run"];
    subs_seek_needs_a_yes: World::busy(), ["subs", "seek", "evaluator", "--end"];
    subs_seek_names_its_undo: World::busy(), ["--json", "subs", "seek", "evaluator", "--end", "--yes"];
    dlq_ls: World::busy(), ["dlq", "ls"];
    dlq_show: World::busy(), ["dlq", "show", "1"];
    dlq_retry_of_one_needs_no_yes: World::busy(), ["dlq", "retry", "1"];
    dlq_purge_needs_a_yes: World::busy(), ["dlq", "purge", "--all"];
    dlq_discard_names_its_undo: World::busy(), ["dlq", "discard", "1", "--yes"];
    dlq_acts_need_to_know_which_letters: World::busy(), ["dlq", "retry"];
    dlq_edit_refuses_what_is_no_object: World::busy(), ["dlq", "edit", "1", "--payload", "[1]", "--yes"];
    queue_clear_shows_what_it_would_delete: World::busy(), ["queue", "clear", "--dry-run"];
    processes_ls: World::busy(), ["processes", "ls", "--all"];
    daemons_ls: World::busy(), ["daemons", "ls"];
    daemons_stop_finds_nobody: World::busy(), ["daemons", "stop", "CROSS_PROCESS_POLLER"];
    status_says_what_needs_attention: World::busy(), ["status", "--count"];
    stats_throughput_is_a_table_with_small_plots: World::busy(), ["stats", "throughput", "--since", "10m", "--by", "type", "--slots", "20"];
    stats_throughput_as_csv: World::busy(), ["stats", "throughput", "--since", "10m", "--slots", "2", "--csv"];
    stats_failures_by_code: World::busy(), ["stats", "failures", "--since", "10m", "--slots", "10"];
    stats_failures_by_subscription: World::busy(), ["stats", "failures", "--since", "10m", "--by", "subscription", "--slots", "10"];
    stats_depth_by_subscription: World::busy(), ["stats", "depth"];
    stats_depth_over_time: World::busy(), ["stats", "depth", "--since", "10m", "--slots", "10"];
    stats_depth_over_time_by_type: World::busy(), ["stats", "depth", "--since", "10m", "--slots", "5", "--by", "type", "--csv"];
    stats_lag_over_time: World::busy(), ["stats", "lag", "--since", "10m", "--slots", "10", "--csv"];
    stats_lag_has_no_past_by_process: World::busy(), ["stats", "lag", "--since", "10m", "--by", "process"];
    stats_lag_by_subscription: World::busy(), ["stats", "lag"];
    stats_lag_as_csv: World::busy(), ["stats", "lag", "--csv"];
    check_dlq_is_one_line_for_monitoring: World::busy(), ["check", "dlq", "--warn", "0", "--crit", "5"];
    check_backlog_within_its_limits: World::busy(), ["check", "backlog"];
    check_lag_for_a_textfile_collector: World::busy(), ["check", "lag", "--format", "prometheus", "--warn", "1m"];
    check_failures_is_critical: World::busy(), ["check", "failures", "--crit", "0"];
    check_health_names_what_is_wrong: World::busy(), ["check", "health"];
    check_of_an_unknown_subscription_is_unknown: World::busy(), ["check", "lag", "--subscription", "evaluater"];
    check_refuses_a_limit_that_is_none: World::busy(), ["check", "dlq", "--warn", "many"];
    stats_of_an_empty_home: World::empty(), ["stats", "lag"];
    db_check_adds_up: World::busy(), ["db", "check", "--sums"];
    tail_prints_lines: World::busy(), ["tail", "--no-follow", "-n", "2"];
    tail_prints_json_lines: World::busy(), ["--json", "tail", "--no-follow", "-n", "1"];
    codes_show_one: World::empty(), ["codes", "hn_timeout"];
    why_not_refuses_a_time_to_come: World::busy(), ["why-not", "evaluator", "--since", "2999-01-01"];
    stats_refuse_a_time_to_come: World::busy(), ["--json", "stats", "throughput", "--since", "2999-01-01"];
    check_refuses_a_warning_above_what_is_critical: World::busy(), ["check", "backlog", "--warn", "10", "--crit", "5"];
    pipeline_verify_says_that_there_is_nothing_to_verify: World::empty(), ["pipeline", "verify", "--all"];
    a_refused_time_names_its_value: World::busy(), ["--json", "events", "ls", "--since", "soon"];
}

#[test]
fn stats_tell_scripts_what_they_draw() {
    // The answer alone: the envelope names the folder in which the test runs.
    let world = World::busy();
    let line = [
        "--json",
        "stats",
        "throughput",
        "--since",
        "10m",
        "--by",
        "process",
        "--slots",
        "2",
    ];
    let came = serde_json::to_string_pretty(&answer(&world.run(&line))).expect("json");
    assert_snapshot!("stats_throughput_by_process", came);
    let line = ["--json", "stats", "depth", "--by", "type"];
    let waits = serde_json::to_string_pretty(&answer(&world.run(&line))).expect("json");
    assert_snapshot!("stats_depth_by_type", waits);
}

/// What is owed stands where it came; how old the oldest of it was grows from there on.
#[test]
fn depth_and_lag_over_time_follow_what_is_owed_now() {
    let world = World::busy();
    let second = std::time::Duration::from_secs(1);
    let publish = |count: usize| {
        for _ in 0..count {
            world.publish("training_completed", "k", r#"{"elo":1700}"#);
        }
    };
    world.advance(second * 60);
    publish(2);
    // Of no type that the other one takes.
    world.publish("new_games_available", "k", "{}");
    world.durable("all", &["training_completed", "new_games_available"], None);
    world.advance(second * 60);
    publish(3);
    world.advance(second * 50);
    let ask = |words: &[&str]| {
        let line = ["--json", "stats"];
        let over = ["--since", "3m", "--slots", "3"];
        answer(&world.run(&[&line[..], words, &over[..]].concat()))
    };
    let slots = |answer: &serde_json::Value, name: &str| -> Vec<u64> {
        let lines = answer["lines"].as_array().expect("lines");
        let line = lines.iter().find(|line| line["name"] == name);
        let line = line.unwrap_or(&answer["total"]);
        serde_json::from_value(line["slots"].clone()).expect("numbers")
    };
    let depth = ask(&["depth"]);
    assert_eq!(slots(&depth, "evaluator"), [1, 2, 3]);
    assert_eq!(slots(&depth, "all"), [0, 0, 3]);
    assert_eq!(slots(&depth, "in all"), [1, 2, 3], "an event counts once");
    let by_type = ask(&["depth", "--by", "type"]);
    assert_eq!(slots(&by_type, "training_completed"), [1, 2, 3]);
    let lag = ask(&["lag"]);
    assert_eq!(slots(&lag, "evaluator"), [56, 116, 176], "{lag}");
    assert_eq!(slots(&lag, "all"), [0, 0, 52], "{lag}");
}

#[test]
fn what_was_discarded_comes_back() {
    let world = World::busy();
    assert_eq!(world.run(&["dlq", "discard", "1", "--yes"]).exit, 0);
    assert!(world.run(&["dlq", "ls"]).stdout.contains("none"));
    assert_eq!(world.run(&["dlq", "restore", "1"]).exit, 0);
    assert!(world.run(&["dlq", "ls"]).stdout.contains("dead"));
}

#[test]
fn a_letter_in_another_state_than_the_verb_needs_is_refused() {
    let world = World::busy();
    assert_eq!(world.run(&["dlq", "discard", "1", "--yes"]).exit, 0);
    let discard: &[&str] = &["--json", "dlq", "discard", "1", "--yes"];
    let edit: &[&str] = &["--json", "dlq", "edit", "1", "--payload", "{}", "--dry-run"];
    for line in [discard, edit, &["--json", "dlq", "retry", "1"]] {
        let refused = world.run(line);
        assert_eq!(refused.exit, 3, "{line:?}: {}", refused.stdout);
        assert!(refused.stdout.contains("WRONG_STATE"), "{}", refused.stdout);
        assert!(
            refused.stdout.contains("it is discarded"),
            "{}",
            refused.stdout
        );
    }
    let unknown = world.run(&["--json", "dlq", "restore", "99"]);
    assert_eq!(unknown.exit, 3);
    assert!(
        unknown.stdout.contains("NAME_UNKNOWN"),
        "{}",
        unknown.stdout
    );
}

#[test]
fn an_act_that_matches_nothing_says_so_and_names_no_undo() {
    let world = World::empty();
    let acts: [(&[&str], &str); 6] = [
        (
            &["queue", "clear"],
            "no event is pending: nothing to delete",
        ),
        (
            &["queue", "restore", "--yes"],
            "no event is deleted: nothing to bring back",
        ),
        (
            &["dlq", "retry", "--all"],
            "no dead letter matches: nothing to retry",
        ),
        (
            &["dlq", "discard", "--all"],
            "no dead letter matches: nothing to discard",
        ),
        (
            &["dlq", "purge", "--before", "7d"],
            "no dead letter matches: nothing to purge",
        ),
        (
            &["dlq", "restore", "--all"],
            "no dead letter matches: nothing to restore",
        ),
    ];
    for (line, said) in acts {
        let ran = world.run(line);
        assert_eq!((ran.exit, ran.stdout.trim_end()), (0, said), "{line:?}");
        let json: Vec<&str> = ["--json"].iter().chain(line).copied().collect();
        let said = answer(&world.run(&json));
        assert_eq!(
            (&said["undo"], &said["dry_run"]),
            (&Null, &false.into()),
            "{line:?}"
        );
    }
}

#[test]
fn an_edit_is_in_sight_until_it_runs_and_its_undo_undoes_it() {
    let world = World::busy();
    let looks: [&[&str]; 3] = [&["dlq", "ls"], &["subs", "ls"], &["status", "--count"]];
    // Of `status` without the processes, which each run of a command adds to.
    let look = || {
        looks.map(|line| {
            let said = world.run(line).stdout;
            let end = said.find("Processes").unwrap_or(said.len());
            said[..end].to_owned()
        })
    };
    let before = look();
    let edit = ["--json", "dlq", "edit", "1", "--payload", "{}", "--yes"];
    let edited = answer(&world.run(&edit));
    let heir = edited["letter"].to_string();
    let shown = answer(&world.run(&["--json", "dlq", "show", "1"]));
    assert_eq!(
        (&shown["replaced_by"]["id"], &shown["replaced_by"]["status"]),
        (&edited["letter"], &"retrying".into())
    );
    let by_event = edited["event_id"].as_str().expect("an id");
    let shown = answer(&world.run(&["--json", "dlq", "show", by_event]));
    assert_eq!(
        (&shown["letter"]["id"], &shown["edited_from"]["id"]),
        (&edited["letter"], &1.into())
    );
    let listed = answer(&world.run(&["--json", "dlq", "ls"]));
    assert_eq!(
        (&listed["total"], &listed["letters"][0]["id"]),
        (&1.into(), &edited["letter"])
    );
    let subs = answer(&world.run(&["--json", "subs", "show", "evaluator"]));
    assert_eq!(subs["subscription"]["retrying"], 1);
    assert_eq!(world.run(&["dlq", "discard", &heir, "--yes"]).exit, 0);
    assert_eq!(world.run(&["dlq", "restore", &heir]).exit, 0);
    let undo = edited["undo"].as_str().expect("a command");
    let words: Vec<&str> = undo.split(' ').skip(1).collect();
    assert_eq!(world.run(&words).exit, 0);
    assert_eq!(look(), before);
}

#[test]
fn what_was_handed_back_is_shown_and_comes_back_with_the_undo_of_its_removal() {
    let world = World::empty();
    let slow = world.durable("slow", &["new_games_available"], None);
    for _ in 0..3 {
        world.publish("new_games_available", "k", "{}");
    }
    world.hand_back_second(slow);
    let subs = answer(&world.run(&["--json", "subs", "show", "slow"]));
    let row = &subs["subscription"];
    assert_eq!(
        (&row["settled"], &row["behind"], &row["again"]),
        (&3.into(), &0.into(), &1.into())
    );
    let removed = answer(&world.run(&["--json", "subs", "rm", "slow", "--yes"]));
    assert_eq!(removed["owed"], 1);
    let undo = removed["undo"].as_str().expect("a command");
    assert!(undo.ends_with("--after 1"), "{undo}");
    let shown = answer(&world.run(&["--json", "events", "show", "2"]));
    assert_eq!(shown["deliveries"][0]["code"], "ST_SUBSCRIPTION_REMOVED");
}

#[test]
fn a_cleared_queue_comes_back_whole() {
    let world = World::busy();
    let before = world.run(&["events", "ls"]).stdout;
    assert_eq!(
        world.run(&["queue", "clear", "--yes", "--no-backup"]).exit,
        0
    );
    assert_ne!(world.run(&["events", "ls"]).stdout, before);
    assert_eq!(world.run(&["queue", "restore", "--yes"]).exit, 0);
    assert_eq!(world.run(&["events", "ls"]).stdout, before);
}

#[test]
fn above_a_thousand_a_plain_yes_is_not_enough() {
    let world = World::empty();
    world.durable("slow", &["new_games_available"], None);
    for _ in 0..1_001 {
        world.publish("new_games_available", "k", "{}");
    }
    let refused = world.run(&["--json", "queue", "clear", "--yes"]);
    assert_eq!(refused.exit, 3);
    assert!(refused.stdout.contains("--yes=1001"), "{}", refused.stdout);
    assert_eq!(
        world
            .run(&["queue", "clear", "--yes=1001", "--no-backup"])
            .exit,
        0
    );
}
