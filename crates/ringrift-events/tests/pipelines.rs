//! Pipelines: did every step come for a key, and what stands still.

#![cfg(test)]

#[macro_use]
mod support;

use std::path::Path;
use std::time::Duration;

use ringrift_events::clock::{Clock as _, SystemClock, Time};
use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::pipeline::{Flow, STALLED_RULE};
use ringrift_events::store::watching::{Alert, AlertFilter, AlertState};
use ringrift_events::system::System;
use support::{World, publish, until};

const STEPS: [&str; 7] = [
    "NEW_GAMES_AVAILABLE",
    "DATA_SYNC_COMPLETED",
    "NPZ_EXPORT_COMPLETE",
    "TRAINING_COMPLETED",
    "EVALUATION_COMPLETED",
    "MODEL_PROMOTED",
    "MODEL_DISTRIBUTION_COMPLETE",
];

fn step(system: &System, step: usize, key: &str) {
    publish(
        system,
        STEPS[step],
        &format!("{{\"config_key\":\"{key}\"}}"),
    );
}

fn verify(system: &System, key: &str, since: Time) -> Flow {
    let now = SystemClock.now();
    system
        .pipelines()
        .verify("ringrift", key, since, now)
        .expect("a flow")
}

fn counts(flow: &Flow) -> Vec<u64> {
    flow.steps.iter().map(|step| step.count).collect()
}

over_both_stores! {
    a_key_is_complete_when_every_step_came_for_it;
    what_came_before_the_window_does_not_count;
    the_matrix_has_a_row_for_each_key;
}

fn a_key_is_complete_when_every_step_came_for_it(world: &World) {
    let system = world.process();
    for number in 0..7 {
        step(&system, number, "hex8");
        if number != 3 {
            step(&system, number, "square19");
        }
    }
    step(&system, 0, "hex8");
    // A key that is part of another is another key.
    step(&system, 3, "square19_4p");
    let since = SystemClock.now().before(Duration::from_secs(3_600));
    let whole = verify(&system, "hex8", since);
    assert!(whole.complete);
    assert_eq!(counts(&whole), [2, 1, 1, 1, 1, 1, 1]);
    assert_eq!(whole.steps[0].after_previous_us, None);
    assert!(whole.steps[2].after_previous_us.is_some());
    let broken = verify(&system, "square19", since);
    assert!(!broken.complete);
    let missing: Vec<&str> = broken
        .missing()
        .map(|step| step.event_type.as_str())
        .collect();
    assert_eq!(missing, ["training_completed"]);
    assert_eq!(counts(&verify(&system, "nobody", since)), [0; 7]);
    let unknown = system.pipelines().verify("ringrfit", "hex8", since, since);
    let said = unknown.expect_err("no such pipeline").to_string();
    assert!(said.contains("did you mean ringrift"), "{said}");
}

fn what_came_before_the_window_does_not_count(world: &World) {
    let system = world.process();
    step(&system, 0, "hex8");
    // Times of commits are kept in whole milliseconds.
    let pass = || {
        let begun = SystemClock.now();
        until("a few milliseconds have passed", || {
            SystemClock.now().since(begun) > Duration::from_millis(3)
        });
    };
    pass();
    let since = SystemClock.now();
    pass();
    step(&system, 1, "hex8");
    let flow = verify(&system, "hex8", since);
    assert_eq!(counts(&flow), [0, 1, 0, 0, 0, 0, 0]);
}

fn the_matrix_has_a_row_for_each_key(world: &World) {
    let system = world.process();
    for number in 0..7 {
        step(&system, number, "a");
    }
    step(&system, 0, "b");
    publish(&system, STEPS[0], "{}");
    let since = SystemClock.now().before(Duration::from_secs(60));
    let matrix = system.pipelines().matrix("ringrift", since).unwrap();
    let rows: Vec<(&str, bool)> = matrix
        .keys
        .iter()
        .map(|key| (key.key.as_str(), key.complete))
        .collect();
    assert_eq!(rows, [("a", true), ("b", false)]);
    assert_eq!(matrix.keys[1].counts, [1, 0, 0, 0, 0, 0, 0]);
    assert_eq!((matrix.without_key, matrix.cut), (1, false));
}

fn open(folder: &Path) -> System {
    let config = Config::load(ConfigSources {
        home: Home::at(folder),
        variables: Vec::new(),
        flags: Vec::new(),
    });
    let system = System::open(config.expect("a configuration")).expect("a system");
    system.host_daemons().expect("daemons");
    system
}

fn stalls(system: &System) -> Vec<Alert> {
    let filter = AlertFilter {
        rule: Some(STALLED_RULE.to_owned()),
        limit: 100,
        ..AlertFilter::default()
    };
    system.alerts().list(filter).expect("alerts")
}

#[test]
fn a_stalled_step_is_raised_once_survives_a_restart_and_is_armed_again_by_progress() {
    let folder = support::swift_folder();
    let text = "[alerts]\nlook_interval = \"100ms\"\n\n[store]\ndisk_free_min_percent = 0\n\n\
        [[sink]]\nname = \"out\"\nfile = \"alerts.jsonl\"\n\n\
        [[pipeline]]\nname = \"ringrift\"\nlimits = { TRAINING_COMPLETED = \"1s\" }\n";
    std::fs::write(folder.path().join("ringrift.toml"), text).unwrap();
    let sent = || {
        let text = std::fs::read_to_string(folder.path().join("alerts.jsonl"));
        text.unwrap_or_default().lines().count()
    };
    let system = open(folder.path());
    step(&system, 2, "hex8");
    until("it stands still", || stalls(&system).len() == 1);
    assert_eq!(stalls(&system)[0].group, "ringrift/hex8/training_completed");
    until("somebody is told", || sent() == 1);
    // The step before comes again: that is no progress.
    step(&system, 2, "hex8");
    system.close();

    let system = open(folder.path());
    let awaited = system.pipelines().stalls().unwrap();
    assert_eq!(awaited.len(), 1, "a restart forgets nothing");
    // Another key stalls after everything above was read: the first was not raised again.
    step(&system, 2, "other");
    until("another key stands still", || stalls(&system).len() == 2);
    step(&system, 3, "hex8");
    until("it moved on", || {
        let alerts = stalls(&system);
        let own = alerts.iter().find(|one| one.group.contains("hex8"));
        own.is_some_and(|one| one.state == AlertState::Resolved)
    });
    step(&system, 2, "hex8");
    until("it stands still again", || stalls(&system).len() == 3);
    until("and is told", || sent() == 3);
    system.close();
    assert_eq!(sent(), 3, "each stall once");
}
