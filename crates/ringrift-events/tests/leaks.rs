//! B23 of the system this one replaces: connections and memory leaked, 1,900 open descriptors and
//! 64 MB of cache and map for each call. One test alone in its program, since it counts what the
//! whole process has.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that fails"
)]

#[macro_use]
mod support;

use ringrift_events::router::Subscribe;
use support::{Seen, World, publish, publish_numbers, until};

/// What the process holds now.
#[derive(Debug)]
struct Holds {
    descriptors: usize,
    threads: usize,
    mappings: usize,
}

fn holds() -> Holds {
    let task = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().path();
    let tasks: Vec<_> = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .map(task)
        .collect();
    // Database threads have descriptor tables of their own: the largest of all counts.
    let descriptors = tasks
        .iter()
        .filter_map(|task| Some(std::fs::read_dir(task.join("fd")).ok()?.count()))
        .max();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    // A thread's stack and an arena of the allocator are the allocator's to keep.
    let files = maps.lines().filter(|line| line.contains('/'));
    Holds {
        descriptors: descriptors.unwrap(),
        threads: tasks.len(),
        mappings: files.count(),
    }
}

fn live_and_end(world: &World) {
    let system = world.process();
    let seen = Seen::default();
    for subscribe in [Subscribe::live("live"), Subscribe::durable("durable")] {
        let subscribe = subscribe.to(["MODEL_PROMOTED"]);
        system.router().subscribe(subscribe, seen.noting()).unwrap();
    }
    publish_numbers(&system, "MODEL_PROMOTED", 0..20);
    until("all came to both", || seen.count() >= 40);
    system.close();
}

fn calls_alone(world: &World) {
    let system = world.process();
    publish(&system, "MODEL_PROMOTED", "{}");
    let before = holds();
    for _ in 0..300 {
        publish(&system, "MODEL_PROMOTED", "{}");
        assert!(system.health().healthy);
        system.store().subscriptions().wait().unwrap();
        system.store().processes().wait().unwrap();
    }
    let after = holds();
    assert!(
        after.descriptors <= before.descriptors + 8 && after.mappings <= before.mappings + 8,
        "calls leave something behind: {before:?}, then {after:?}"
    );
    system.close();
}

#[test]
fn opening_and_closing_leaves_no_descriptor_thread_or_mapping_behind() {
    for world in [World::new(), World::sqlite()] {
        for _ in 0..3 {
            live_and_end(&world);
        }
        let before = holds();
        for _ in 0..25 {
            live_and_end(&world);
        }
        let settled = || {
            let now = holds();
            now.threads <= before.threads + 4
                && now.descriptors <= before.descriptors + 8
                && now.mappings <= before.mappings + 8
        };
        let which = if world.is_sqlite() {
            "SQLite"
        } else {
            "memory"
        };
        let waited = std::panic::catch_unwind(|| until("what ended is gone", settled));
        assert!(
            waited.is_ok(),
            "on {which}: first {before:?}, after 25 more {:?}",
            holds()
        );
        calls_alone(&world);
    }
}
