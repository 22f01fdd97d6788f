use super::*;
use crate::clock::{ManualClock, Time};
use crate::handler::testing::{event, until};
use crate::store::records::StallClass;

type Seen = Arc<Mutex<Vec<(&'static str, Stall)>>>;

fn noting(seen: &Seen) -> Report {
    let seen = Arc::clone(seen);
    Box::new(move |noticed| {
        let mut seen = seen.lock().unwrap();
        match noticed {
            Noticed::Began(stall) => seen.push(("began", stall.clone())),
            Noticed::Lasts(stall) => seen.push(("lasts", stall.clone())),
            Noticed::Ended(stall) => seen.push(("ended", stall.clone())),
            Noticed::Now(_) => {}
        }
    })
}

fn enter(watch: &Arc<Watch>, name: &str, event: &Event) -> Stay {
    let of = (SubscriptionId(4), &Arc::from(name));
    watch.enter(watch.clock.monotonic(), of, event)
}

fn watch(limit: Duration) -> (Arc<ManualClock>, Seen, Arc<Watch>) {
    let clock = Arc::new(ManualClock::new(Time(0), 1));
    let seen = Seen::default();
    let report = noting(&seen);
    let watch = Watch::new(Arc::clone(&clock) as SharedClock, limit, report);
    (clock, seen, watch)
}

#[test]
fn a_handler_that_holds_its_thread_is_named_once_while_it_lasts_and_at_its_end() {
    let (clock, seen, watch) = watch(HELD_MAX);
    let event = event(5, "training_completed", "{}");
    let stay = enter(&watch, "evaluator", &event);
    clock.advance(HELD_MAX);
    watch.look();
    assert!(seen.lock().unwrap().is_empty(), "not longer than the limit");
    for by in [Duration::from_millis(1), HELD_MAX * LASTS, HELD_MAX] {
        clock.advance(by);
        watch.look();
        watch.look();
    }
    drop(stay);
    clock.advance(HELD_MAX);
    watch.look();
    watch.look();
    let seen = seen.lock().unwrap();
    let told: Vec<(&str, u64)> = seen.iter().map(|one| (one.0, one.1.held_ms)).collect();
    assert_eq!(told, [("began", 1_001), ("lasts", 6_001), ("ended", 7_001)]);
    let stall = &seen[0].1;
    assert_eq!(
        (stall.handler.as_str(), stall.event),
        ("evaluator", event.id)
    );
    assert_eq!(stall.event_type, event.event_type);
    assert_eq!(stall.subscription, Some(SubscriptionId(4)));
    assert_ne!(stall.tid, 0);
    assert!(stall.state.is_some());
}

#[test]
fn what_ended_just_before_the_stop_or_lasts_beyond_it_is_told() {
    let limit = Duration::from_secs(60);
    let (clock, seen, watch) = watch(limit);
    watch.start(None).unwrap();
    let event = event(5, "training_completed", "{}");
    let stay = enter(&watch, "ended", &event);
    let lasting = {
        let (go_on, told) = std::sync::mpsc::sync_channel::<()>(0);
        let (watch, event) = (Arc::clone(&watch), event.clone());
        let (tell, entered) = std::sync::mpsc::sync_channel(0);
        let thread = std::thread::spawn(move || {
            let stay = enter(&watch, "lasting", &event);
            tell.send(()).unwrap();
            told.recv().unwrap_err();
            drop(stay);
        });
        entered.recv().unwrap();
        (go_on, thread)
    };
    clock.advance(limit * 2);
    watch.look();
    drop(stay);
    watch.stop();
    watch.stop();
    let told = seen.lock().unwrap();
    let of = |name: &str| -> Vec<&str> {
        let of = told.iter().filter(|one| one.1.handler == name);
        of.map(|one| one.0).collect()
    };
    assert_eq!(of("ended"), ["began", "ended"]);
    assert_eq!(of("lasting"), ["began", "lasts"]);
    drop(lasting.0);
    lasting.1.join().unwrap();
}

#[test]
fn a_handler_that_yields_in_time_is_never_named_however_long_it_runs() {
    let (clock, seen, watch) = watch(HELD_MAX);
    let event = event(5, "training_completed", "{}");
    for _ in 0..100 {
        let stay = enter(&watch, "evaluator", &event);
        clock.advance(HELD_MAX / 2);
        watch.look();
        drop(stay);
    }
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn an_outer_handler_has_its_thread_back_when_the_inner_one_ends() {
    let (clock, seen, watch) = watch(HELD_MAX);
    let event = event(5, "training_completed", "{}");
    let _outer_stay = enter(&watch, "outer", &event);
    clock.advance(HELD_MAX);
    drop(enter(&watch, "inner", &event));
    clock.advance(HELD_MAX);
    watch.look();
    let seen = seen.lock().unwrap();
    assert_eq!(
        (seen[0].1.handler.as_str(), seen[0].1.held_ms),
        ("outer", 2_000)
    );
}

#[test]
fn a_thread_that_has_ended_leaves_nothing_behind() {
    let (_, _, watch) = watch(HELD_MAX);
    let met = {
        let watch = Arc::clone(&watch);
        std::thread::spawn(move || drop(enter(&watch, "gone", &event(1, "x", "{}"))))
    };
    met.join().unwrap();
    watch.look();
    assert!(lock(&watch.lanes).is_empty());
}

#[test]
fn the_watching_thread_tells_what_keeps_a_thread_by_itself_and_stops_when_told() {
    let clock: SharedClock = Arc::new(crate::clock::SystemClock);
    let seen = Seen::default();
    let watch = Watch::new(clock, Duration::from_millis(200), noting(&seen));
    watch.start(None).unwrap();
    watch.start(None).unwrap();
    let held = |name: &str, busy: &dyn Fn()| {
        let stay = enter(&watch, name, &event(1, "x", "{}"));
        until("the stall is told", || {
            busy();
            seen.lock().unwrap().iter().any(|one| one.1.handler == name)
        });
        drop(stay);
        until("its end is told", || {
            let seen = seen.lock().unwrap();
            seen.iter()
                .any(|one| one.0 == "ended" && one.1.handler == name)
        });
    };
    let spin = |rounds: u64| {
        let sum = (0..rounds).fold(7_u64, |sum, n| std::hint::black_box(sum ^ n));
        assert_ne!(sum, u64::MAX);
    };
    held("computes", &|| {
        // Far longer than the pauses of `until`.
        spin(3_000_000);
    });
    held("waits", &|| {});
    watch.stop();
    watch.stop();
    assert!(lock(&watch.thread).is_none());
    let seen = seen.lock().unwrap();
    let class = |name: &str| {
        let ended = seen
            .iter()
            .find(|one| one.0 == "ended" && one.1.handler == name);
        ended.unwrap().1.class
    };
    assert_eq!(class("computes"), StallClass::Cpu);
    assert_ne!(class("waits"), StallClass::Cpu);
}

#[test]
fn a_loop_that_is_measured_elsewhere_is_told_like_a_thread() {
    let (_, seen, watch) = watch(HELD_MAX);
    let stall = Stall {
        subscription: None,
        handler: "on_event".to_owned(),
        event: event(5, "x", "{}").id,
        seq: None,
        event_type: event(5, "x", "{}").event_type.clone(),
        since: Time(0),
        held_ms: 1_200,
        class: StallClass::Io,
        cpu_ms: None,
        thread: "asyncio".to_owned(),
        tid: 7,
        state: None,
        syscall: None,
        object: Some("/tmp/fifo".to_owned()),
        place: Some("model.py:41".to_owned()),
    };
    let held = watch.foreign(stall.clone());
    let later = Stall {
        held_ms: 2_000,
        ..stall.clone()
    };
    held.update(later.clone());
    drop(held);
    assert_eq!(*seen.lock().unwrap(), [("began", stall), ("ended", later)]);
}
