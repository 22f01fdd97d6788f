//! What stands still: pollers, handlers, sweepers, processes.

use std::sync::Arc;
use std::time::Duration;

use ringrift_events::clock::{SharedClock, SystemClock};
use ringrift_events::config::{Config, Home};
use ringrift_events::daemons::{CROSS_PROCESS_POLLER, SWEEPER};
use ringrift_events::doctor::{FindingCode, Fix};
use ringrift_events::event::Seq;
use ringrift_events::handler::{Function, Policy};
use ringrift_events::metrics::Standing;
use ringrift_events::router::Subscribe;
use ringrift_events::store::faulty::{FaultPlan, FaultyStore};
use ringrift_events::store::memory::MemoryHub;
use ringrift_events::store::{Registry as _, Store};
use ringrift_events::system::{System, this_process};

use super::support::{Gate, Seen, World, publish, until};
use super::{NEVER, ends, finds, found};

/// A threshold that any wait of a test exceeds soon.
const SOON: Duration = Duration::from_millis(200);

#[test]
fn a_poller_that_runs_and_reads_nothing_is_named_with_the_first_unread_event() {
    let clock: SharedClock = Arc::new(SystemClock);
    let folder = tempfile::tempdir().expect("a folder");
    let config = || Config::defaults(Home::at(folder.path()));
    let hub = MemoryHub::new(Arc::clone(&clock));
    let busy = FaultPlan {
        busy: 1_000,
        ..FaultPlan::default()
    };
    let faulty = Arc::new(FaultyStore::new(hub.open(this_process(&*clock)), 1, busy));
    faulty.calm(true);
    let store: Arc<dyn Store> = Arc::clone(&faulty) as _;
    let stuck = System::over(config(), store, Arc::clone(&clock)).expect("a system");
    let seen = Seen::default();
    let wanted = Subscribe::live("reader").to(["TRAINING_COMPLETED"]);
    let subscribed = stuck.router().subscribe(wanted, seen.noting());
    subscribed.expect("a subscription");
    let store = hub.open(this_process(&*clock));
    let other = System::over(config(), store, clock).expect("a system");
    publish(&other, "TRAINING_COMPLETED", "{}");
    until("it reads what another process publishes", || {
        seen.count() == 1
    });
    let process = stuck.store().process();
    until("it is known how far it has read", || {
        let states = other.store().processes().wait().expect("processes");
        let mut own = states.iter().filter(|one| one.process.id == process);
        own.any(|one| one.polled_to == Seq(1))
    });
    until("its poller is known to run", || {
        let states = other.store().daemons().wait().expect("daemons");
        states.iter().any(|one| {
            one.process == process && one.name == CROSS_PROCESS_POLLER && one.state == "running"
        })
    });

    // From now on each of its questions is told to come again later.
    faulty.calm(false);
    let event = publish(&other, "TRAINING_COMPLETED", "{}").id;
    let finding = finds(&other, FindingCode::PollerStuck, |rules| {
        rules.unread = SOON;
    });
    assert_eq!(finding.subject.process, Some(process));
    assert_eq!(finding.subject.event, Some(event));
    assert_eq!(finding.subject.thing.as_deref(), Some(CROSS_PROCESS_POLLER));
    assert_eq!(finding.evidence["read_to"], 1);
    let below = found(&other, FindingCode::PollerStuck, |rules| {
        rules.unread = NEVER;
    });
    assert_eq!(below, []);
    faulty.calm(true);
    until("it reads on", || seen.count() == 2);
    ends(&other, FindingCode::PollerStuck, |rules| {
        rules.unread = SOON;
    });
}

#[test]
fn handlers_that_run_while_none_ends_are_named_with_the_longest() {
    for world in [World::new(), World::sqlite()] {
        let (system, other) = (world.process(), world.process());
        let (gate, seen) = (Gate::closed(), Seen::default());
        let hanging = Subscribe::durable("hanging").to(["TRAINING_COMPLETED"]);
        let hanging = system.router().subscribe(hanging, gate.hanging(&seen));
        hanging.expect("a subscription");
        let event = publish(&system, "TRAINING_COMPLETED", "{}").id;
        let finding = finds(&other, FindingCode::NoProgress, |rules| {
            rules.no_progress = SOON;
        });
        assert_eq!(finding.subject.handler.as_deref(), Some("hanging"));
        assert_eq!(finding.subject.event, Some(event));
        assert_eq!(finding.subject.process, Some(system.store().process()));
        assert_eq!(finding.evidence["running"], 1);
        let below = found(&other, FindingCode::NoProgress, |rules| {
            rules.no_progress = NEVER;
        });
        assert_eq!(below, []);
        gate.open();
        ends(&other, FindingCode::NoProgress, |rules| {
            rules.no_progress = SOON;
        });
    }
}

#[test]
fn that_nobody_sweeps_is_found_once_somebody_should_have_and_one_sweep_ends_it() {
    for world in [World::new(), World::sqlite()] {
        let system = world.process();
        system.host_daemons().expect("daemons");
        let never_late = found(&system, FindingCode::NoSweeper, |_| ());
        assert_eq!(never_late, []);
        system.daemons().stop(SWEEPER, "ann").expect("stopped");
        let finding = finds(&system, FindingCode::NoSweeper, |rules| {
            rules.unswept = SOON;
        });
        assert_eq!(finding.subject.process, Some(system.store().process()));
        assert_eq!(finding.subject.thing.as_deref(), Some(SWEEPER));
        assert_eq!(finding.fix, Some(Fix::Sweep), "which loses nothing");
        let rules = system.config().settings.sweep_rules();
        system.store().take_over(rules).wait().expect("a sweep");
        let swept = found(&system, FindingCode::NoSweeper, |rules| {
            rules.unswept = NEVER;
        });
        assert_eq!(swept, []);
    }
}

#[test]
fn a_process_that_lives_and_does_not_beat_is_named() {
    let clock: SharedClock = Arc::new(SystemClock);
    let hub = MemoryHub::new(Arc::clone(&clock));
    let folder = tempfile::tempdir().expect("a folder");
    let config = Config::defaults(Home::at(folder.path()));
    let hung = hub.open(this_process(&*clock));
    let store = hub.open(this_process(&*clock));
    let system = System::over(config, store, clock).expect("a system");
    assert_eq!(found(&system, FindingCode::Hung, |_| ()), []);
    let id = hung.process();
    hub.hang(id);
    let finding = finds(&system, FindingCode::Hung, |_| ());
    assert_eq!(finding.subject.process, Some(id));
}

#[test]
fn events_whose_last_handler_died_are_another_finding_than_those_that_never_had_one() {
    let clock: SharedClock = Arc::new(SystemClock);
    let hub = MemoryHub::new(Arc::clone(&clock));
    let folder = tempfile::tempdir().expect("a folder");
    let config = || Config::defaults(Home::at(folder.path()));
    let open = || {
        let store = hub.open(this_process(&*clock));
        System::over(config(), store, Arc::clone(&clock)).expect("a system")
    };
    let (system, host) = (open(), open());
    let seen = Seen::default();
    let wanted = Subscribe::durable("trainer").to(["TRAINING_COMPLETED"]);
    host.router()
        .subscribe(wanted, seen.noting())
        .expect("a subscription");
    publish(&system, "TRAINING_COMPLETED", "{}");
    until("it is handled", || seen.count() == 1);
    hub.kill(host.store().process());
    publish(&system, "TRAINING_COMPLETED", "{}");
    let finding = finds(&system, FindingCode::HandlerLost, |rules| {
        rules.unhosted_after = Duration::ZERO;
    });
    assert_eq!(finding.subject.handler.as_deref(), Some("trainer"));
    let below = found(&system, FindingCode::HandlerLost, |rules| {
        rules.unhosted_after = NEVER;
    });
    assert_eq!(below, []);
    let other = found(&system, FindingCode::HandlerNotStarted, |rules| {
        rules.unhosted_after = Duration::ZERO;
    });
    assert_eq!(other, [], "it was started once");
}

#[test]
fn a_definition_that_no_process_has_any_more_is_found_until_one_has_it() {
    for world in [World::new(), World::sqlite()] {
        let (old, new) = (world.process(), world.process());
        let seen = Seen::default();
        let wanted = Subscribe::durable("trainer").to(["TRAINING_COMPLETED"]);
        let first = old.router().subscribe(wanted.clone(), seen.noting());
        first.expect("a subscription");
        let wider = Subscribe::durable("trainer")
            .to(["TRAINING_COMPLETED", "MODEL_PROMOTED"])
            .replace();
        let second = new.router().subscribe(wider.clone(), seen.noting());
        second.expect("a subscription");
        new.close();
        let event = publish(&old, "MODEL_PROMOTED", "{\"config_key\":\"hex8\"}").id;
        let at_once = |rules: &mut ringrift_events::doctor::Rules| {
            rules.unhosted_after = Duration::ZERO;
        };
        let finding = finds(&old, FindingCode::HandlerNotStarted, at_once);
        assert_eq!(finding.subject.handler.as_deref(), Some("trainer"));
        assert_eq!(finding.subject.event, Some(event));
        let standing = Standing::look(&**old.store()).expect("a look");
        assert_eq!(standing.unhosted, ["trainer"]);
        let again = world.process();
        let third = again.router().subscribe(wider, seen.noting());
        third.expect("a subscription");
        ends(&old, FindingCode::HandlerNotStarted, at_once);
        let standing = Standing::look(&**old.store()).expect("a look");
        assert_eq!(standing.unhosted, Vec::<String>::new());
    }
}

#[test]
fn a_handler_over_its_limit_without_a_step_is_slow_at_an_unknown_place() {
    let world = World::sqlite();
    let system = world.process();
    let policy = Policy {
        time_limit: Duration::from_millis(50),
        ..Policy::default()
    };
    let gate = Gate::closed();
    let wanted = Subscribe::durable("trainer")
        .to(["TRAINING_COMPLETED"])
        .policy(policy);
    let waits = Function::asynchronous(move |_| {
        let gate = gate.clone();
        async move {
            gate.passed().await;
            Ok(())
        }
    });
    system
        .router()
        .subscribe(wanted, waits)
        .expect("a subscription");
    assert_eq!(found(&system, FindingCode::HandlerSlow, |_| ()), []);
    let event = publish(&system, "TRAINING_COMPLETED", "{}").id;
    let finding = finds(&system, FindingCode::HandlerSlow, |_| ());
    assert_eq!(finding.subject.handler.as_deref(), Some("trainer"));
    assert_eq!(finding.subject.event, Some(event));
}
