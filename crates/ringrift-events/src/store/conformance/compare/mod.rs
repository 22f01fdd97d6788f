//! The same random operations on two stores: equal results and equal errors.
//!
//! What an operation answers is told in words that leave out what may differ: ids of processes,
//! claims and redeliveries, proofs, times, and positions that a store may save late.

mod act;
mod draw;
mod look;
mod side;

use super::harness::{Broken, Check, Harness};
use draw::Dice;
use side::Side;

/// Does `steps` random operations, drawn from `seed`, on two fresh homes whose clocks stand at the
/// same time. Whatever they answer must be equal, and so must be what they say of themselves after
/// each.
///
/// # Errors
/// The first difference, with the operations that led to it.
pub fn compare(seed: u64, steps: usize, oracle: &dyn Harness, other: &dyn Harness) -> Check {
    let mut dice = Dice::new(seed, oracle.clock());
    let mut sides = [Side::new(oracle), Side::new(other)];
    let mut story: Vec<String> = Vec::new();
    for step in 0..steps {
        let operation = dice.operation(&sides[0]);
        let [expected, got] = [0, 1].map(|at| sides[at].act(&operation));
        story.push(format!("{step}: {operation:?} -> {expected}"));
        if expected != got {
            return Err(differs(seed, &story, &got));
        }
        let [expected, got] = [0, 1].map(|at| sides[at].look());
        if expected != got {
            let lines = |text: &str, than: &str| {
                let missing = text
                    .lines()
                    .filter(|line| !than.lines().any(|l| l == *line));
                missing.map(str::to_owned).collect::<Vec<_>>().join("\n")
            };
            story.push(format!("then: {}", lines(&expected, &got)));
            return Err(differs(seed, &story, &lines(&got, &expected)));
        }
    }
    Ok(())
}

/// How many of the last operations a difference shows.
const SHOWN: usize = 60;

fn differs(seed: u64, story: &[String], got: &str) -> Broken {
    let shown = &story[story.len().saturating_sub(SHOWN)..];
    Broken::new(format!(
        "seed {seed}: the stores differ\n{}\nbut the other: {got}",
        shown.join("\n")
    ))
}
