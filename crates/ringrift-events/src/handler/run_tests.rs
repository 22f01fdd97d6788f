use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::mpsc;

use super::*;
use crate::clock::SystemClock;
use crate::handler::testing::{Stage, Told, delivery, event, ticket, until};
use crate::handler::{Admission, Dedup, Function, Host, NotDone, Policy, Rate, StepKind};
use crate::trace;

/// What each policy waits for, and in which order.
#[path = "run_order_tests.rs"]
mod order;

const LIMIT: Duration = Duration::from_millis(50);

fn limited() -> Policy {
    Policy {
        time_limit: LIMIT,
        ..Policy::default()
    }
}

fn failure(ran: &Ran) -> &Failure {
    let Outcome::Failed(failure) = &ran.outcome else {
        panic!("expected a failure, got {:?}", ran.outcome);
    };
    failure
}

/// The three kinds of function around one body.
fn each_kind(body: fn(&Context) -> Reply) -> [Function; 3] {
    [
        Function::asynchronous(move |context| async move { body(&context) }),
        Function::blocking(body),
        Function::immediate(body),
    ]
}

#[test]
fn every_kind_of_function_succeeds_in_the_trace_of_its_event() {
    let stage = Stage::new();
    let event = event(5, "training_completed", "{}");
    for function in each_kind(|context| {
        let here = trace::current().ok_or_else(|| NotDone::failed("no trace"))?;
        let event = context.event();
        if (here.trace_id, here.parent) != (event.trace_id, Some(event.id)) {
            return Err(NotDone::failed("the trace of another event"));
        }
        Ok(())
    }) {
        let handler = stage.handler(function, Policy::default());
        let ran = stage.run(&handler, &event);
        assert_eq!(ran.outcome, Outcome::Done, "{:?}", handler.kind());
        let stats = handler.stats();
        assert_eq!((stats.success_count, stats.running), (1, 0));
        assert_eq!(handler.free_slots(), 1);
    }
}

#[test]
fn a_panic_is_a_failure_with_its_place_and_the_next_event_is_handled() {
    let stage = Stage::new();
    for function in each_kind(|context| match context.payload().as_str() {
        "{}" => panic!("no such model"),
        _ => Ok(()),
    }) {
        let handler = stage.handler(function, Policy::default());
        let ran = stage.run(&handler, &event(1, "x", "{}"));
        let failure = failure(&ran);
        assert_eq!(failure.kind, FailureKind::Panic);
        let first = failure.message.lines().next().unwrap();
        assert!(first.contains("no such model, at "), "{first}");
        assert!(first.contains("run_tests.rs:"), "{first}");
        let next = stage.run(&handler, &event(2, "x", r#"{"a":1}"#));
        assert_eq!(next.outcome, Outcome::Done);
        let stats = handler.stats();
        assert_eq!((stats.panics_count, stats.errors_count), (1, 1));
    }
}

#[test]
fn an_error_whose_text_panics_is_a_panic_of_the_handler() {
    #[derive(Debug)]
    struct Bad;
    impl std::fmt::Display for Bad {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("cannot even say it")
        }
    }
    impl std::error::Error for Bad {}
    let stage = Stage::new();
    for function in each_kind(|_| Err(Bad)?) {
        let handler = stage.handler(function, Policy::default());
        let ran = stage.run(&handler, &event(1, "x", "{}"));
        assert_eq!(failure(&ran).kind, FailureKind::Panic);
    }
}

#[test]
fn skips_and_wishes_reach_the_outcome() {
    let stage = Stage::new();
    let handler = stage.handler(
        Function::immediate(|context| match context.payload().as_str() {
            r#"{"a":1}"# => Err(NotDone::skip("not mine")),
            r#"{"a":2}"# => Err(NotDone::Retry {
                after: Duration::from_secs(9),
                reason: "busy".into(),
            }),
            _ => Err(NotDone::Dead("never".into())),
        }),
        Policy::default(),
    );
    let run = |payload| stage.run(&handler, &event(1, "x", payload));
    let skipped = run(r#"{"a":1}"#).outcome;
    assert!(matches!(skipped, Outcome::Skipped { reason } if reason == "not mine"));
    let wish = failure(&run(r#"{"a":2}"#)).wish;
    assert_eq!(wish, RetryWish::After(Duration::from_secs(9)));
    assert_eq!(failure(&run("{}")).wish, RetryWish::Never);
    let stats = handler.stats();
    assert_eq!(
        (
            stats.events_processed,
            stats.skipped_count,
            stats.errors_count
        ),
        (3, 1, 2)
    );
}

#[test]
fn the_step_is_told_and_blamed() {
    let stage = Stage::new();
    let handler = stage.handler(
        Function::asynchronous(|context| async move {
            context.step(StepKind::Disk, "read model");
            context.step(StepKind::Db, "insert");
            pending().await
        }),
        limited(),
    );
    let ran = stage.run(&handler, &event(8, "x", "{}"));
    assert_eq!(failure(&ran).step.as_deref(), Some("db:insert"));
    let message = &failure(&ran).message;
    assert!(message.contains("in step db:insert"), "{message}");
    assert_eq!(
        stage.notes.told(),
        [
            Told::Started(ran_event(8)),
            Told::Step("disk:read model".into()),
            Told::Step("db:insert".into()),
            Told::Ended(Code::HnTimeout),
        ]
    );
}

fn ran_event(id: u128) -> crate::event::EventId {
    crate::event::EventId(uuid::Uuid::from_u128(id))
}

// B10: async handlers of events from other processes ran without time limit.
#[test]
fn an_async_run_is_cancelled_at_its_limit_and_names_the_setting() {
    struct Gone(Arc<AtomicBool>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let stage = Stage::new();
    let gone = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&gone);
    let handler = stage.handler(
        Function::asynchronous(move |_| {
            let gone = Gone(Arc::clone(&gone));
            async move {
                let _gone = gone;
                pending().await
            }
        }),
        limited(),
    );
    let ran = stage.run(&handler, &event(1, "x", "{}"));
    assert_eq!(failure(&ran).kind, FailureKind::Timeout);
    assert!(failure(&ran).message.contains("handler.time_limit"));
    assert!(ran.took >= LIMIT);
    assert!(ran.late.is_none());
    assert!(seen.load(Ordering::SeqCst), "the future was dropped");
    assert_eq!(handler.free_slots(), 1);
}

/// A blocking handler that ends when the test says so, with what the test says.
fn gated(stage: &Stage, policy: Policy) -> (Arc<Handler>, mpsc::SyncSender<Reply>) {
    let (open, gate) = mpsc::sync_channel::<Reply>(1);
    let gate = Mutex::new(gate);
    let function = Function::blocking(move |_| {
        let gate = gate
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        gate.recv_timeout(Duration::from_secs(10))
            .unwrap_or_else(|_| Err(NotDone::failed("the test forgot its gate")))
    });
    (stage.handler(function, policy), open)
}

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
    let message = &errors[1].message;
    assert!(
        message.contains("until it ends") && !message.contains("still"),
        "it is read after the end, too: {message}"
    );
    for setting in ["handler.time_limit", "Policy::time_limit", "--timeout"] {
        assert!(message.contains(setting), "{message}");
    }
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
fn an_async_run_that_is_dropped_gives_everything_back_and_says_so() {
    let stage = Stage::new();
    let handler = stage.handler(
        Function::asynchronous(|_| pending()),
        Policy {
            dedup: Some(Dedup::by(["k"])),
            ..Policy::default()
        },
    );
    let event = event(1, "x", r#"{"k":1}"#);
    stage.block_on(async {
        let admitted = ticket(handler.admit(&event).await);
        let run = handler.run(delivery(&event), admitted);
        assert!(tokio::time::timeout(LIMIT, run).await.is_err());
    });
    assert_eq!((handler.free_slots(), handler.stats().running), (1, 0));
    assert!(handler.keys().unwrap().is_empty());
    assert_eq!(stage.notes.told()[1], Told::Ended(Code::HnAbandoned));
}

#[test]
fn a_handler_that_blocks_a_runtime_thread_is_named_while_it_does() {
    let stage = Stage::with(Arc::new(SystemClock), Duration::from_millis(20));
    let (open, gate) = mpsc::sync_channel::<()>(1);
    let gate = Mutex::new(gate);
    let handler = stage.handler(
        Function::asynchronous(move |_| {
            // Blocking inside an async function: what the watch is for.
            let opened = gate.lock().unwrap().recv_timeout(Duration::from_secs(10));
            assert!(opened.is_ok());
            async { Ok(()) }
        }),
        Policy::default(),
    );
    let event = event(6, "x", "{}");
    let run = stage.runtime.spawn({
        let (handler, event) = (Arc::clone(&handler), Arc::clone(&event));
        async move {
            let admitted = ticket(handler.admit(&event).await);
            handler.run(delivery(&event), admitted).await
        }
    });
    until("the handler is named", || {
        stage.host.watch.look();
        let held = stage.host.watch.held();
        held.len() == 1 && *held[0].handler == **handler.name()
    });
    open.send(()).unwrap();
    let ran = stage.block_on(run).unwrap();
    assert_eq!(ran.outcome, Outcome::Done);
    stage.host.watch.look();
    assert!(stage.host.watch.held().is_empty());
}

#[test]
fn recent_errors_are_bounded_and_newest_first() {
    let stage = Stage::new();
    let handler = stage.handler(
        Function::immediate(|context| {
            let number = context.payload().as_str();
            Err(NotDone::failed(format!(
                "error {number} {}",
                "x".repeat(9_999)
            )))
        }),
        Policy::default(),
    );
    for n in 0..150_u32 {
        stage.run(&handler, &event(1, "x", &format!(r#"{{"n":{n}}}"#)));
    }
    let errors = handler.recent_errors(1_000);
    assert_eq!(errors.len(), 100);
    assert!(errors[0].message.starts_with(r#"error {"n":149}"#));
    assert!(errors.iter().all(|error| error.message.len() <= 2_048));
    assert_eq!(handler.recent_errors(3).len(), 3);
    assert_eq!(handler.stats().errors_count, 150);
    assert!(handler.stats().last_error.is_some());
}

#[test]
fn concurrency_bounds_how_many_run_at_once() {
    let stage = Stage::new();
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (now_in, most_in) = (Arc::clone(&now), Arc::clone(&most));
    let handler = stage.handler(
        Function::asynchronous(move |_| {
            let (now, most) = (Arc::clone(&now_in), Arc::clone(&most_in));
            async move {
                let here = now.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(here, Ordering::SeqCst);
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        }),
        Policy {
            concurrency: 3,
            ..Policy::default()
        },
    );
    stage.block_on(async {
        let mut runs = tokio::task::JoinSet::new();
        for id in 0..100 {
            let event = event(id, "x", "{}");
            let admitted = ticket(handler.admit(&event).await);
            let handler = Arc::clone(&handler);
            runs.spawn(async move { handler.run(delivery(&event), admitted).await });
        }
        while runs.join_next().await.is_some() {}
    });
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert_eq!(handler.stats().success_count, 100);
}
