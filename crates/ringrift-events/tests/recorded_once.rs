//! Each fact about a delivery is recorded once, in one place, whatever kind of subscription it was;
//! and from when on one is recorded can be set.

#![cfg(test)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use ringrift_events::handler::{Dedup, Function, NotDone, Policy};
use ringrift_events::router::{Publish, Subscribe};
use ringrift_events::store::registry::{Fact, FactFilter, ProcessState};
use ringrift_events::system::System;
use ringrift_events::verdict::Code;
use support::{Gate, World, publish, until};

const TYPE: &str = "TRAINING_COMPLETED";

fn worlds() -> [World; 2] {
    [World::new(), World::sqlite()]
}

/// Every fact that has a code, once all that was asked of the store before is done.
fn facts(system: &System) -> Vec<Fact> {
    system.store().record(Vec::new()).wait().expect("recorded");
    let filter = FactFilter {
        limit: 1_000,
        ..FactFilter::default()
    };
    let mut facts = system.store().facts(filter).wait().expect("facts");
    facts.retain(|fact| fact.code.is_some());
    facts
}

fn counts(system: &System) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for fact in facts(system) {
        let code = fact.code.expect("a code");
        *counts.entry(code.as_str()).or_default() += 1;
    }
    counts
}

fn count(system: &System, code: Code) -> usize {
    counts(system).get(code.as_str()).copied().unwrap_or(0)
}

/// Waits until this process shows that something of it is so, then as long again as is set in any
/// test here.
fn until_shown(system: &System, what: &str, is_so: impl Fn(&ProcessState) -> bool) {
    let process = system.store().process();
    until(what, || {
        let states = system.store().processes().wait().expect("processes");
        let mut own = states.iter().filter(|state| state.process.id == process);
        own.any(&is_so)
    });
    std::thread::park_timeout(Duration::from_millis(250));
}

fn until_one_waits(system: &System) {
    until_shown(system, "one waits", |state| {
        state.hosts.iter().any(|host| host.waits_for.is_some())
    });
}

/// Subscribes, live or durably, with dedup by `run`, two runs at a time: of one alone, those behind
/// it wait in order and for no limit.
fn subscribe(system: &System, durable: bool, function: Function) {
    let wanted = match durable {
        true => Subscribe::durable("trainer"),
        false => Subscribe::live("trainer"),
    };
    let policy = Policy {
        dedup: Some(Dedup::by(["run"])),
        concurrency: 2,
        ..Policy::default()
    };
    let wanted = wanted.to([TYPE]).policy(policy);
    let subscribed = system.router().subscribe(wanted, function);
    subscribed.expect("a subscription");
}

#[test]
fn a_skip_a_duplicate_a_wait_and_a_repeated_publish_are_one_fact_each() {
    for (world, durable) in worlds()
        .into_iter()
        .zip([false, true])
        .chain(worlds().into_iter().zip([true, false]))
    {
        let system = world.process_with(|settings| {
            settings.record.wait = Duration::from_millis(50);
        });
        let gate = Gate::closed();
        let passes = gate.clone();
        let function = Function::asynchronous(move |context| {
            let gate = passes.clone();
            async move {
                gate.passed().await;
                match context.payload().fields().contains_key("skip") {
                    true => Err(NotDone::skip("not mine")),
                    false => Ok(()),
                }
            }
        });
        subscribe(&system, durable, function);
        publish(&system, TYPE, r#"{"run":1}"#);
        publish(&system, TYPE, r#"{"run":0}"#);
        until("they run", || system.router().local_stats().running == 2);
        // This one waits for one of them, which ends when the gate opens.
        let waits = publish(&system, TYPE, r#"{"run":2,"skip":true}"#).id;
        match durable {
            true => std::thread::park_timeout(Duration::from_millis(150)),
            false => until_one_waits(&system),
        }
        gate.open();
        publish(&system, TYPE, r#"{"run":1}"#);
        let make = || Publish::new(TYPE, r#"{"run":3}"#).idempotency_key("once");
        for _ in 0..5 {
            system.router().publish_blocking(make()).expect("published");
        }
        until(
            "the skip, the duplicate and the repetition are recorded",
            || {
                [Code::HnSkipped, Code::HnDuplicate, Code::PubDuplicateOf]
                    .iter()
                    .all(|code| count(&system, *code) > 0)
            },
        );
        // Whatever would be recorded once more would be by now.
        publish(&system, TYPE, r#"{"run":4}"#);
        until("all have ended", || {
            let stats = system.router().local_stats();
            stats.running == 0 && stats.counters.delivered >= 6
        });
        let told = counts(&system);
        for code in [Code::HnSkipped, Code::HnDuplicate, Code::PubDuplicateOf] {
            assert_eq!(told.get(code.as_str()), Some(&1), "{durable}: {told:?}");
        }
        let long: Vec<Fact> = facts(&system)
            .into_iter()
            .filter(|fact| fact.code == Some(Code::WtConcurrency) && fact.event == Some(waits))
            .collect();
        assert!(long.len() <= 1, "{durable}: {long:?}");
        if !durable {
            assert_eq!(long.len(), 1, "{told:?}");
        }
    }
}

#[test]
fn how_long_a_wait_must_be_and_how_often_a_repetition_is_recorded_is_set() {
    for (wait, repeat, expected) in [
        (Duration::from_millis(20), Duration::from_millis(1), (1, 4)),
        (
            Duration::from_secs(3_600),
            Duration::from_secs(3_600),
            (0, 1),
        ),
    ] {
        let world = World::new();
        let system = world.process_with(|settings| {
            settings.record.wait = wait;
            settings.record.repeat_every = repeat;
        });
        let (gate, seen) = (Gate::closed(), support::Seen::default());
        let policy = Policy {
            concurrency: 2,
            ..Policy::default()
        };
        let wanted = Subscribe::live("trainer").to([TYPE]).policy(policy);
        let subscribed = system.router().subscribe(wanted, gate.hanging(&seen));
        subscribed.expect("a subscription");
        publish(&system, TYPE, "{}");
        publish(&system, TYPE, "{}");
        until("they run", || system.router().local_stats().running == 2);
        publish(&system, TYPE, "{}");
        until_one_waits(&system);
        gate.open();
        let make = || Publish::new("MODEL_PROMOTED", "{}").idempotency_key("once");
        for _ in 0..5 {
            system.router().publish_blocking(make()).expect("published");
            std::thread::park_timeout(Duration::from_millis(10));
        }
        until("all ran", || seen.count() == 3);
        until("what is to be recorded is", || {
            let told = (
                count(&system, Code::WtConcurrency),
                count(&system, Code::PubDuplicateOf),
            );
            told == expected
        });
    }
}

#[test]
fn a_handler_that_skips_all_day_leaves_as_many_facts_as_are_set_and_counts_the_rest() {
    let world = World::new();
    let system = world.process_with(|settings| settings.record.facts_per_second = 2);
    let wanted = Subscribe::live("trainer").to([TYPE]);
    let skips = Function::immediate(|_| Err(NotDone::skip("not mine")));
    system
        .router()
        .subscribe(wanted, skips)
        .expect("a subscription");
    support::publish_numbers(&system, TYPE, 0..200);
    until("all were skipped", || {
        system.router().local_stats().counters.delivered == 200
    });
    // The next second: what was left out is told with the first one.
    std::thread::park_timeout(Duration::from_millis(1_100));
    publish(&system, TYPE, "{}");
    until("it is told", || {
        let facts = facts(&system);
        let left_out = facts.iter().filter_map(|fact| {
            let known: serde_json::Value = serde_json::from_str(&fact.evidence).ok()?;
            known["not_recorded_before"].as_u64()
        });
        facts.len() as u64 + left_out.sum::<u64>() == 201
    });
    assert!(facts(&system).len() < 100, "{}", facts(&system).len());
}

#[test]
fn successes_leave_no_fact() {
    for world in worlds() {
        let system = world.process();
        subscribe(&system, true, Function::immediate(|_| Ok(())));
        for run in 0..50 {
            publish(&system, TYPE, &format!("{{\"run\":{run}}}"));
        }
        until("all are done", || {
            let sums = system.store().tallies().wait().expect("sums");
            sums[0].done == 50
        });
        assert_eq!(counts(&system), BTreeMap::new());
    }
}

#[test]
fn one_wait_for_the_write_lock_is_one_fact_however_many_writes_waited() {
    let world = World::sqlite();
    for (least, expected) in [
        (Duration::from_millis(200), 1),
        (Duration::from_secs(3_600), 1),
    ] {
        // The second round adds none: its wait is shorter than what is recorded.
        let system = world.process_with(|settings| settings.record.lock_wait = least);
        publish(&system, TYPE, "{}");
        let lock = hold(&system);
        let sent: Vec<_> = (0..5)
            .map(|_| {
                system
                    .router()
                    .publish(Publish::new(TYPE, "{}"))
                    .expect("sent")
            })
            .collect();
        until_shown(&system, "it waits for the lock", |state| {
            state.blocked_by.is_some()
        });
        drop(lock);
        for one in sent {
            one.wait().expect("published");
        }
        assert_eq!(count(&system, Code::WtStoreBusy), expected);
        system.close();
    }
}

/// A shell that holds the write lock until it goes.
fn hold(system: &System) -> support::child::Guarded {
    use std::io::{Read as _, Write as _};
    let mut shell = std::process::Command::new("sqlite3")
        .arg(system.config().home.database())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("sqlite3");
    let ask = b"BEGIN IMMEDIATE; SELECT 'held';\n";
    let input = shell.stdin.as_mut().expect("its input");
    input.write_all(ask).expect("asked");
    let output = shell.stdout.as_mut().expect("its output");
    output.read_exact(&mut [0; 5]).expect("it holds the lock");
    support::child::Guarded(shell)
}
