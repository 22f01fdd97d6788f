//! What an operator is told of handlers that stay silent.

use std::time::Duration;

use rustix::process::Signal;

use super::home::{Home, Running, said, within};

const LIMIT: Duration = Duration::from_secs(60);

fn subscribed(home: &Home, args: &[&str]) -> Running {
    let all = [&["subscribe", "NEW_GAMES_AVAILABLE"], args].concat();
    let running = home.start(&all);
    running.note("subscribed to");
    running
}

fn publish(home: &Home) {
    home.ok(&["publish", "NEW_GAMES_AVAILABLE", r#"{"config_key":"a"}"#]);
}

/// What a command says, whatever it comes to.
fn of(home: &Home, args: &[&str]) -> String {
    said(&home.run(args))
}

#[test]
fn a_live_subscription_whose_process_was_killed_is_in_its_own_way() {
    let home = Home::new();
    let live = subscribed(&home, &["--name", "lv", "--exec", "true"]);
    live.signal(Signal::KILL);
    live.end();
    let told = of(&home, &["why-not", "lv"]);
    assert!(told.contains("RT_UNSUBSCRIBED"), "{told}");
    assert!(!told.contains("nothing is in its way"), "{told}");
    let foreseen = of(&home, &["route", "NEW_GAMES_AVAILABLE"]);
    assert!(foreseen.contains("Nobody would get it"), "{foreseen}");
}

#[test]
fn a_durable_subscription_whose_only_host_hangs_is_told_so() {
    let home = Home::new();
    let host = subscribed(&home, &["--durable", "ev", "--exec", "true"]);
    host.signal(Signal::STOP);
    let hangs = || of(&home, &["why-not", "ev"]).contains("has not beaten since");
    assert!(within(LIMIT, hangs), "{}", of(&home, &["why-not", "ev"]));
    let foreseen = of(&home, &["route", "NEW_GAMES_AVAILABLE"]);
    assert!(foreseen.contains("hangs"), "{foreseen}");
    host.signal(Signal::KILL);
    host.end();
}

#[test]
fn what_was_deleted_from_the_queue_is_counted() {
    let home = Home::new();
    assert_eq!(
        subscribed(&home, &["--durable", "ev", "--exec", "true"]).stop(),
        Some(0)
    );
    publish(&home);
    publish(&home);
    home.ok(&["queue", "clear", "--yes"]);
    let told = of(&home, &["why-not", "ev"]);
    assert!(told.contains("2 events"), "{told}");
    assert!(told.contains("2 of them deleted from the queue"), "{told}");
    assert!(told.contains("ST_PURGED"), "{told}");
}

#[test]
fn a_waiting_event_names_the_program_that_hosted_its_handler() {
    let home = Home::new();
    assert_eq!(
        subscribed(&home, &["--durable", "ev", "--exec", "true"]).stop(),
        Some(0)
    );
    publish(&home);
    let told = of(&home, &["explain", "1"]);
    assert!(
        told.contains("WT_NO_PROCESS") && told.contains("hosted it last, until"),
        "{told}"
    );
    assert!(
        told.contains("next      ringrift processes ls --all"),
        "{told}"
    );
    // A line of the command's own source is no news.
    assert!(!told.contains("ringrift-cli/src"), "{told}");
}

#[test]
fn what_is_recorded_begins_with_the_error() {
    let home = Home::new();
    let script = "echo out of memory >&2; echo ran; exit 65";
    let host = subscribed(&home, &["--durable", "ev", "--exec", script]);
    publish(&home);
    assert_eq!(host.line(), "ran");
    let recorded = || of(&home, &["explain", "1"]).contains("recorded  HN_ERROR");
    assert!(within(LIMIT, recorded), "{}", of(&home, &["explain", "1"]));
    let told = of(&home, &["explain", "1"]);
    let line = told
        .lines()
        .find(|line| line.contains("recorded  HN_ERROR"));
    let line = line.expect("one was just there");
    assert!(
        line.contains("out of memory") && !line.contains('{'),
        "{line}"
    );
    assert_eq!(host.stop(), Some(0));
}
