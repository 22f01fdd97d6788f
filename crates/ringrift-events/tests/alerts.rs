//! Alerts in systems of several processes: each rule fires as it says, once, whoever dies.

#![cfg(test)]

#[macro_use]
mod support;

#[path = "alerts/stage.rs"]
mod stage;

use std::path::Path;
use std::time::Duration;

use ringrift_events::store::watching::AlertState;
use ringrift_events::system::System;
use stage::{alerts, home, hosting, of_rule, open};
use support::child::{Guarded, again, role, until_parent_is_gone};
use support::{publish, until};

fn lines(file: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("JSON lines")
}

/// Waits until the watch has read everything that is published now, and looked after that.
fn looked(system: &System) {
    publish(system, "SPLIT_BRAIN_DETECTED", r#"{"mark":true}"#);
    let before = of_rule(system, "SPLIT_BRAIN_DETECTED").len();
    let marks = || of_rule(system, "SPLIT_BRAIN_DETECTED").len();
    until("the mark is seen", || marks() > before);
}

/// A process of a home that hosts daemons until it is killed.
#[test]
fn child() {
    let Some((role, home)) = role() else { return };
    assert_eq!(role, "host");
    let system = hosting(&home);
    until_parent_is_gone();
    system.close();
}

const CRITICAL: [&str; 4] = [
    "DAEMON_PERMANENTLY_FAILED",
    "REGRESSION_CRITICAL",
    "SPLIT_BRAIN_DETECTED",
    "TRAINING_FAILED",
];

#[test]
fn the_presets_are_the_five_critical_types() {
    let folder = home("");
    let system = open(folder.path());
    let mut rules: Vec<(String, String)> = system
        .alerts()
        .rules()
        .iter()
        .map(|rule| (rule.name.clone(), rule.when.to_string()))
        .collect();
    rules.sort();
    let mut expected: Vec<(String, String)> = CRITICAL
        .iter()
        .map(|name| ((*name).to_owned(), "any".to_owned()))
        .collect();
    expected.push(("DATA_SYNC_FAILED".to_owned(), ">3/1h".to_owned()));
    expected.sort();
    assert_eq!(rules, expected);
    system.close();
}

#[test]
fn any_occurrence_alerts_and_the_fourth_failed_sync_does_once() {
    let folder = home("[[sink]]\nname = \"out\"\nfile = \"alerts.jsonl\"\n");
    let system = hosting(folder.path());
    for name in CRITICAL {
        publish(&system, name, r#"{"config_key":"hex8"}"#);
        until("it alerts", || of_rule(&system, name).len() == 1);
    }
    publish(&system, "TRAINING_FAILED", r#"{"config_key":"hex8"}"#);
    until("each occurrence alerts", || {
        of_rule(&system, "TRAINING_FAILED").len() == 2
    });
    for _ in 0..3 {
        publish(&system, "DATA_SYNC_FAILED", "{}");
    }
    looked(&system);
    assert_eq!(
        of_rule(&system, "DATA_SYNC_FAILED"),
        [],
        "three are not more than three"
    );
    for _ in 0..3 {
        publish(&system, "DATA_SYNC_FAILED", "{}");
    }
    until("six are", || {
        of_rule(&system, "DATA_SYNC_FAILED")
            .first()
            .is_some_and(|one| one.count == 3)
    });
    assert_eq!(
        of_rule(&system, "DATA_SYNC_FAILED").len(),
        1,
        "in one alert"
    );
    publish(&system, "TRAINING_COMPLETED", r#"{"config_key":"hex8"}"#);
    let out = folder.path().join("alerts.jsonl");
    // Four types, one of them twice, the mark, the syncs.
    until("all are sent", || lines(&out).len() == 7);
    looked(&system);
    until("the mark too", || lines(&out).len() == 8);
    system.close();
    assert_eq!(lines(&out).len(), 8, "each once");
}

#[test]
fn keys_are_counted_apart_also_of_a_type_that_names_no_key_field() {
    let folder = home(
        "[[alert]]\nname = \"many\"\ntypes = [\"TRAINING_FAILED\"]\nwhen = \">2/1h\"\nby_key = true\n",
    );
    let system = hosting(folder.path());
    for number in 0..4 {
        let payload = format!("{{\"config_key\":\"hex{number}\"}}");
        publish(&system, "TRAINING_FAILED", &payload);
    }
    looked(&system);
    assert_eq!(of_rule(&system, "many"), [], "four keys failed once each");
    for _ in 0..2 {
        publish(&system, "TRAINING_FAILED", r#"{"config_key":"hex1"}"#);
    }
    until("one key is over its bound", || {
        of_rule(&system, "many").len() == 1
    });
    assert_eq!(of_rule(&system, "many")[0].group, "hex1");
    system.close();
}

#[test]
fn what_was_published_while_nobody_looked_alerts_and_a_restart_forgets_nothing() {
    let folder = home("[[sink]]\nname = \"out\"\nfile = \"alerts.jsonl\"\n");
    let out = folder.path().join("alerts.jsonl");
    let publisher = open(folder.path());
    publish(&publisher, "TRAINING_FAILED", "{}");
    for _ in 0..2 {
        publish(&publisher, "DATA_SYNC_FAILED", "{}");
    }
    assert_eq!(alerts(&publisher), [], "nobody hosts alerts");
    let first = hosting(folder.path());
    until("the first host sees it", || lines(&out).len() == 1);
    looked(&first);
    first.close();
    for _ in 0..2 {
        publish(&publisher, "DATA_SYNC_FAILED", "{}");
    }
    let second = hosting(folder.path());
    until(
        "two before and two after a restart are more than three",
        || of_rule(&second, "DATA_SYNC_FAILED").len() == 1,
    );
    looked(&second);
    assert_eq!(of_rule(&second, "TRAINING_FAILED").len(), 1);
    until("all is sent", || lines(&out).len() == 4);
    second.close();
    publisher.close();
    assert_eq!(lines(&out).len(), 4);
}

#[test]
fn three_processes_alert_once_and_so_do_two_after_the_elected_one_was_killed() {
    let folder = home("[[sink]]\nname = \"out\"\nfile = \"alerts.jsonl\"\n");
    let out = folder.path().join("alerts.jsonl");
    let publisher = open(folder.path());
    let mut children: Vec<Guarded> = (0..3)
        .map(|_| Guarded(again("host", folder.path()).spawn().expect("a child")))
        .collect();
    let elected = || {
        let host = publisher.store().elected("alerts").wait().unwrap()?;
        let processes = publisher.store().processes().wait().unwrap();
        let state = processes
            .into_iter()
            .find(|state| state.process.id == host)?;
        Some(state.process.pid)
    };
    for round in 0..3 {
        until("one hosts alerts", || {
            elected().is_some_and(|pid| children.iter().any(|child| child.0.id() == pid))
        });
        let pid = elected().unwrap();
        for number in 0..20 {
            let payload = format!("{{\"round\":{round},\"number\":{number}}}");
            publish(&publisher, "TRAINING_FAILED", &payload);
            if number == 10 && round < 2 {
                let at = children.iter().position(|child| child.0.id() == pid);
                children.remove(at.expect("a child of ours")).kill();
            }
        }
    }
    until("all sixty are sent", || lines(&out).len() >= 60);
    looked(&publisher);
    until("and the mark", || lines(&out).len() >= 61);
    let mut events: Vec<String> = lines(&out)
        .iter()
        .map(|line| line["event"].to_string())
        .collect();
    let sent = events.len();
    events.sort();
    events.dedup();
    assert_eq!((sent, events.len()), (61, 61), "each event alerts once");
    let raised = alerts(&publisher);
    assert_eq!(raised.len(), 61);
    drop(children);
    publisher.close();
}

#[test]
fn absence_and_standstill_are_raised_once_and_end_with_the_next_sign() {
    let folder = home(
        "[[alert]]\nname = \"no games\"\ntype = \"NEW_GAMES_AVAILABLE\"\nwhen = \"none/1s\"\n\n\
         [[alert]]\nname = \"stuck\"\nwhen = \"stalled/1s\"\nsubscription = \"trainer\"\n",
    );
    let system = hosting(folder.path());
    let standing = |rule: &str| {
        let alerts = of_rule(&system, rule);
        let open = alerts
            .iter()
            .filter(|one| one.state == AlertState::Open)
            .count();
        (alerts.len(), open)
    };
    until("games are missed", || standing("no games") == (1, 1));
    publish(&system, "NEW_GAMES_AVAILABLE", r#"{"config_key":"hex8"}"#);
    until("they came", || standing("no games").1 == 0);
    until("and are missed again", || standing("no games") == (2, 1));

    let gate = support::Gate::closed();
    let seen = support::Seen::default();
    let subscribe = ringrift_events::router::Subscribe::durable("trainer").to(["TRAINING_STARTED"]);
    system
        .router()
        .subscribe(subscribe, gate.hanging(&seen))
        .unwrap();
    publish(&system, "TRAINING_STARTED", r#"{"config_key":"hex8"}"#);
    until("nothing progresses", || standing("stuck") == (1, 1));
    gate.open();
    until("it does again", || standing("stuck") == (1, 0));
    assert_eq!(seen.count(), 1);
    system.shutdown(Duration::from_secs(1));
}

#[test]
fn an_idle_home_commits_nothing() {
    let folder = home(
        "[[alert]]\nname = \"no games\"\ntype = \"NEW_GAMES_AVAILABLE\"\nwhen = \"none/1h\"\n\n[[pipeline]]\nname = \"ringrift\"\nlimits = { TRAINING_COMPLETED = \"1h\" }\n",
    );
    let system = hosting(folder.path());
    publish(&system, "NPZ_EXPORT_COMPLETE", r#"{"config_key":"hex8"}"#);
    until("the step is awaited", || {
        let kept = system
            .store()
            .watched("pipeline".to_owned())
            .wait()
            .unwrap();
        kept.marks.len() == 1
    });
    let mark = || {
        let mut marks = Vec::new();
        for watcher in ["alerts", "pipeline"] {
            let kept = system.store().watched(watcher.to_owned()).wait().unwrap();
            marks.push(kept.steps);
        }
        marks
    };
    until("the rule is known", || mark()[0] > 0);
    let before = mark();
    std::thread::park_timeout(Duration::from_secs(2));
    assert_eq!(mark(), before, "twenty looks change nothing");
    system.close();
}
