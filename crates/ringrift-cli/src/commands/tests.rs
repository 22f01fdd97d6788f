//! Snapshots of what operators and scripts read, over a store in memory.

use insta::assert_snapshot;

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
    db_check_adds_up: World::busy(), ["db", "check", "--sums"];
    tail_prints_lines: World::busy(), ["tail", "--no-follow", "-n", "2"];
    tail_prints_json_lines: World::busy(), ["--json", "tail", "--no-follow", "-n", "1"];
    codes_show_one: World::empty(), ["codes", "hn_timeout"];
    a_refused_time_names_its_value: World::busy(), ["--json", "events", "ls", "--since", "soon"];
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
fn a_letter_that_moved_on_is_left_and_said() {
    let world = World::busy();
    assert_eq!(world.run(&["dlq", "discard", "1", "--yes"]).exit, 0);
    let again = world.run(&["dlq", "discard", "1", "--yes"]);
    assert_eq!(again.exit, 1);
    assert!(again.stdout.contains("1 left as they are"));
}

#[test]
fn a_cleared_queue_comes_back_whole() {
    let world = World::busy();
    let before = world.run(&["events", "ls"]).stdout;
    assert_eq!(world.run(&["queue", "clear", "--yes"]).exit, 0);
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
    assert_eq!(world.run(&["queue", "clear", "--yes=1001"]).exit, 0);
}
