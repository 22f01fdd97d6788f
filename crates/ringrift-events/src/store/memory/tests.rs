//! The suite that every store passes, on memory.

use super::harness::InMemory;
use crate::store::conformance::{compare, promises, run};

#[test]
fn memory_keeps_every_promise() {
    let broken = run("", || InMemory::new(11));
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_promise_has_a_name_of_its_own() {
    let mut names: Vec<&str> = promises().iter().map(|promise| promise.name).collect();
    assert!(names.len() > 80, "only {} promises", names.len());
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), promises().len());
}

#[test]
fn two_memories_never_differ() {
    for seed in 1..=20 {
        let [one, two] = [InMemory::new(11), InMemory::new(11)];
        if let Err(broken) = compare(seed, 300, &one, &two) {
            panic!("{broken}");
        }
    }
}
