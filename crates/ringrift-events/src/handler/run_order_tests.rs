use super::*;

#[test]
fn the_process_limit_holds_over_all_handlers_and_is_taken_after_the_handlers_own() {
    let stage = Stage::new();
    let host = Arc::new(Host {
        in_flight: Arc::new(tokio::sync::Semaphore::new(1)),
        ..Host::clone(&stage.host)
    });
    let make = |name| {
        let function = Function::asynchronous(|_| pending());
        Handler::new(name, function, Policy::default(), Arc::clone(&host))
    };
    let (one, other) = (make("one"), make("other"));
    let held = one.turn_now().unwrap();
    assert!(one.turn_now().is_none());
    assert!(other.turn_now().is_none());
    assert_eq!(other.waits_for(), Some(Code::WtProcessLimit));
    assert_eq!(other.free_slots(), 1, "a refused turn gives the slot back");
    drop(held);
    assert!(other.turn_now().is_some());
}

// B5, B6: see the dedup room's own tests for the keys.
#[test]
fn dedup_comes_before_rate_and_concurrency_so_a_duplicate_waits_for_neither() {
    let stage = Stage::new();
    let handler = stage.handler(
        Function::immediate(|_| Ok(())),
        Policy {
            dedup: Some(Dedup::by(["k"])),
            rate: Some(Rate {
                events: 1,
                per: Duration::from_secs(3_600),
            }),
            ..Policy::default()
        },
    );
    let first = event(1, "x", r#"{"k":1}"#);
    assert_eq!(stage.run(&handler, &first).outcome, Outcome::Done);
    let _busy = handler.slots.clone().try_acquire_owned().unwrap();
    let repeat = event(2, "x", r#"{"k":1}"#);
    let admission = stage.block_on(handler.admit(&repeat));
    let Admission::Duplicate(Outcome::Duplicate { original, key, .. }) = admission else {
        panic!("expected a duplicate");
    };
    assert_eq!((original, key.as_str()), (first.id, "x|k=1"));
    assert_eq!(handler.stats().events_deduplicated, 1);
}

#[test]
fn rate_comes_before_concurrency_so_waiting_for_it_holds_no_slot() {
    let stage = Stage::new();
    let handler = stage.handler(
        Function::immediate(|_| Ok(())),
        Policy {
            rate: Some(Rate {
                events: 1,
                per: Duration::from_secs(3_600),
            }),
            ..Policy::default()
        },
    );
    stage.run(&handler, &event(1, "x", "{}"));
    let next = event(2, "x", "{}");
    stage.block_on(async {
        let waiting = tokio::time::timeout(LIMIT, handler.admit(&next));
        assert!(waiting.await.is_err(), "the rate holds it back");
    });
    assert_eq!(handler.free_slots(), 1);
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

#[test]
fn a_missing_key_field_is_named_and_the_event_is_no_duplicate() {
    let stage = Stage::new();
    let handler = stage.handler(
        Function::immediate(|_| Ok(())),
        Policy {
            dedup: Some(Dedup::by(["config_key"])),
            ..Policy::default()
        },
    );
    for id in [1, 2] {
        let ran = stage.run(&handler, &event(id, "x", "{}"));
        assert_eq!(ran.outcome, Outcome::Done);
        assert_eq!(ran.missing_field.unwrap().field, "config_key");
    }
}
