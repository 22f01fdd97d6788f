use std::sync::Barrier;

use super::*;
use crate::clock::{ManualClock, Time};
use crate::handler::testing::event;

type Seen = Arc<Mutex<Vec<Blocked>>>;

fn watch(limit: Duration) -> (Arc<ManualClock>, Seen, Arc<Watch>) {
    let clock = Arc::new(ManualClock::new(Time(0), 1));
    let seen = Seen::default();
    let report = {
        let seen = Arc::clone(&seen);
        Box::new(move |blocked: &Blocked| seen.lock().unwrap().push(blocked.clone()))
    };
    let watch = Watch::new(Arc::clone(&clock) as SharedClock, limit, report);
    (clock, seen, watch)
}

#[test]
fn a_handler_that_holds_its_thread_is_named_once() {
    let (clock, seen, watch) = watch(HELD_MAX);
    let (name, event) = (Arc::from("evaluator"), event(5, "training_completed", "{}"));
    let stay = watch.enter(&name, &event);
    clock.advance(HELD_MAX);
    watch.look();
    assert!(seen.lock().unwrap().is_empty(), "not longer than the limit");
    clock.advance(Duration::from_millis(1));
    watch.look();
    watch.look();
    {
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!((&seen[0].handler, seen[0].event), (&name, event.id));
        assert_eq!(seen[0].event_type, event.event_type);
        assert_ne!(seen[0].tid, 0);
        assert!(seen[0].doing.is_some());
    }
    assert_eq!(watch.blocked().len(), 1);
    drop(stay);
    assert!(watch.blocked().is_empty());
}

#[test]
fn a_handler_that_yields_in_time_is_never_named_however_long_it_runs() {
    let (clock, seen, watch) = watch(HELD_MAX);
    let (name, event) = (Arc::from("evaluator"), event(5, "training_completed", "{}"));
    for _ in 0..100 {
        let stay = watch.enter(&name, &event);
        clock.advance(HELD_MAX / 2);
        watch.look();
        drop(stay);
    }
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn an_outer_handler_has_its_thread_back_when_the_inner_one_ends() {
    let (clock, _, watch) = watch(HELD_MAX);
    let (outer, inner): (Arc<str>, Arc<str>) = (Arc::from("outer"), Arc::from("inner"));
    let event = event(5, "training_completed", "{}");
    let _outer_stay = watch.enter(&outer, &event);
    clock.advance(HELD_MAX);
    drop(watch.enter(&inner, &event));
    clock.advance(HELD_MAX);
    let blocked = watch.blocked();
    assert_eq!(blocked[0].handler, outer);
    assert_eq!(blocked[0].held, HELD_MAX * 2);
}

#[test]
fn a_thread_that_has_ended_leaves_nothing_behind() {
    let (_, _, watch) = watch(HELD_MAX);
    let met = {
        let watch = Arc::clone(&watch);
        std::thread::spawn(move || drop(watch.enter(&Arc::from("gone"), &event(1, "x", "{}"))))
    };
    met.join().unwrap();
    watch.look();
    assert!(lock(&watch.lanes).is_empty());
}

#[test]
fn the_watching_thread_looks_by_itself_and_stops_when_told() {
    let clock: SharedClock = Arc::new(crate::clock::SystemClock);
    let heard = Arc::new(Barrier::new(2));
    let report = {
        let heard = Arc::clone(&heard);
        Box::new(move |_: &Blocked| {
            heard.wait();
        })
    };
    let watch = Watch::new(clock, Duration::from_millis(20), report);
    watch.start().unwrap();
    watch.start().unwrap();
    let stay = watch.enter(&Arc::from("slow"), &event(1, "x", "{}"));
    heard.wait();
    drop(stay);
    watch.stop();
    watch.stop();
    assert!(lock(&watch.thread).is_none());
}
