//! B21 of the system this one replaces: late subscribers lost events, hence brittle orders of
//! starting everywhere. Here processes open, subscribe, publish, end and come back in a random
//! order around the first publish, and durable subscriptions lose nothing.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that fails"
)]

#[macro_use]
mod support;

use std::collections::BTreeMap;

use ringrift_events::clock::{Clock, ManualClock, SystemClock, Time};
use ringrift_events::event::{EventType, Seq};
use ringrift_events::router::Subscribe;
use ringrift_events::store::log::TypeSet;
use ringrift_events::store::subscriptions::Start;
use ringrift_events::system::System;
use support::{Seen, World, beside_each_other, is_long, number_from, publish_numbers, until};

/// Orders over the store in memory; one in [`SQLITE_EVERY`] runs over SQLite instead.
const ORDERS: u64 = 1_000;

/// The same with `RINGRIFT_LONG=1`.
const ORDERS_LONG: u64 = 10_000;

/// SQLite's share: it does the same with real transactions, which takes longer.
const SQLITE_EVERY: u64 = 20;

/// Orders that run beside each other: they wait for each other's background work mostly.
const AT_ONCE: u64 = 4;

const TYPE: &str = "MODEL_PROMOTED";

/// The durable names, by how they begin.
const NAMES: [(&str, Start); 3] = [
    ("from-the-beginning", Start::Beginning),
    ("from-now", Start::Now),
    ("shared", Start::Beginning),
];

/// What one process does, in its own order.
#[derive(Clone, Copy, Debug)]
enum Step {
    Open,
    Subscribe(usize),
    Publish(u64),
    Close,
}

fn script(process: u64) -> Vec<Step> {
    use Step::{Close, Open, Publish, Subscribe};
    match process {
        0 => vec![Open, Publish(1), Publish(3), Close],
        1 => vec![Open, Subscribe(0), Publish(2), Subscribe(2)],
        2 => vec![Open, Subscribe(2), Close, Open, Publish(1), Subscribe(2)],
        _ => vec![Open, Publish(1), Subscribe(1), Close, Open, Subscribe(1)],
    }
}

/// One order: which process takes its next step.
fn order(seed: u64) -> Vec<(usize, Step)> {
    let random = ManualClock::new(Time(1), seed);
    let mut left: Vec<_> = (0..4)
        .map(|process| script(process).into_iter().peekable())
        .collect();
    let mut order = Vec::new();
    while left.iter_mut().any(|steps| steps.peek().is_some()) {
        let process = usize::try_from(random.random() % 4).unwrap();
        order.extend(left[process].next().map(|step| (process, step)));
    }
    order
}

#[derive(Default)]
struct Run {
    systems: BTreeMap<usize, System>,
    seen: [Seen; 3],
    published: u64,
}

impl Run {
    fn step(&mut self, world: &World, process: usize, step: Step) {
        match step {
            Step::Open => {
                self.systems.insert(process, world.process());
            }
            Step::Subscribe(which) => {
                let (name, start) = NAMES[which];
                let subscribe = Subscribe::durable(name).to([TYPE]).start(start);
                let router = self.systems[&process].router();
                router
                    .subscribe(subscribe, self.seen[which].noting())
                    .unwrap();
            }
            Step::Publish(count) => {
                let numbers = self.published..self.published + count;
                publish_numbers(&self.systems[&process], TYPE, numbers);
                self.published += count;
            }
            Step::Close => self.systems.remove(&process).unwrap().close(),
        }
    }

    /// What each name owes by where its first version begins, and what its handlers saw.
    fn check(&self) {
        let system = self.systems.values().next().unwrap();
        let types = TypeSet::only([EventType::from_canonical(&TYPE.to_lowercase())]);
        let read = system.store().read(Seq::START, types, 1_000);
        let (log, _) = read.wait().unwrap();
        assert_eq!(u64::try_from(log.len()).unwrap(), self.published);
        let states = system.store().subscriptions().wait().unwrap();
        for ((name, _), seen) in NAMES.iter().zip(&self.seen) {
            let state = states.iter().find(|state| state.current().name == *name);
            let from = state.unwrap().versions[0].valid_from;
            let owed: Vec<_> = log.iter().filter(|event| event.seq >= Some(from)).collect();
            until(&format!("{name} handled all it owes"), || {
                seen.distinct() >= owed.len()
            });
            let all = seen.all();
            for event in owed {
                let times = all.iter().filter(|sight| sight.id == event.id).count();
                assert_eq!(times, 1, "{name}: event {:?}", event.seq);
            }
        }
    }
}

fn run(seed: u64) {
    let world = if seed.is_multiple_of(SQLITE_EVERY) {
        World::sqlite()
    } else {
        World::new()
    };
    let mut run = Run::default();
    for (process, step) in order(seed) {
        run.step(&world, process, step);
    }
    run.check();
    for system in run.systems.values() {
        system.close();
    }
}

/// Prints how to see it again when its order fails.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.0;
            eprintln!("order of seed {seed}: {:?}", order(seed));
            eprintln!(
                "again: RINGRIFT_SEED={seed} RINGRIFT_ORDERS=1 cargo test -p ringrift-events \
                 --test start_orders"
            );
        }
    }
}

#[test]
fn durable_subscriptions_lose_nothing_in_any_order_of_starts() {
    let orders = if is_long() { ORDERS_LONG } else { ORDERS };
    let orders = number_from("RINGRIFT_ORDERS").unwrap_or(orders);
    let first = number_from("RINGRIFT_SEED").unwrap_or_else(|| SystemClock.random() >> 16);
    eprintln!("seeds {first} to {}", first + orders - 1);
    beside_each_other(first..first + orders, AT_ONCE, |seed| {
        let replay = Replay(seed);
        run(seed);
        drop(replay);
    });
}
