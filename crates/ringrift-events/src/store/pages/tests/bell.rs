//! The doorbell and the turnstile between processes.

use std::time::Duration;

use rustix::process::Signal;

use super::{Actor, Home, listen_to};
use crate::clock::{Clock, SystemClock};
use crate::event::{ProcessId, Seq};
use crate::store::pages::{Bells, SharedPage, Turnstile};

fn shared(home: &Home) -> std::sync::Arc<SharedPage> {
    SharedPage::open(&home.side(), ProcessId::new(&SystemClock)).unwrap()
}

#[test]
fn a_ring_wakes_another_process_long_before_any_poll() {
    let home = Home::new();
    let mut actor = Actor::start("listens", &home.database());
    actor.hear("ready");
    let shared = shared(&home);
    let mut took = Vec::new();
    for _ in 0..50 {
        let began = SystemClock.monotonic();
        shared.ring(Bells::WORK);
        let heard: u32 = actor.hear("heard").parse().unwrap();
        took.push(SystemClock.monotonic().saturating_sub(began));
        assert_eq!(heard, shared.rings(Bells::ALL));
    }
    took.sort();
    // Microseconds when idle; other tests share the processors. A poll comes after half a second.
    assert!(
        took[25] < Duration::from_millis(250),
        "median {:?}",
        took[25]
    );
}

#[test]
fn a_listener_that_missed_rings_returns_at_once() {
    let home = Home::new();
    let shared = shared(&home);
    let seen = shared.rings(Bells::ALL);
    shared.ring(Bells::WORK);
    let began = SystemClock.monotonic();
    assert_ne!(
        listen_to(&shared, Bells::ALL, seen, Duration::from_secs(10)),
        seen
    );
    assert!(SystemClock.monotonic().saturating_sub(began) < Duration::from_secs(5));
}

#[test]
fn a_ring_for_others_wakes_nobody_and_is_not_missed_by_those_it_is_for() {
    let home = Home::new();
    let shared = shared(&home);
    let (mine, theirs) = (Bells::of_type("training_completed"), Bells::WORK);
    let seen = shared.rings(mine);
    shared.ring(theirs);
    let short = Duration::from_millis(20);
    assert_eq!(listen_to(&shared, mine, seen, short), seen);
    assert_ne!(shared.rings(theirs), 0);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| listen_to(&shared, mine, seen, Duration::from_secs(20)));
        // Before or after it sleeps: either way it hears of it.
        shared.ring(theirs);
        shared.ring(mine.and(theirs));
        assert_ne!(waiting.join().unwrap(), seen);
    });
}

/// Rounds in which turns may go round unfairly because the machine ran somebody else: without the
/// turnstile none is fair.
const ROUNDS_MAX: usize = 20;

#[test]
fn four_writers_take_turns_fairly_and_never_two_at_once() {
    let mut rounds = Vec::new();
    while rounds.len() < ROUNDS_MAX {
        let turns = turns_of_four();
        let (least, most) = (turns.iter().min().unwrap(), turns.iter().max().unwrap());
        if least * 4 >= *most {
            return;
        }
        rounds.push(turns);
    }
    panic!("turns of each, by round: {rounds:?}");
}

/// How many turns each of four processes took beside the others; none gave one up.
fn turns_of_four() -> Vec<u64> {
    let home = Home::new();
    let mut actors: Vec<Actor> = (0..4)
        .map(|_| Actor::start("takes turns", &home.database()))
        .collect();
    for actor in &mut actors {
        actor.hear("ready");
    }
    for actor in &mut actors {
        actor.tell("go");
    }
    let turns = actors.iter_mut().map(|actor| {
        let words = actor.hear("turns");
        let numbers: Vec<u64> = words.split(' ').map(|n| n.parse().unwrap()).collect();
        assert_eq!(numbers[0], numbers[1], "a turn was given up");
        numbers[0]
    });
    turns.collect()
}

#[test]
fn a_dead_holder_of_the_turn_is_passed_over_though_nobody_collected_it() {
    let home = Home::new();
    let mut actor = Actor::start("keeps the turn", &home.database());
    assert_eq!(actor.hear("ready"), "true");
    let turnstile = Turnstile::new(shared(&home));
    actor.kill();
    let began = SystemClock.monotonic();
    assert!(turnstile.enter(super::AT_MOST).in_turn());
    let took = SystemClock.monotonic().saturating_sub(began);
    assert!(took < super::AT_MOST / 4, "waited {took:?}");
}

#[test]
fn a_stopped_holder_of_the_turn_costs_one_writer_its_wait_and_the_others_nothing() {
    let home = Home::new();
    let mut actor = Actor::start("keeps the turn", &home.database());
    assert_eq!(actor.hear("ready"), "true");
    actor.stop();
    let turnstile = Turnstile::new(shared(&home));
    let wait = Duration::from_millis(300);
    let began = SystemClock.monotonic();
    assert!(!turnstile.enter(wait).in_turn());
    assert!(SystemClock.monotonic().saturating_sub(began) >= wait);
    let began = SystemClock.monotonic();
    for _ in 0..1_000 {
        assert!(turnstile.enter(wait).in_turn());
    }
    // Had each waited, it would have taken a thousand times as long.
    assert!(SystemClock.monotonic().saturating_sub(began) < wait * 100);
    // The stopped one comes back and gives up a turn that went on long ago.
    actor.signal(Signal::CONT);
    actor.tell("go");
    actor.child.wait().unwrap();
    assert!(turnstile.enter(wait).in_turn());
}

#[test]
fn a_process_that_is_stopped_in_line_holds_up_one_writer_once() {
    let home = Home::new();
    let shared = shared(&home);
    let turnstile = Turnstile::new(std::sync::Arc::clone(&shared));
    let guard = turnstile.enter(Duration::from_secs(1));
    let mut actor = Actor::start("waits in line", &home.database());
    actor.hear("ready");
    // First in line, and starving: the turn is kept for it.
    let cells = shared.cells().unwrap();
    let began = SystemClock.monotonic();
    while cells.starving.load(std::sync::atomic::Ordering::SeqCst) == 0 {
        assert!(SystemClock.monotonic().saturating_sub(began) < super::AT_MOST);
        std::hint::spin_loop();
    }
    actor.stop();
    drop(guard);
    let wait = Duration::from_millis(300);
    assert!(!turnstile.enter(wait).in_turn());
    let began = SystemClock.monotonic();
    for _ in 0..1_000 {
        assert!(turnstile.enter(wait).in_turn());
    }
    // Had each waited, it would have taken a thousand times as long.
    assert!(SystemClock.monotonic().saturating_sub(began) < wait * 100);
    actor.signal(Signal::CONT);
    assert_eq!(actor.hear("went"), "false");
}

#[test]
fn one_that_waits_in_line_has_its_turn_though_the_holder_ended_quietly() {
    let home = Home::new();
    let shared = shared(&home);
    let turnstile = Turnstile::new(std::sync::Arc::clone(&shared));
    let guard = turnstile.enter(super::AT_MOST);
    let cells = shared.cells().unwrap();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| turnstile.enter(super::AT_MOST).in_turn());
        let began = SystemClock.monotonic();
        while cells.next.load(std::sync::atomic::Ordering::SeqCst) == 0 {
            assert!(SystemClock.monotonic().saturating_sub(began) < super::AT_MOST);
            std::thread::yield_now();
        }
        guard.end_quietly();
        assert!(second.join().unwrap());
    });
}

#[test]
fn what_is_synced_is_known_per_incarnation_and_never_goes_back() {
    let home = Home::new();
    let shared = shared(&home);
    assert_eq!(shared.synced_to(5), None);
    shared.note_synced(5, Seq(10));
    shared.note_synced(5, Seq(7));
    assert_eq!(shared.synced_to(5), Some(Seq(10)));
    assert_eq!(shared.synced_to(6), None);
    shared.note_synced(6, Seq(2));
    assert_eq!(shared.synced_to(6), Some(Seq(2)));
    assert_eq!(shared.synced_to(5), None);
    shared.poison();
    assert!(
        super::super::SharedPage::open(&home.side(), ProcessId::new(&SystemClock))
            .unwrap()
            .is_poisoned()
    );
}
