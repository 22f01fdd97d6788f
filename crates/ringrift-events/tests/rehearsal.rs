//! A system in memory with time of its own: what waits for time comes when time is moved, at once and
//! in its order, and nothing comes before.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that fails"
)]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringrift_events::clock::{Clock, SystemClock};
use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::handler::{Dedup, Function, NotDone, Policy, Rate};
use ringrift_events::pipeline::STALLED_RULE;
use ringrift_events::router::Subscribe;
use ringrift_events::store::letters::LetterState;
use ringrift_events::store::watching::AlertFilter;
use ringrift_events::system::{Rehearsal, RehearsalRules};
use support::{Seen, letters, publish, publish_numbers};

const TYPE: &str = "TRAINING_COMPLETED";
const PAYLOAD: &str = r#"{"config_key":"hex8","number":7}"#;

/// Rest is of the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn rehearsal() -> (MutexGuard<'static, ()>, Rehearsal) {
    rehearsal_by(RehearsalRules::default())
}

fn rehearsal_by(rules: RehearsalRules) -> (MutexGuard<'static, ()>, Rehearsal) {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let config = Config::defaults(Home::at(std::path::Path::new("/nowhere")));
    (alone, Rehearsal::open(config, rules).unwrap())
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Fails so many times, then succeeds.
fn failing(times: u32) -> (Arc<AtomicU32>, Function) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let function = Function::asynchronous(move |_| {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match call < times {
                true => Err(NotDone::failed("not yet")),
                false => Ok(()),
            }
        }
    });
    (calls, function)
}

#[test]
fn a_retry_comes_when_its_time_has_come() {
    for subscribe in [Subscribe::live("trainer"), Subscribe::durable("trainer")] {
        let (_alone, rehearsal) = rehearsal();
        let system = rehearsal.system();
        let (calls, function) = failing(3);
        let mut policy = Policy::default();
        policy.retry.first = secs(60);
        let subscribe = subscribe.to([TYPE]).policy(policy);
        system.router().subscribe(subscribe, function).unwrap();
        publish(system, TYPE, PAYLOAD);
        rehearsal.settle().unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 1, "a first run, no retry");
        // 60, 120 and 240 s at most.
        rehearsal.advance(secs(420)).unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 4);
        assert_eq!(letters(system, &[LetterState::Recovered]).len(), 1);
        system.shutdown(Duration::ZERO);
    }
}

#[test]
fn a_handler_that_hangs_is_timed_out_at_its_limit() {
    let gate = Arc::new((Mutex::new(false), std::sync::Condvar::new()));
    let waited = Arc::clone(&gate);
    let blocking = Function::blocking(move |_| {
        let (open, changed) = &*waited;
        let opened = changed.wait_while(open.lock().unwrap(), |open| !*open);
        drop(opened.unwrap());
        Ok(())
    });
    let asynchronous = Function::asynchronous(|_| std::future::pending());
    for function in [asynchronous, blocking] {
        let (_alone, rehearsal) = rehearsal();
        let system = rehearsal.system();
        let subscribe = Subscribe::durable("hangs").to([TYPE]);
        system.router().subscribe(subscribe, function).unwrap();
        publish(system, TYPE, PAYLOAD);
        rehearsal.advance(secs(59)).unwrap();
        assert!(letters(system, &LetterState::ALL).is_empty());
        rehearsal.advance(secs(2)).unwrap();
        let letters = letters(system, &LetterState::ALL);
        assert_eq!(letters.len(), 1);
        assert!(letters[0].error.contains("60"), "{}", letters[0].error);
        system.shutdown(Duration::ZERO);
    }
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
}

#[test]
fn a_rate_limit_lets_through_what_its_time_allows() {
    let (_alone, rehearsal) = rehearsal();
    let system = rehearsal.system();
    let seen = Seen::default();
    let policy = Policy {
        rate: Some(Rate {
            events: 2,
            per: secs(60),
        }),
        ..Policy::default()
    };
    let subscribe = Subscribe::live("paced").to([TYPE]).policy(policy);
    system.router().subscribe(subscribe, seen.noting()).unwrap();
    publish_numbers(system, TYPE, 0..5);
    rehearsal.settle().unwrap();
    let counts: Vec<usize> = (0..4)
        .map(|_| {
            let count = seen.count();
            rehearsal.advance(secs(30)).unwrap();
            count
        })
        .collect();
    assert_eq!(counts, [2, 3, 4, 5]);
    system.shutdown(Duration::ZERO);
}

#[test]
fn a_dedup_window_ends_when_its_time_is_over() {
    for subscribe in [Subscribe::live("once"), Subscribe::durable("once")] {
        let (_alone, rehearsal) = rehearsal();
        let system = rehearsal.system();
        let seen = Seen::default();
        let policy = Policy {
            dedup: Some(Dedup::by(["config_key"])),
            ..Policy::default()
        };
        let subscribe = subscribe.to([TYPE]).policy(policy);
        system.router().subscribe(subscribe, seen.noting()).unwrap();
        for (after, expected) in [(0, 1), (298, 1), (2, 2)] {
            rehearsal.advance(secs(after)).unwrap();
            publish(system, TYPE, PAYLOAD);
            rehearsal.settle().unwrap();
            assert_eq!(seen.count(), expected, "after {after} s more");
        }
        system.shutdown(Duration::ZERO);
    }
}

#[test]
fn what_was_paused_goes_on_at_once() {
    let (_alone, rehearsal) = rehearsal();
    let system = rehearsal.system();
    let seen = Seen::default();
    let subscribe = Subscribe::durable("paused").to([TYPE]);
    let subscription = system.router().subscribe(subscribe, seen.noting()).unwrap();
    let store = system.store();
    store
        .pause(subscription.id(), true, "test".to_owned())
        .wait()
        .unwrap();
    publish(system, TYPE, PAYLOAD);
    rehearsal.advance(secs(600)).unwrap();
    assert_eq!(seen.count(), 0);
    store
        .pause(subscription.id(), false, "test".to_owned())
        .wait()
        .unwrap();
    rehearsal.settle().unwrap();
    assert_eq!(seen.count(), 1);
    system.shutdown(Duration::ZERO);
}

#[test]
fn an_idle_hour_takes_no_hour_and_everybody_lives_through_it() {
    let (_alone, rehearsal) = rehearsal();
    let system = rehearsal.system();
    let seen = Seen::default();
    let subscribe = Subscribe::durable("idle").to([TYPE]);
    system.router().subscribe(subscribe, seen.noting()).unwrap();
    let began = SystemClock.monotonic();
    rehearsal.advance(secs(3_600)).unwrap();
    let took = SystemClock.monotonic() - began;
    assert!(took < secs(60), "{took:?}");
    println!("an hour took {took:?}");
    let health = system.health();
    assert!(health.healthy, "{health:?}");
    let daemons = system.daemons().list();
    let restarted: Vec<_> = daemons.iter().filter(|one| one.restarts > 0).collect();
    assert!(restarted.is_empty(), "{restarted:?}");
    system.shutdown(Duration::ZERO);
}

#[test]
fn a_pipeline_that_stands_still_is_told_when_its_limit_is_over() {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = support::swift_folder();
    let text = "[[pipeline]]\nname = \"ringrift\"\nlimits = { TRAINING_COMPLETED = \"2h\" }\n";
    std::fs::write(folder.path().join("ringrift.toml"), text).unwrap();
    let config = Config::load(ConfigSources {
        home: Home::at(folder.path()),
        variables: Vec::new(),
        flags: Vec::new(),
    });
    let rehearsal = Rehearsal::open(config.unwrap(), RehearsalRules::default()).unwrap();
    let system = rehearsal.system();
    system.host_daemons().unwrap();
    for name in [
        "NEW_GAMES_AVAILABLE",
        "DATA_SYNC_COMPLETED",
        "NPZ_EXPORT_COMPLETE",
    ] {
        publish(system, name, PAYLOAD);
    }
    let stalls = || {
        let filter = AlertFilter {
            rule: Some(STALLED_RULE.to_owned()),
            limit: 10,
            ..AlertFilter::default()
        };
        system.alerts().list(filter).unwrap().len()
    };
    rehearsal.advance(secs(7_190)).unwrap();
    assert_eq!(stalls(), 0);
    rehearsal.advance(secs(20)).unwrap();
    assert_eq!(stalls(), 1);
    system.shutdown(Duration::ZERO);
    drop(alone);
}

#[test]
fn a_process_that_does_not_come_to_rest_is_told_by_the_thread() {
    let (_alone, rehearsal) = rehearsal_by(RehearsalRules {
        patience: secs(2),
        ..RehearsalRules::default()
    });
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&over);
    let spins = std::thread::Builder::new().name("spins".to_owned());
    let spins = spins.spawn(move || while !seen.load(Ordering::Relaxed) {});
    let before = rehearsal.system().clock().now();
    let refused = rehearsal.advance(secs(60)).unwrap_err();
    assert_eq!(refused.thread.as_deref(), Some("spins"), "{refused}");
    assert_eq!(rehearsal.system().clock().now(), before);
    over.store(true, Ordering::Relaxed);
    spins.unwrap().join().unwrap();
    rehearsal.advance(secs(60)).unwrap();
    rehearsal.system().shutdown(Duration::ZERO);
}
