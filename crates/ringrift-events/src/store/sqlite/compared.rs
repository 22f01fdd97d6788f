//! Random operations on SQLite and on memory: equal results and equal errors.

use super::conformance::OnSqlite;
use crate::store::conformance::compare;
use crate::store::memory::harness::InMemory;

const SEEDS: u64 = 12;
const STEPS: usize = 200;

/// Replay one seed with `RINGRIFT_SEED=n cargo test -p ringrift-events --lib compared`.
#[test]
fn sqlite_and_memory_answer_alike() {
    let one = std::env::var("RINGRIFT_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seeds = one.map_or(1..=SEEDS, |seed: u64| seed..=seed);
    for seed in seeds {
        if let Err(broken) = compare(seed, STEPS, &InMemory::new(11), &OnSqlite::new()) {
            panic!("{broken}");
        }
    }
}
