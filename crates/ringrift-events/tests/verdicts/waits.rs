//! What an event waits for.

use std::path::Path;

use ringrift_events::config::{Config, Home};
use ringrift_events::daemons::CROSS_PROCESS_POLLER;
use ringrift_events::handler::Policy;
use ringrift_events::router::Subscribe;
use ringrift_events::verdict::Code;

use crate::stage::{
    OTHER, TYPE, broken, durable, idle, in_an_hour, live, orphan, publish_one, told,
};
use crate::support::child::{Guarded, again, until_parent_is_gone};
use crate::support::{Gate, Seen, World, publish, publish_numbers, until};

pub(crate) fn pending(world: &World) {
    let (system, host) = (world.process(), world.process());
    live(&host, "beside", OTHER, Seen::default().noting());
    idle(&host, "h");
    let id = publish_one(&system);
    told(world, &system, id, "h", Code::WtPending);
    system.close();
    host.close();
}

pub(crate) fn no_process(world: &World) {
    let system = world.process();
    orphan(&system, "h");
    let id = publish_one(&system);
    told(world, &system, id, "h", Code::WtNoProcess);
    system.close();
}

/// A newer program replaced the definition and is gone: the older one, which still runs, takes
/// nothing of what came since.
pub(crate) fn only_older_hosts(world: &World) {
    let (older, newer) = (world.process(), world.process());
    let seen = Seen::default();
    durable(&older, "h", Policy::default(), seen.noting());
    let before = publish_one(&older);
    let replace = Subscribe::durable("h").to([TYPE, OTHER]).replace();
    newer.router().subscribe(replace, seen.noting()).unwrap();
    newer.close();
    let id = publish_one(&older);
    let said = told(world, &older, id, "h", Code::WtNoProcess);
    assert!(said.verdict.actual.contains("by version 1"), "{said:?}");
    assert!(said.verdict.expected.contains("by version 2"), "{said:?}");
    told(world, &older, before, "h", Code::HnOk);
    older.close();
}

pub(crate) fn poller_stopped(world: &World) {
    let (system, host) = (world.process(), world.process());
    durable(&host, "h", Policy::default(), Seen::default().noting());
    host.daemons().stop(CROSS_PROCESS_POLLER, "ann").unwrap();
    let mut id = publish_one(&system);
    // A claim that was asked for before the stop may still come, and takes what it finds.
    until("an event stays", || {
        let said = crate::stage::standing(&system, id, "h").map(|one| one.verdict.code);
        if said == Some(Code::HnOk) {
            id = publish_one(&system);
        }
        said == Some(Code::WtPollerStopped)
    });
    let said = told(world, &system, id, "h", Code::WtPollerStopped);
    assert!(said.verdict.actual.contains("by ann"), "{said:?}");
    system.close();
    host.close();
}

pub(crate) fn key_blocked(world: &World) {
    let system = world.process();
    let subscribe = Subscribe::durable("h")
        .to([TYPE])
        .ordered_by_key()
        .policy(in_an_hour());
    system.router().subscribe(subscribe, broken()).unwrap();
    let first = publish_one(&system);
    until("the first is a letter", || {
        crate::stage::standing(&system, first, "h")
            .is_some_and(|one| one.verdict.code == Code::HnRetrying)
    });
    let second = publish(&system, TYPE, r#"{"config_key":"a","number":2}"#).id;
    let said = told(world, &system, second, "h", Code::WtKeyBlocked);
    assert!(said.verdict.expected.contains("event 1"), "{said:?}");
    system.close();
}

/// A program that is not ours holds the write lock. A store in memory has none.
pub(crate) fn store_busy(world: &World) {
    let host = world.process();
    let (gate, seen) = (Gate::closed(), Seen::default());
    durable(&host, "h", Policy::default(), gate.hanging(&seen));
    // More than one claim takes, so that the last is in none.
    publish_numbers(&host, TYPE, 1..600);
    let last = publish(&host, TYPE, r#"{"config_key":"a","number":600}"#).id;
    until("the first runs", || {
        let processes = host.store().processes().wait().unwrap();
        processes.iter().any(|process| !process.running.is_empty())
    });
    // While another program has the lock nothing can be changed: it is before.
    crate::stage::change(world, &host, "h");
    let locker = Guarded(again("locker", world.folder()).spawn().unwrap());
    let locked = world.folder().join("locked");
    until("another program has the lock", || locked.exists());
    gate.open();
    let is = || {
        let said = crate::stage::standing(&host, last, "h");
        said.is_some_and(|one| {
            let pid = format!("pid {}", locker.0.id());
            one.verdict.code == Code::WtStoreBusy && one.verdict.actual.contains(&pid)
        })
    };
    let said = || crate::stage::standing(&host, last, "h");
    until(&format!("the lock's holder is named: {:?}", said()), is);
    drop(locker);
    until("all are handled", || seen.distinct() == 600);
    host.close();
}

pub(crate) fn child_that_locks(home: &Path) {
    let database = Config::defaults(Home::at(home)).home.database();
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.busy_timeout(crate::support::PATIENCE).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::fs::write(home.join("locked"), "").unwrap();
    until_parent_is_gone();
}
