//! A store that refuses, answers late and is full for a while: what the loops of subscriptions
//! hold then is told again, and nothing waits for the process to die.
#![cfg(test)]

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringrift_events::clock::{Clock as _, SharedClock, SystemClock};
use ringrift_events::config::{Config, Home};
use ringrift_events::event::EventId;
use ringrift_events::handler::{Context, Function, NotDone};
use ringrift_events::router::{Publish, Subscribe};
use ringrift_events::store::Store;
use ringrift_events::store::faulty::{FaultPlan, FaultyStore};
use ringrift_events::store::memory::MemoryHub;
use ringrift_events::system::{System, this_process};
use support::until;

/// Events of the run, over as many keys as handlers run at once.
const EVENTS: u64 = 40;

/// A system over a store in memory, with faults in front of it that are quiet at first.
fn open(folder: &tempfile::TempDir, plan: FaultPlan, seed: u64) -> (System, Arc<FaultyStore>) {
    let clock: SharedClock = Arc::new(SystemClock);
    let hub = MemoryHub::new(Arc::clone(&clock));
    let store = hub.open(this_process(&*clock));
    let faulty = Arc::new(FaultyStore::new(store, seed, plan));
    faulty.calm(true);
    let mut config = Config::defaults(Home::at(folder.path()));
    config.settings.dlq.backoff_first = Duration::from_millis(50);
    config.settings.dlq.attempts = 100;
    config.settings.handler.concurrency = 4;
    let system = System::over(config, Arc::clone(&faulty) as Arc<dyn Store>, clock);
    (system.expect("a system"), faulty)
}

/// What succeeded, by key, in the order of the successes.
type Done = Arc<Mutex<HashMap<String, Vec<u64>>>>;

/// A handler that starts with the gate and fails each fifth event the first time.
fn handler(gate: &Arc<AtomicBool>, done: &Done) -> Function {
    let (gate, done) = (Arc::clone(gate), Arc::clone(done));
    let failed: Arc<Mutex<Vec<EventId>>> = Arc::default();
    Function::blocking(move |context: &Context| {
        while !gate.load(Ordering::SeqCst) {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        let event = context.event();
        let number = event.payload.fields()["number"].as_u64().expect("a number");
        let mut failed = failed.lock().expect("no panic");
        if number.is_multiple_of(5) && !failed.contains(&event.id) {
            failed.push(event.id);
            return Err(NotDone::failed("the first time"));
        }
        let mut done = done.lock().expect("no panic");
        let key = event.key.clone().unwrap_or_default();
        done.entry(key).or_default().push(number);
        Ok(())
    })
}

#[track_caller]
fn survives(plan: FaultPlan, seed: u64, ordered: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let (system, faulty) = open(&folder, plan, seed);
    let (gate, done) = (Arc::new(AtomicBool::new(false)), Done::default());
    let mut subscribe = Subscribe::durable("worker").to(["TRAINING_COMPLETED"]);
    if ordered {
        subscribe = subscribe.ordered_by_key();
    }
    let function = handler(&gate, &done);
    system
        .router()
        .subscribe(subscribe, function)
        .expect("subscribed");
    for number in 0..EVENTS {
        let payload = format!("{{\"number\":{number},\"config_key\":\"k{}\"}}", number % 4);
        let publish = Publish::new("TRAINING_COMPLETED", payload);
        system
            .router()
            .publish_blocking(publish)
            .expect("published");
    }
    faulty.calm(false);
    gate.store(true, Ordering::SeqCst);
    until("the store failed often", || faulty.struck() > 30);
    faulty.calm(true);
    let give_up = SystemClock.monotonic() + Duration::from_secs(20);
    loop {
        let tallies = system.store().tallies().wait().expect("tallies");
        if tallies.iter().all(|tally| tally.done == EVENTS) {
            break;
        }
        assert!(
            SystemClock.monotonic() < give_up,
            "after seed {seed} some never ended: {tallies:?}\n{:?}",
            system.health()
        );
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let done = done.lock().expect("no panic");
    for (key, numbers) in done.iter() {
        let mut firsts = numbers.clone();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len() as u64, EVENTS / 4, "{key}: {numbers:?}");
        if ordered {
            // An event may run again, but no later one before it.
            let mut seen = Vec::new();
            for number in numbers {
                if !seen.contains(number) {
                    assert!(seen.last().is_none_or(|last| last < number), "{numbers:?}");
                    seen.push(*number);
                }
            }
        }
    }
    system.close();
}

#[test]
fn what_a_full_or_locked_store_did_not_take_is_told_again() {
    let plan = FaultPlan {
        full: 250,
        busy: 250,
        ..FaultPlan::default()
    };
    for seed in 0..2 {
        survives(plan, seed, seed % 2 == 1);
    }
}

#[test]
fn what_a_failing_store_did_not_take_or_answered_late_is_told_again() {
    let plan = FaultPlan {
        refused: 350,
        late: 150,
        delay: Duration::from_millis(5),
        ..FaultPlan::default()
    };
    for seed in 0..2 {
        survives(plan, seed, seed % 2 == 1);
    }
}
