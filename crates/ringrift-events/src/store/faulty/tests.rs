//! Each fault is what it says it is.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use super::{FaultPlan, FaultyStore};
use crate::event::Seq;
use crate::store::conformance::Bench;
use crate::store::log::{Batch, Draft, Durability};
use crate::store::memory::harness::InMemory;
use crate::store::{Deliveries as _, Error, ErrorCode, Log as _};

fn batch(bench: &Bench) -> Batch {
    Batch {
        drafts: vec![Draft {
            event: Arc::new(bench.event("a", "{}")),
            idempotency_key: None,
            call_site: None,
        }],
        durability: Durability::Process,
    }
}

/// One append under a plan: what the caller and the follow-up learned, and the log's end.
fn append_under(plan: FaultPlan) -> (Option<Error>, Option<Error>, Seq) {
    let harness = InMemory::new(1);
    let bench = Bench::new(&harness);
    let faulty = FaultyStore::new(Arc::clone(&bench.store), 1, plan);
    let (sender, receiver) = sync_channel(1);
    let then = move |result: &Result<Vec<_>, Error>| sender.send(result.clone().err()).unwrap();
    let answer = faulty.append(batch(&bench), Some(Box::new(then))).wait();
    let told = receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    (answer.err(), told, bench.store.head().wait().unwrap().seq)
}

#[test]
fn a_refused_call_changes_nothing_and_says_so() {
    let plan = FaultPlan {
        refused: 1_000,
        ..FaultPlan::default()
    };
    let (answer, told, head) = append_under(plan);
    let answer = answer.unwrap();
    assert_eq!(answer.code, ErrorCode::Io);
    assert!(!answer.may_have_applied);
    assert_eq!(told, Some(answer));
    assert_eq!(head, Seq(0));
}

#[test]
fn a_lost_answer_was_applied_and_says_that_it_may_have_been() {
    let plan = FaultPlan {
        lost: 1_000,
        ..FaultPlan::default()
    };
    let (answer, told, head) = append_under(plan);
    let answer = answer.unwrap();
    assert!(answer.may_have_applied);
    assert_eq!(told, Some(answer));
    assert_eq!(head, Seq(1));
}

#[test]
fn busy_and_full_are_retryable() {
    for (plan, code) in [
        (
            FaultPlan {
                busy: 1_000,
                ..FaultPlan::default()
            },
            ErrorCode::Busy,
        ),
        (
            FaultPlan {
                full: 1_000,
                ..FaultPlan::default()
            },
            ErrorCode::Full,
        ),
    ] {
        let (answer, _, head) = append_under(plan);
        let answer = answer.unwrap();
        assert_eq!(answer.code, code);
        assert!(answer.is_retryable() && !answer.may_have_applied);
        assert_eq!(head, Seq(0));
    }
}

#[test]
fn a_late_answer_is_the_right_one() {
    let plan = FaultPlan {
        late: 1_000,
        delay: Duration::from_millis(5),
        ..FaultPlan::default()
    };
    let (answer, told, head) = append_under(plan);
    assert_eq!((answer, told, head), (None, None, Seq(1)));
}

#[test]
fn the_same_seed_gives_the_same_faults() {
    let plan = FaultPlan {
        refused: 100,
        busy: 100,
        lost: 100,
        ..FaultPlan::default()
    };
    let run = || {
        let harness = InMemory::new(1);
        let bench = Bench::new(&harness);
        let faulty = FaultyStore::new(Arc::clone(&bench.store), 42, plan);
        let codes = (0..100).map(|_| faulty.next_due(vec![]).wait().err().map(|e| e.code));
        let codes: Vec<_> = codes.collect();
        (codes, faulty.struck())
    };
    let (codes, struck) = run();
    assert_eq!(run(), (codes, struck));
    assert!((1..60).contains(&struck), "{struck} of 100");
}

#[test]
fn nothing_goes_wrong_when_it_is_calm() {
    let harness = InMemory::new(1);
    let bench = Bench::new(&harness);
    let plan = FaultPlan {
        refused: 1_000,
        ..FaultPlan::default()
    };
    let faulty = FaultyStore::new(Arc::clone(&bench.store), 42, plan);
    faulty.calm(true);
    assert!(faulty.head().wait().is_ok());
    faulty.calm(false);
    assert!(faulty.head().wait().is_err());
}
