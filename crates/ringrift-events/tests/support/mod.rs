//! What several integration tests need: several processes over one store, in memory or on SQLite,
//! child processes, handlers that note what they saw or wait for a gate, and a bounded wait for a
//! fact.

#![allow(
    dead_code,
    unused_macros,
    unused_imports,
    unreachable_pub,
    reason = "each test file is a crate of its own and uses a part of it"
)]

pub mod child;
mod over;
mod seen;
mod swift;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringrift_events::clock::{Clock, SystemClock};
use ringrift_events::handler::{Policy, RetryPolicy};
use ringrift_events::router::{Publish, Receipt};
use ringrift_events::store::letters::{Letter, LetterFilter, LetterState};
use ringrift_events::system::System;

pub(crate) use over::Over;
pub use seen::{Gate, Seen};
pub(crate) use swift::swift_folder;
pub use world::World;

/// Makes two tests of each body, one over the store in memory and one over SQLite.
macro_rules! over_both_stores {
    ($($(#[$meta:meta])* $name:ident;)*) => {
        mod in_memory {
            $( #[test] $(#[$meta])* fn $name() { super::$name(&crate::support::World::new()); } )*
        }
        mod on_sqlite {
            $( #[test] $(#[$meta])* fn $name() { super::$name(&crate::support::World::sqlite()); } )*
        }
    };
}

/// How long a fact may take to come true. Only a test that fails waits so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a fact, at most [`PATIENCE`]; fails with its name.
#[track_caller]
pub fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let clock = SystemClock;
    let give_up = clock.monotonic() + PATIENCE;
    while !fact() {
        assert!(
            clock.monotonic() < give_up,
            "it never came true that {what}"
        );
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Runs `what` for each of the numbers, `at_once` of them beside each other. The first that panics
/// fails the test, after those that run.
pub fn beside_each_other(numbers: std::ops::Range<u64>, at_once: u64, what: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(numbers.start);
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= numbers.end {
                        return;
                    }
                    what(number);
                }
            });
        }
    });
}

/// Retries that do not keep a test waiting: `attempts` runs, at most 50 ms apart.
pub fn quick_retry(attempts: u32) -> Policy {
    Policy {
        retry: RetryPolicy {
            attempts,
            first: Duration::from_millis(20),
            most: Duration::from_millis(50),
            ..RetryPolicy::default()
        },
        ..Policy::default()
    }
}

/// Publishes one event and waits for its commit.
#[track_caller]
pub fn publish(system: &System, name: &str, payload: &str) -> Receipt {
    system
        .router()
        .publish(Publish::new(name, payload))
        .and_then(|publishing| publishing.wait())
        .expect("a commit")
}

/// Publishes events with the numbers `from..to`, in one transaction for each thousand.
#[track_caller]
pub fn publish_numbers(system: &System, name: &str, numbers: std::ops::Range<u64>) {
    let all: Vec<u64> = numbers.collect();
    for part in all.chunks(1_000) {
        let batch = part.iter().map(|number| {
            let payload = format!("{{\"config_key\":\"hex8\",\"number\":{number}}}");
            Publish::new(name, payload)
        });
        system
            .router()
            .publish_many(batch.collect())
            .and_then(|publishing| publishing.wait())
            .expect("a commit");
    }
}

/// The letters in these states.
pub fn letters(system: &System, states: &[LetterState]) -> Vec<Letter> {
    let filter = LetterFilter {
        states: states.to_vec(),
        limit: 1_000,
        ..LetterFilter::default()
    };
    system.dead_letters().list(filter).expect("letters")
}

/// A number from the environment, for runs that are longer or start elsewhere.
pub fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Whether the long forms of tests are asked for (`RINGRIFT_LONG=1`).
pub fn is_long() -> bool {
    number_from("RINGRIFT_LONG") == Some(1)
}
