//! What keeps a process that hosts the handler from beginning with one more event.

use std::time::Duration;

use ringrift_events::event::EventId;
use ringrift_events::handler::{Function, Policy, Rate};
use ringrift_events::system::System;
use ringrift_events::verdict::Code;

use crate::stage::{TYPE, durable, live, publish_one, recorded, standing, told};
use crate::support::{Gate, Seen, World, publish, until};

/// Two events of one key, of which the first is handled, or waits at a gate.
fn two(system: &System) -> (EventId, EventId) {
    let first = publish_one(system);
    until("the first has begun", || {
        let said = standing(system, first, "h").map(|one| one.verdict.code);
        matches!(said, Some(Code::HnRunning | Code::HnOk))
    });
    (first, publish_one(system))
}

pub(crate) fn loop_blocked(world: &World) {
    let system = world.process_with(|settings| {
        settings.handler.held_max = Duration::from_millis(100);
    });
    let gate = Gate::closed();
    let waits = gate.clone();
    let blocks = Function::asynchronous(move |_| {
        let waits = waits.clone();
        async move {
            waits.pass();
            Ok(())
        }
    });
    durable(&system, "h", Policy::default(), blocks);
    let (first, second) = two(&system);
    let said = told(world, &system, second, "h", Code::WtLoopBlocked);
    assert!(said.verdict.actual.contains("event 1"), "{said:?}");
    gate.open();
    recorded(world, &system, first, "h", Code::WtLoopBlocked);
    // It was held up, and it succeeded.
    until("the first is done", || {
        standing(&system, first, "h").is_some_and(|one| one.verdict.code == Code::HnOk)
    });
    system.close();
}

pub(crate) fn concurrency(world: &World) {
    let system = world.process();
    let (gate, seen) = (Gate::closed(), Seen::default());
    durable(&system, "h", Policy::default(), gate.hanging(&seen));
    let (_, second) = two(&system);
    let said = told(world, &system, second, "h", Code::WtConcurrency);
    assert!(said.verdict.actual.contains("1 of 1"), "{said:?}");
    gate.open();
    system.close();
}

pub(crate) fn process_limit(world: &World) {
    let system = world.process_with(|settings| settings.handler.in_flight_max = 1);
    let (gate, seen) = (Gate::closed(), Seen::default());
    live(&system, "other", "training_started", gate.hanging(&seen));
    durable(&system, "h", Policy::default(), Seen::default().noting());
    publish(&system, "training_started", r#"{"config_key":"a"}"#);
    until("the only slot is taken", || {
        let processes = system.store().processes().wait().unwrap();
        processes.iter().any(|process| !process.running.is_empty())
    });
    let id = publish_one(&system);
    told(world, &system, id, "h", Code::WtProcessLimit);
    gate.open();
    system.close();
}

pub(crate) fn rate(world: &World) {
    let system = world.process();
    let policy = Policy {
        rate: Some(Rate {
            events: 1,
            per: Duration::from_secs(3_600),
        }),
        ..Policy::default()
    };
    durable(&system, "h", policy, Seen::default().noting());
    let (_, second) = two(&system);
    told(world, &system, second, "h", Code::WtRate);
    system.shutdown(Duration::ZERO);
}

pub(crate) fn lagging(world: &World) {
    let system = world.process_with(|settings| settings.live.mailbox = 1);
    let (gate, seen) = (Gate::closed(), Seen::default());
    live(&system, "h", TYPE, gate.hanging(&seen));
    let sent: Vec<_> = (0..20).map(|_| publish_one(&system)).collect();
    let last = sent[19];
    told(world, &system, last, "h", Code::WtLagging);
    gate.open();
    system.close();
}
