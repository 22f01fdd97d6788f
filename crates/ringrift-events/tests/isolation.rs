//! Nobody waits for another's handler: whatever one does, publishers, its neighbours and other
//! processes go on. The bounds are generous; what they tell apart is seconds from for ever.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that fails"
)]

#[macro_use]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ringrift_events::clock::{Clock, SystemClock};
use ringrift_events::handler::{Function, NotDone, Policy};
use ringrift_events::router::{Publish, Router, Subscribe};
use ringrift_events::system::System;
use support::{Gate, Seen, World, publish, publish_numbers, quick_retry, until};

over_both_stores! {
    a_handler_that_keeps_failing_delays_nobody;
    a_hung_live_handler_with_twenty_thousand_events_delays_nobody_and_gets_them_all;
    hung_blocking_handlers_delay_nobody;
    a_hung_durable_handler_delays_neither_its_neighbours_nor_its_twin_elsewhere;
    a_handler_that_publishes_its_own_type_delays_nobody;
    handlers_that_publish_to_each_other_delay_nobody;
}

/// The longest time from publish to handling that counts as "not delayed" on a busy machine.
const PROMPT_MS: u128 = 10_000;

/// Live and durable neighbours, here and in another process.
struct Neighbours {
    seen: Vec<Seen>,
    _other: System,
}

fn neighbours(world: &World, system: &System, name: &str) -> Neighbours {
    let other = world.process();
    let mut seen = Vec::new();
    for (place, system) in [("here", system), ("there", &other)] {
        for (kind, subscribe) in [
            ("live", Subscribe::live(format!("good-live-{place}"))),
            (
                "durable",
                Subscribe::durable(format!("good-durable-{place}")),
            ),
        ] {
            let good = Seen::default();
            let subscribed = system
                .router()
                .subscribe(subscribe.to([name]), good.noting());
            assert!(subscribed.is_ok(), "{kind} {place}");
            seen.push(good);
        }
    }
    Neighbours {
        seen,
        _other: other,
    }
}

impl Neighbours {
    #[track_caller]
    fn got(&self, count: usize) {
        until("the neighbours got everything", || {
            self.seen.iter().all(|seen| seen.count() >= count)
        });
        for seen in &self.seen {
            assert_eq!((seen.count(), seen.distinct()), (count, count));
            let slowest = seen.slowest_ms();
            assert!(slowest < PROMPT_MS, "a neighbour waited {slowest} ms");
        }
    }
}

fn a_handler_that_keeps_failing_delays_nobody(world: &World) {
    let system = world.process();
    let failures = Arc::new(AtomicUsize::new(0));
    for subscribe in [
        Subscribe::live("bad-live"),
        Subscribe::durable("bad-durable"),
    ] {
        let counted = Arc::clone(&failures);
        let failing = Function::asynchronous(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Err(NotDone::failed("again")) }
        });
        let subscribe = subscribe
            .to(["MODEL_PROMOTED"])
            .policy(quick_retry(1_000_000));
        system.router().subscribe(subscribe, failing).unwrap();
    }
    let neighbours = neighbours(world, &system, "MODEL_PROMOTED");
    publish_numbers(&system, "MODEL_PROMOTED", 0..100);
    neighbours.got(100);
    // A while later, with hundreds of retries under way, it is the same.
    until("retries are under way", || {
        failures.load(Ordering::SeqCst) > 600
    });
    publish_numbers(&system, "MODEL_PROMOTED", 100..200);
    neighbours.got(200);
    system.close();
}

fn a_hung_live_handler_with_twenty_thousand_events_delays_nobody_and_gets_them_all(world: &World) {
    const EVENTS: u64 = 20_000;
    let system = world.process();
    let (gate, late) = (Gate::closed(), Seen::default());
    let policy = Policy {
        time_limit: Duration::from_secs(600),
        ..Policy::default()
    };
    let hung = Subscribe::live("hung")
        .to(["MODEL_PROMOTED"])
        .policy(policy);
    system
        .router()
        .subscribe(hung, gate.hanging(&late))
        .unwrap();
    let neighbours = neighbours(world, &system, "MODEL_PROMOTED");
    let clock = SystemClock;
    for part in 0..EVENTS / 1_000 {
        let from = clock.monotonic();
        publish_numbers(&system, "MODEL_PROMOTED", part * 1_000..(part + 1) * 1_000);
        let took = clock.monotonic() - from;
        assert!(
            took < Duration::from_secs(10),
            "a thousand publishes took {took:?}"
        );
    }
    let all = usize::try_from(EVENTS).unwrap();
    until("the neighbours got everything", || {
        neighbours.seen.iter().all(|seen| seen.count() >= all)
    });
    assert_eq!(late.count(), 0);
    gate.open();
    until("the hung one gets them all once it goes on", || {
        late.count() >= all
    });
    system.close();
    let expected: Vec<u64> = (0..EVENTS).collect();
    assert_eq!(late.numbers(), expected, "in order, each once");
    for seen in &neighbours.seen {
        assert_eq!(seen.distinct(), all);
        assert_eq!(seen.count(), all);
    }
}

fn hung_blocking_handlers_delay_nobody(world: &World) {
    let system = world.process();
    let gate = Gate::closed();
    let policy = Policy {
        time_limit: Duration::from_millis(100),
        concurrency: 8,
        ..quick_retry(3)
    };
    for number in 0..4 {
        let hangs = gate.clone();
        let hung = Function::blocking(move |_| {
            hangs.pass();
            Ok(())
        });
        let subscribe = match number % 2 {
            0 => Subscribe::live(format!("hung-{number}")),
            _ => Subscribe::durable(format!("hung-{number}")),
        };
        let subscribe = subscribe.to(["MODEL_PROMOTED"]).policy(policy.clone());
        system.router().subscribe(subscribe, hung).unwrap();
    }
    let neighbours = neighbours(world, &system, "MODEL_PROMOTED");
    publish_numbers(&system, "MODEL_PROMOTED", 0..50);
    neighbours.got(50);
    until("all slots of the four are held by given-up runs", || {
        system.router().local_stats().stuck.len() == 4
    });
    publish_numbers(&system, "MODEL_PROMOTED", 50..100);
    neighbours.got(100);
    let health = system.health();
    assert!(
        health.healthy && health.message.contains("hung-0"),
        "{health:?}"
    );
    gate.open();
    until("they are free again", || {
        system.router().local_stats().stuck.is_empty()
    });
    system.close();
}

fn a_hung_durable_handler_delays_neither_its_neighbours_nor_its_twin_elsewhere(world: &World) {
    let (system, twin) = (world.process(), world.process());
    let (gate, late, seen) = (Gate::closed(), Seen::default(), Seen::default());
    let subscribe = || Subscribe::durable("shared").to(["MODEL_PROMOTED"]);
    system
        .router()
        .subscribe(subscribe(), gate.hanging(&late))
        .unwrap();
    let neighbours = neighbours(world, &system, "MODEL_PROMOTED");
    publish_numbers(&system, "MODEL_PROMOTED", 0..1);
    until("one hangs", || system.router().local_stats().running == 1);
    twin.router().subscribe(subscribe(), seen.noting()).unwrap();
    publish_numbers(&system, "MODEL_PROMOTED", 1..300);
    neighbours.got(300);
    until("its twin handles all but the one that hangs", || {
        seen.count() == 299
    });
    let slowest = seen.slowest_ms();
    assert!(slowest < PROMPT_MS, "the twin waited {slowest} ms");
    gate.open();
    until("the last one ends", || late.count() == 1);
    system.close();
    twin.close();
    assert_eq!((late.count(), seen.count()), (1, 299));
}

/// A handler that publishes `name` again, and waits for the handlers of what it published.
fn answering(router: &Router, name: &'static str, runs: &Arc<AtomicUsize>) -> Function {
    let (router, runs) = (router.clone(), Arc::clone(runs));
    Function::asynchronous(move |context| {
        let (router, runs) = (router.clone(), Arc::clone(&runs));
        let depth = context.event().depth;
        async move {
            runs.fetch_add(1, Ordering::SeqCst);
            if depth < 20 {
                let answer = Publish::new(name, "{}").wait_handlers(Duration::from_secs(60));
                router.publish(answer)?.await?;
            }
            Ok(())
        }
    })
}

fn a_handler_that_publishes_its_own_type_delays_nobody(world: &World) {
    let system = world.process();
    let runs = Arc::new(AtomicUsize::new(0));
    let router = system.router();
    let echo = answering(router, "HOST_OFFLINE", &runs);
    let subscribe = Subscribe::live("echo").to(["HOST_OFFLINE"]);
    router.subscribe(subscribe, echo).unwrap();
    let neighbours = neighbours(world, &system, "HOST_OFFLINE");
    for _ in 0..10 {
        publish(&system, "HOST_OFFLINE", "{}");
    }
    until("each circle of 21 ends", || {
        runs.load(Ordering::SeqCst) == 210
    });
    neighbours.got(210);
    system.close();
}

fn handlers_that_publish_to_each_other_delay_nobody(world: &World) {
    let system = world.process();
    let runs = Arc::new(AtomicUsize::new(0));
    let router = system.router();
    for (kind, from, to) in [
        (Subscribe::live("a"), "HOST_OFFLINE", "HOST_ONLINE"),
        (Subscribe::durable("b"), "HOST_ONLINE", "HOST_OFFLINE"),
    ] {
        let answer = answering(router, to, &runs);
        router.subscribe(kind.to([from]), answer).unwrap();
    }
    let neighbours = neighbours(world, &system, "HOST_ONLINE");
    for _ in 0..10 {
        publish(&system, "HOST_OFFLINE", "{}");
    }
    until("each circle of 21 ends", || {
        runs.load(Ordering::SeqCst) == 210
    });
    neighbours.got(100);
    system.close();
}

#[test]
fn a_handler_that_blocks_a_runtime_thread_is_named_in_the_log_and_delays_nobody() {
    let world = World::sqlite();
    let system = world.process_with(|settings| {
        settings.handler.held_max = Duration::from_millis(50);
    });
    let gate = Gate::closed();
    let blocks = gate.clone();
    let blocking = Function::asynchronous(move |_| {
        // What an async function must never do.
        blocks.pass();
        async { Ok(()) }
    });
    let subscribe = Subscribe::live("holds-the-thread").to(["MODEL_PROMOTED"]);
    system.router().subscribe(subscribe, blocking).unwrap();
    let neighbours = neighbours(&world, &system, "MODEL_PROMOTED");
    publish_numbers(&system, "MODEL_PROMOTED", 0..50);
    neighbours.got(50);
    let log = || {
        system.log().flush();
        std::fs::read_to_string(system.config().home.log_file()).unwrap_or_default()
    };
    let named = |line: &str| {
        line.contains("handler blocks a runtime thread") && line.contains("holds-the-thread")
    };
    until("the log names it", || log().lines().any(named));
    gate.open();
    system.close();
}
