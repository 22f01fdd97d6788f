//! What a handler made of an event.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ringrift_events::clock::{Clock, SystemClock};
use ringrift_events::config::{Config, Home};
use ringrift_events::handler::{Dedup, Function, NotDone, Policy};
use ringrift_events::system::System;
use ringrift_events::verdict::Code;

use crate::stage::{
    TYPE, broken, durable, in_an_hour, live, publish_one, recorded, standing, told,
};
use crate::support::child::{Guarded, again, until_parent_is_gone};
use crate::support::{Gate, Seen, World, publish, publish_numbers, quick_retry, until};

pub(crate) fn running(world: &World) {
    let system = world.process();
    let (gate, seen) = (Gate::closed(), Seen::default());
    durable(&system, "h", Policy::default(), gate.hanging(&seen));
    let id = publish_one(&system);
    told(world, &system, id, "h", Code::HnRunning);
    gate.open();
    system.close();
}

pub(crate) fn succeeded(world: &World) {
    let system = world.process();
    durable(&system, "h", Policy::default(), Seen::default().noting());
    let id = publish_one(&system);
    told(world, &system, id, "h", Code::HnOk);
    system.close();
    // From its position, once its process is gone.
    let later = world.process();
    told(world, &later, id, "h", Code::HnOk);
    later.close();
}

pub(crate) fn skipped(world: &World) {
    let system = world.process();
    let skips = Function::asynchronous(|_| async { Err(NotDone::skip("not mine")) });
    durable(&system, "h", Policy::default(), skips);
    let id = publish_one(&system);
    let said = told(world, &system, id, "h", Code::HnSkipped);
    assert!(said.verdict.actual.contains("not mine"), "{said:?}");
    system.close();
}

fn deduplicating(ttl: Duration) -> Policy {
    Policy {
        dedup: Some(Dedup {
            ttl,
            ..Dedup::by(["config_key"])
        }),
        ..Policy::default()
    }
}

pub(crate) fn duplicate(world: &World) {
    let system = world.process();
    let policy = deduplicating(Duration::from_secs(300));
    durable(&system, "h", policy, Seen::default().noting());
    let original = publish_one(&system);
    let id = publish_one(&system);
    let said = told(world, &system, id, "h", Code::HnDuplicate);
    assert!(
        said.verdict.next.contains(&original.to_string()),
        "{said:?}"
    );
    system.close();
}

pub(crate) fn dedup_expired(world: &World) {
    let system = world.process();
    let (ttl, seen) = (Duration::from_millis(50), Seen::default());
    durable(&system, "h", deduplicating(ttl), seen.noting());
    let first = publish_one(&system);
    until("the first is settled", || {
        standing(&system, first, "h").is_some_and(|one| one.verdict.code == Code::HnOk)
    });
    let over = SystemClock.monotonic() + ttl * 2;
    until("the window is over", || SystemClock.monotonic() > over);
    let id = publish_one(&system);
    told(world, &system, id, "h", Code::HnDedupExpired);
    system.close();
}

pub(crate) fn retrying(world: &World) {
    let system = world.process();
    durable(&system, "h", in_an_hour(), broken());
    let id = publish_one(&system);
    let said = told(world, &system, id, "h", Code::HnRetrying);
    assert!(said.verdict.actual.contains("it is broken"), "{said:?}");
    system.close();
}

pub(crate) fn failed(world: &World) {
    let system = world.process();
    durable(&system, "h", quick_retry(2), broken());
    let id = publish_one(&system);
    recorded(world, &system, id, "h", Code::HnError);
    system.close();
}

pub(crate) fn panicked(world: &World) {
    let system = world.process();
    let panics = Function::asynchronous(|_| async { panic!("no such model") });
    durable(&system, "h", quick_retry(1), panics);
    let id = publish_one(&system);
    recorded(world, &system, id, "h", Code::HnPanic);
    system.close();
}

fn limited(policy: Policy) -> Policy {
    Policy {
        time_limit: Duration::from_millis(50),
        ..policy
    }
}

pub(crate) fn timed_out(world: &World) {
    let system = world.process();
    let hangs = Gate::closed().hanging(&Seen::default());
    durable(&system, "h", limited(quick_retry(1)), hangs);
    let id = publish_one(&system);
    recorded(world, &system, id, "h", Code::HnTimeout);
    system.close();
}

pub(crate) fn abandoned(world: &World) {
    let system = world.process();
    let gate = Gate::closed();
    let (waits, runs) = (gate.clone(), Arc::new(AtomicU32::new(0)));
    let late = Function::blocking(move |_| {
        if runs.fetch_add(1, Ordering::SeqCst) == 0 {
            waits.pass();
        }
        Err(NotDone::failed("too late"))
    });
    durable(&system, "h", limited(quick_retry(3)), late);
    let id = publish_one(&system);
    until("it is given up", || {
        standing(&system, id, "h").is_some_and(|one| {
            one.history
                .iter()
                .any(|fact| fact.code == Some(Code::HnTimeout))
        })
    });
    gate.open();
    recorded(world, &system, id, "h", Code::HnAbandoned);
    system.close();
}

/// A process is killed while the handler runs. One in memory cannot be.
pub(crate) fn lease_lost(world: &World) {
    if !world.is_sqlite() {
        return;
    }
    let system = world.process();
    system.host_daemons().unwrap();
    let mut host = Guarded(again("host", world.folder()).spawn().unwrap());
    until("the child hosts it", || {
        let states = system.store().subscriptions().wait().unwrap();
        states.iter().any(|state| !state.hosts.is_empty())
    });
    let id = publish_one(&system);
    told(world, &system, id, "h", Code::HnRunning);
    host.kill();
    recorded(world, &system, id, "h", Code::HnLeaseLost);
    system.close();
}

pub(crate) fn child_that_hosts(home: &Path) {
    let system = System::open(Config::defaults(Home::at(home))).unwrap();
    let hangs = Gate::closed().hanging(&Seen::default());
    durable(&system, "h", Policy::default(), hangs);
    until_parent_is_gone();
}

/// A live subscription's page keeps its last deliveries only.
pub(crate) fn no_record(world: &World) {
    let system = world.process();
    let seen = Seen::default();
    live(&system, "h", TYPE, seen.noting());
    let id = publish(&system, TYPE, r#"{"config_key":"a"}"#).id;
    publish_numbers(&system, TYPE, 0..400);
    until("all are handled", || seen.count() == 401);
    told(world, &system, id, "h", Code::HnNoRecord);
    system.close();
}
