use super::*;
use crate::handler::testing::{
    LIMIT, Stage, Told, delivery, event, failure, gated, limited, ticket, until,
};
use crate::handler::{Admission, Dedup, NotDone, Policy};

#[test]
fn a_blocking_run_keeps_its_slot_until_its_thread_ends_and_its_late_success_is_told() {
    let stage = Stage::new();
    let (handler, open) = gated(&stage, limited());
    let mut ran = stage.run(&handler, &event(1, "x", "{}"));
    assert_eq!(failure(&ran).kind, FailureKind::Timeout);
    assert!(failure(&ran).message.contains("keeps its slot"));
    assert_eq!(handler.free_slots(), 0);
    assert!(handler.is_stuck());
    assert_eq!(handler.waits_for(), Some(Code::WtConcurrency));
    open.send(Ok(())).unwrap();
    let late = stage.block_on(ran.late.take().unwrap()).unwrap();
    assert_eq!(late.outcome, Outcome::Done);
    assert!(late.took >= ran.took);
    assert_eq!(handler.free_slots(), 1, "free before the end is told");
    let stats = handler.stats();
    assert_eq!((stats.late_success_count, stats.abandoned), (1, 0));
    assert_eq!((stats.errors_count, stats.timeouts_count), (1, 1));
    assert_eq!(
        stage.notes.told()[1..],
        [Told::Abandoned, Told::Ended(Code::StRecovered)]
    );
}

#[test]
fn a_late_error_is_recorded_and_told_as_abandoned() {
    let stage = Stage::new();
    let (handler, open) = gated(&stage, limited());
    let mut ran = stage.run(&handler, &event(1, "x", "{}"));
    open.send(Err(NotDone::failed("too late anyway"))).unwrap();
    let late = stage.block_on(ran.late.take().unwrap()).unwrap();
    assert!(matches!(late.outcome, Outcome::Failed(_)));
    let errors = handler.recent_errors(10);
    assert_eq!(errors.len(), 2);
    assert!(errors[0].late && errors[0].message == "too late anyway");
    assert!(!errors[1].late && errors[1].kind == FailureKind::Timeout);
    assert_eq!(handler.stats().errors_count, 1, "one run failed, once");
    assert_eq!(stage.notes.told()[2], Told::Ended(Code::HnAbandoned));
}

#[test]
fn a_blocking_run_that_nobody_waits_for_any_more_keeps_its_slot_until_it_ends() {
    let stage = Stage::new();
    let (handler, open) = gated(&stage, Policy::default());
    let event = event(1, "x", "{}");
    stage.block_on(async {
        let admitted = ticket(handler.admit(&event).await);
        let run = handler.run(delivery(&event), admitted);
        assert!(tokio::time::timeout(LIMIT, run).await.is_err());
    });
    assert_eq!((handler.free_slots(), handler.stats().running), (0, 0));
    open.send(Ok(())).unwrap();
    until("the slot is free", || handler.free_slots() == 1);
    assert_eq!(stage.notes.told()[2], Told::Ended(Code::StRecovered));
}

#[test]
fn an_equal_key_waits_for_its_holders_outcome_without_holding_a_slot() {
    let stage = Stage::new();
    let policy = Policy {
        dedup: Some(Dedup::by(["k"])),
        concurrency: 2,
        ..Policy::default()
    };
    for (reply, second_runs) in [(Ok(()), false), (Err(NotDone::failed("no")), true)] {
        let (handler, open) = gated(&stage, policy.clone());
        let (one, two) = (event(1, "x", r#"{"k":1}"#), event(2, "x", r#"{"k":1}"#));
        let admission = stage.block_on(async {
            let admitted = ticket(handler.admit(&one).await);
            let running = tokio::spawn({
                let handler = Arc::clone(&handler);
                async move { handler.run(delivery(&one), admitted).await }
            });
            let early = tokio::time::timeout(LIMIT, handler.admit(&two)).await;
            assert!(early.is_err(), "the key is held");
            assert_eq!(handler.free_slots(), 1);
            open.send(reply).unwrap();
            let admission = handler.admit(&two).await;
            running.await.unwrap();
            admission
        });
        assert_eq!(matches!(admission, Admission::Run(_)), second_runs);
    }
}

#[test]
fn a_timed_out_blocking_run_keeps_its_key_until_it_ends() {
    let stage = Stage::new();
    let (handler, open) = gated(
        &stage,
        Policy {
            dedup: Some(Dedup::by(["k"])),
            ..limited()
        },
    );
    let mut ran = stage.run(&handler, &event(1, "x", r#"{"k":1}"#));
    assert_eq!(failure(&ran).kind, FailureKind::Timeout);
    open.send(Ok(())).unwrap();
    stage.block_on(ran.late.take().unwrap()).unwrap();
    let repeat = event(2, "x", r#"{"k":1}"#);
    let admission = stage.block_on(handler.admit(&repeat));
    assert!(matches!(admission, Admission::Duplicate(_)));
}
