use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::task::Waker;

use super::*;
use crate::clock::{ManualClock, SharedClock, Time};
use crate::handler::testing::{Stage, Told, delivery, event};
use crate::handler::{Function, NotDone, Policy, Rate, StepKind, Watch};

fn run(series: &mut Series<'_>, event: &Arc<Event>) -> Step {
    let mut waker = task::Context::from_waker(Waker::noop());
    series.run(delivery(event), (), &mut waker)
}

/// Functions that fail for payloads with a field, run in place either way.
fn each_kind() -> [Function; 2] {
    let body = |context: &Context| match context.payload().as_str() {
        "{}" => Ok(()),
        r#"{"a":1}"# => panic!("no such model"),
        _ => Err(NotDone::skip("not mine")),
    };
    [
        Function::immediate(body),
        Function::asynchronous(move |context| async move { body(&context) }),
    ]
}

#[test]
fn runs_of_a_series_are_counted_and_told_each_with_its_own_outcome() {
    for function in each_kind() {
        let stage = Stage::new();
        let handler = stage.handler(function, Policy::default());
        let mut series = handler.series_now().unwrap();
        assert!(handler.series_now().is_none(), "it has the only slot");
        let payloads = ["{}", r#"{"a":1}"#, "{}", r#"{"b":1}"#];
        let codes: Vec<Code> = (1..)
            .zip(payloads)
            .map(|(id, payload)| {
                let event = event(id, "x", payload);
                let step = run(&mut series, &event);
                assert_eq!(series.event().unwrap().id, event.id);
                match step {
                    Step::Plain(_) => Code::HnOk,
                    Step::Ended(ran) => ran.outcome.code(),
                    Step::Waits(_) => panic!("nothing waits here"),
                }
            })
            .collect();
        let ends = [Code::HnOk, Code::HnPanic, Code::HnOk, Code::HnSkipped];
        assert_eq!(codes, ends);
        assert_eq!(handler.stats().running, 1);
        drop(series);
        let told = stage.notes.told();
        let started: Vec<u128> = told
            .iter()
            .filter_map(|told| match told {
                Told::Started(id) => Some(id.0.as_u128()),
                Told::Step(_) | Told::Abandoned | Told::Ended(_) => None,
            })
            .collect();
        assert_eq!(started, [1, 2, 3, 4]);
        let ended = told.iter().filter_map(|told| match told {
            Told::Ended(code) => Some(*code),
            Told::Step(_) | Told::Abandoned | Told::Started(_) => None,
        });
        assert_eq!(ended.collect::<Vec<Code>>(), ends);
        let stats = handler.stats();
        assert_eq!(
            (stats.success_count, stats.panics_count, stats.skipped_count),
            (2, 1, 1)
        );
        assert_eq!((stats.running, handler.free_slots()), (0, 1));
    }
}

#[test]
fn a_context_that_is_kept_stays_what_it_was() {
    let stage = Stage::new();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keeping = Arc::clone(&kept);
    let handler = stage.handler(
        Function::immediate(move |context| {
            context.step(StepKind::Db, &context.event().id.to_string());
            keeping.lock().unwrap().push(context.clone());
            Ok(())
        }),
        Policy::default(),
    );
    let mut series = handler.series_now().unwrap();
    for id in 1..=3 {
        let Step::Ended(ran) = run(&mut series, &event(id, "x", "{}")) else {
            panic!("what it told would be lost");
        };
        let step = format!("db:{}", event(id, "x", "{}").id);
        assert_eq!(ran.step.as_deref(), Some(&*step));
    }
    let kept = kept.lock().unwrap();
    let ids: Vec<u128> = kept.iter().map(|one| one.event().id.0.as_u128()).collect();
    assert_eq!(ids, [1, 2, 3]);
}

#[test]
fn what_a_run_told_is_not_the_next_ones() {
    let stage = Stage::new();
    let handler = stage.handler(
        Function::immediate(|context| {
            if context.payload().as_str() != "{}" {
                context.step(StepKind::Db, "insert");
                context.lacks_field("k");
            }
            Ok(())
        }),
        Policy::default(),
    );
    let mut series = handler.series_now().unwrap();
    let Step::Ended(ran) = run(&mut series, &event(1, "x", r#"{"a":1}"#)) else {
        panic!("it told something");
    };
    assert_eq!(ran.missing_field.unwrap().field, "k");
    let next = run(&mut series, &event(2, "x", "{}"));
    assert!(matches!(next, Step::Plain(_)), "{next:?}");
}

#[test]
fn a_run_that_waits_takes_the_ticket_along_and_its_limit_counts_from_its_begin() {
    let clock = Arc::new(ManualClock::new(Time(0), 1));
    let stage = Stage::with(Arc::clone(&clock) as SharedClock, Duration::from_secs(60));
    let limit = Duration::from_secs(60);
    let moving = Arc::clone(&clock);
    let handler = stage.handler(
        Function::asynchronous(move |_| {
            // Longer than the limit before it waits for the first time.
            moving.advance(limit);
            pending()
        }),
        Policy {
            time_limit: limit,
            ..Policy::default()
        },
    );
    let mut series = handler.series_now().unwrap();
    let Step::Waits(waiting) = run(&mut series, &event(1, "x", "{}")) else {
        panic!("it waits for ever");
    };
    drop(series);
    assert_eq!((handler.free_slots(), handler.stats().running), (0, 1));
    let ran = stage.block_on(waiting.end());
    assert_eq!(ran.outcome.code(), Code::HnTimeout);
    assert_eq!((handler.free_slots(), handler.stats().running), (1, 0));
    let ended = Told::Ended(Code::HnTimeout);
    assert_eq!(stage.notes.told()[1..], [ended]);
}

#[test]
fn a_run_that_waits_is_given_up_with_its_future() {
    let stage = Stage::new();
    let handler = stage.handler(Function::asynchronous(|_| pending()), Policy::default());
    let mut series = handler.series_now().unwrap();
    let step = run(&mut series, &event(1, "x", "{}"));
    drop(series);
    drop(step);
    let ended = Told::Ended(Code::HnAbandoned);
    assert_eq!(stage.notes.told()[1..], [ended]);
    assert_eq!((handler.free_slots(), handler.stats().running), (1, 0));
}

#[test]
fn the_watch_names_the_event_that_holds_the_thread_and_dates_it_from_its_own_begin() {
    let clock = Arc::new(ManualClock::new(Time(0), 1));
    let stage = Stage::new();
    let watch = Watch::new(
        Arc::clone(&clock) as SharedClock,
        Duration::from_secs(1),
        Box::new(|_| {}),
    );
    let host = Arc::new(super::super::Host {
        clock: Arc::clone(&clock) as SharedClock,
        watch: Arc::clone(&watch),
        ..super::super::Host::clone(&stage.host)
    });
    let held = Arc::new(Mutex::new(Vec::new()));
    let (moving, seen) = (Arc::clone(&clock), Arc::clone(&held));
    let function = Function::immediate(move |_| {
        moving.advance(Duration::from_millis(900));
        watch.look();
        let now = watch.held();
        seen.lock().unwrap().extend(now);
        moving.advance(Duration::from_millis(900));
        watch.look();
        seen.lock().unwrap().extend(watch.held());
        Ok(())
    });
    let handler = Handler::new("evaluator", function, Policy::default(), host);
    let mut series = handler.series_now().unwrap();
    for id in [1, 2] {
        run(&mut series, &event(id, "x", "{}"));
    }
    let held = held.lock().unwrap();
    let told: Vec<(u128, u64)> = held
        .iter()
        .map(|stall| (stall.event.0.as_u128(), stall.held_ms))
        .collect();
    assert_eq!(told, [(1, 1_800), (2, 1_800)]);
}

#[test]
fn what_may_wait_for_a_policy_is_not_run_in_series() {
    let stage = Stage::new();
    let plain = || Function::immediate(|_| Ok(()));
    let waiting = || Function::asynchronous(|_| async { Ok(()) });
    let is = |function, policy| stage.handler(function, policy).runs_in_series();
    let many = Policy {
        concurrency: 4,
        ..Policy::default()
    };
    assert!(is(plain(), Policy::default()) && is(waiting(), Policy::default()));
    assert!(is(plain(), many.clone()) && !is(waiting(), many));
    let rate = Rate {
        events: 1,
        per: Duration::from_secs(1),
    };
    let paced = Policy {
        rate: Some(rate),
        ..Policy::default()
    };
    assert!(!is(plain(), paced));
    let keyed = Policy {
        dedup: Some(crate::handler::Dedup::by(["k"])),
        ..Policy::default()
    };
    assert!(!is(plain(), keyed));
    assert!(!is(Function::blocking(|_| Ok(())), Policy::default()));
}

#[test]
fn what_came_of_runs_is_told_before_the_next_one_holds_it_back_for_long() {
    let clock = Arc::new(ManualClock::new(Time(0), 1));
    let stage = Stage::with(Arc::clone(&clock) as SharedClock, Duration::from_secs(60));
    let (moving, told) = (Arc::clone(&clock), Arc::new(AtomicUsize::new(0)));
    let (notes, counted) = (Arc::clone(&stage.notes), Arc::clone(&told));
    let handler = stage.handler(
        Function::immediate(move |_| {
            let is_end = |told: &Told| matches!(told, Told::Ended(_));
            let ended = notes.told().iter().filter(|told| is_end(told)).count();
            counted.store(ended, Ordering::Relaxed);
            moving.advance(TOLD_WITHIN);
            Ok(())
        }),
        Policy::default(),
    );
    let mut series = handler.series_now().unwrap();
    for id in 1..=u128::from(TOLD_SINGLY) {
        run(&mut series, &event(id, "x", "{}"));
        assert_eq!(
            told.load(Ordering::Relaxed),
            usize::try_from(id).unwrap() - 1
        );
    }
    let at_once = usize::try_from(TOLD_SINGLY).unwrap();
    for id in 0..5 {
        run(&mut series, &event(100 + id, "x", "{}"));
    }
    let stats = handler.stats().success_count;
    assert_eq!(
        told.load(Ordering::Relaxed),
        at_once + 3,
        "all but the last two"
    );
    assert_eq!(stats, u64::from(TOLD_SINGLY) + 5);
    for id in 0..5 {
        run(&mut series, &event(200 + id, "x", "{}"));
    }
    drop(series);
    assert_eq!(handler.stats().success_count, u64::from(TOLD_SINGLY) + 10);
    let is_end = |told: &Told| matches!(told, Told::Ended(_));
    let ended = stage
        .notes
        .told()
        .iter()
        .filter(|told| is_end(told))
        .count();
    assert_eq!(ended, at_once + 10);
}
