//! What one process asks of another: obeyed within a second, answered, and refused in words.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that fails"
)]

#[macro_use]
mod support;

use std::time::Duration;

use ringrift_events::daemons::{
    COMMANDS, CROSS_PROCESS_POLLER, Daemon, DaemonContext, DaemonSpec, HEARTBEAT, RunState, SWEEPER,
};
use ringrift_events::handler::{Dedup, Policy};
use ringrift_events::router::Subscribe;
use ringrift_events::store::ErrorCode;
use ringrift_events::system::System;
use support::{Seen, World, publish_numbers, until};

over_both_stores! {
    a_daemon_is_stopped_and_started_from_another_process;
    all_daemons_stop_and_start_again_and_what_the_system_needs_stays;
    commands_that_cannot_be_are_answered_with_an_error;
    the_audit_and_dedup_keys_are_reached_from_another_process;
    who_has_ended_is_not_asked;
    one_process_of_a_home_sweeps_and_another_takes_over;
    a_daemon_that_fails_for_good_is_published_once_for_everybody;
}

/// Asks `of` from `by` and answers what it said.
#[track_caller]
fn ask(by: &System, of: &System, verb: &str, args: &str) -> String {
    let asked = by.store().send(
        of.store().process(),
        verb.to_owned(),
        args.to_owned(),
        "test".to_owned(),
    );
    let id = asked.wait().unwrap();
    let answer = || by.store().command(id).wait().unwrap();
    until("it is answered", || answer().result.is_some());
    let answered = answer();
    assert!(answered.taken_at.is_some());
    answered.result.unwrap()
}

fn named(name: &str) -> String {
    format!("{{\"name\":\"{name}\"}}")
}

fn state(system: &System, name: &str) -> RunState {
    system.daemons().status(name).unwrap().state
}

fn a_daemon_is_stopped_and_started_from_another_process(world: &World) {
    let (system, other) = (world.process(), world.process());
    let (live, durable) = (Seen::default(), Seen::default());
    for (subscribe, seen) in [
        (Subscribe::live("live"), &live),
        (Subscribe::durable("durable"), &durable),
    ] {
        let subscribe = subscribe.to(["MODEL_PROMOTED"]);
        system.router().subscribe(subscribe, seen.noting()).unwrap();
    }
    publish_numbers(&other, "MODEL_PROMOTED", 0..5);
    until("the first ones came", || {
        live.count() == 5 && durable.count() == 5
    });
    let poller = named(CROSS_PROCESS_POLLER);
    let said = ask(&other, &system, "daemon.stop", &poller);
    assert!(said.starts_with("ok"), "{said}");
    assert_eq!(state(&system, CROSS_PROCESS_POLLER), RunState::Stopped);
    let status = system.daemons().status(CROSS_PROCESS_POLLER).unwrap();
    assert_eq!(status.stopped_by.as_deref(), Some("test"));
    until("everybody can see it", || {
        let daemons = other.store().daemons().wait().unwrap();
        daemons.iter().any(|daemon| {
            daemon.process == system.store().process()
                && daemon.name == CROSS_PROCESS_POLLER
                && daemon.state == "stopped"
                && daemon.stopped_by.as_deref() == Some("test")
        })
    });
    publish_numbers(&other, "MODEL_PROMOTED", 5..10);
    let again = ask(&other, &system, "daemon.stop", &poller);
    assert!(again.starts_with("ok"), "stopping twice: {again}");
    assert_eq!((live.count(), durable.count()), (5, 5));
    for verb in ["daemon.start", "daemon.start", "daemon.restart"] {
        let said = ask(&other, &system, verb, &poller);
        assert!(said.starts_with("ok"), "{verb}: {said}");
    }
    until("what had waited came", || {
        live.count() >= 10 && durable.count() >= 10
    });
    system.close();
    other.close();
    assert_eq!((live.count(), durable.count()), (10, 10));
}

fn all_daemons_stop_and_start_again_and_what_the_system_needs_stays(world: &World) {
    let (system, other) = (world.process(), world.process());
    let seen = Seen::default();
    let subscribe = Subscribe::durable("durable").to(["MODEL_PROMOTED"]);
    system.router().subscribe(subscribe, seen.noting()).unwrap();
    for round in 0..3 {
        assert!(ask(&other, &system, "daemon.stop_all", "{}").starts_with("ok"));
        for daemon in system.daemons().list() {
            let stays = daemon.name == HEARTBEAT || daemon.name == COMMANDS;
            assert_eq!(daemon.state == RunState::Stopped, !stays, "{daemon:?}");
        }
        publish_numbers(&other, "MODEL_PROMOTED", round..round + 1);
        assert!(ask(&other, &system, "daemon.start_all", "{}").starts_with("ok"));
        let count = usize::try_from(round).unwrap() + 1;
        until("it goes on", || seen.count() == count);
    }
    system.close();
    other.close();
    assert_eq!(seen.numbers(), [0, 1, 2]);
}

fn commands_that_cannot_be_are_answered_with_an_error(world: &World) {
    let (system, other) = (world.process(), world.process());
    for (verb, args, word) in [
        ("daemon.stop", named("NO_SUCH_DAEMON"), "NO_SUCH_DAEMON"),
        ("daemon.stop", named(HEARTBEAT), "HEARTBEAT"),
        ("daemon.stop", "{}".to_owned(), "name"),
        ("daemon.stop", "no json".to_owned(), "name"),
        ("log.level", "{\"level\":\"loud\"}".to_owned(), "loud"),
        (
            "dedup.reset",
            "{\"handler\":\"nobody\"}".to_owned(),
            "nobody",
        ),
        ("make.coffee", "{}".to_owned(), "make.coffee"),
    ] {
        let said = ask(&other, &system, verb, &args);
        assert!(said.starts_with("error"), "{verb} {args}: {said}");
        assert!(said.contains(word), "{verb} {args}: {said}");
    }
    system.close();
    other.close();
}

fn the_audit_and_dedup_keys_are_reached_from_another_process(world: &World) {
    let (system, other) = (world.process(), world.process());
    let seen = Seen::default();
    let policy = Policy {
        dedup: Some(Dedup::by(["config_key"])),
        ..Policy::default()
    };
    let subscribe = Subscribe::live("once")
        .to(["MODEL_PROMOTED"])
        .policy(policy);
    let once = system.router().subscribe(subscribe, seen.noting()).unwrap();
    assert!(ask(&other, &system, "audit", "{\"on\":true}").starts_with("ok"));
    assert!(system.router().audit().enabled());
    publish_numbers(&other, "MODEL_PROMOTED", 0..3);
    until("two were duplicates", || {
        once.stats().events_deduplicated == 2
    });
    assert!(system.router().audit().last(10).len() >= 3);
    let said = ask(&other, &system, "dedup.reset", "{\"handler\":\"once\"}");
    assert_eq!(said, "ok 1 keys forgotten");
    publish_numbers(&other, "MODEL_PROMOTED", 3..4);
    until("the key is free again", || seen.count() == 2);
    assert!(ask(&other, &system, "audit", "{\"on\":false}").starts_with("ok"));
    assert!(!system.router().audit().enabled());
    assert!(ask(&other, &system, "log.level", "{\"level\":\"debug\"}").starts_with("ok"));
    system.close();
    other.close();
}

fn who_has_ended_is_not_asked(world: &World) {
    let (system, other) = (world.process(), world.process());
    system.close();
    let asked = other.store().send(
        system.store().process(),
        "daemon.stop_all".to_owned(),
        "{}".to_owned(),
        "test".to_owned(),
    );
    assert_eq!(asked.wait().unwrap_err().code, ErrorCode::WrongState);
    other.close();
}

fn one_process_of_a_home_sweeps_and_another_takes_over(world: &World) {
    let (one, two) = (world.process(), world.process());
    one.host_daemons().unwrap();
    until("the first sweeps", || {
        one.store().elected("sweeper").wait().unwrap() == Some(one.store().process())
    });
    two.host_daemons().unwrap();
    until("the second stands by", || {
        state(&two, SWEEPER) == RunState::Standby
    });
    one.close();
    until("the second sweeps", || {
        two.store().elected("sweeper").wait().unwrap() == Some(two.store().process())
            && state(&two, SWEEPER) == RunState::Running
    });
    two.close();
}

/// A daemon that cannot run.
struct Hopeless;

impl Daemon for Hopeless {
    fn run(&mut self, _: &DaemonContext) -> Result<(), String> {
        Err("hopeless".to_owned())
    }
}

fn a_daemon_that_fails_for_good_is_published_once_for_everybody(world: &World) {
    let system = world.process_with(|settings| {
        settings.daemons.restart_first = Duration::from_millis(1);
        settings.daemons.restarts_max = 2;
    });
    let other = world.process();
    let (here, there) = (Seen::default(), Seen::default());
    for (system, seen) in [(&system, &here), (&other, &there)] {
        let subscribe = Subscribe::live("alarm").to(["DAEMON_PERMANENTLY_FAILED"]);
        system.router().subscribe(subscribe, seen.noting()).unwrap();
    }
    system.daemons().register(DaemonSpec {
        name: "HOPELESS",
        needs: &[],
        internal: false,
        make: Box::new(|| Box::new(Hopeless)),
        wake: Box::new(|| ()),
    });
    system.daemons().start("HOPELESS").unwrap();
    until("it was given up", || {
        state(&system, "HOPELESS") == RunState::Failed
    });
    until("everybody heard of it", || {
        here.count() >= 1 && there.count() >= 1
    });
    until("others see its state", || {
        let daemons = other.store().daemons().wait().unwrap();
        daemons.iter().any(|daemon| {
            daemon.name == "HOPELESS" && daemon.state == "failed" && daemon.restarts == 2
        })
    });
    system.close();
    other.close();
    assert_eq!((here.count(), there.count()), (1, 1));
    let payload = here.all().remove(0).payload;
    assert!(
        payload.contains("HOPELESS") && payload.contains("hopeless"),
        "{payload}"
    );
}
