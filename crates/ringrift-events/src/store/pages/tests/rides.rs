//! Rides between threads and between processes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{AT_MOST, Actor, Home};
use crate::clock::{Clock, SystemClock};
use crate::event::ProcessId;
use crate::store::pages::layout::RIDES;
use crate::store::pages::{Guard, RIDE_BYTES, Rides, Rode, SharedPage, Turnstile, futex};

/// Longer than a passenger waits without a look.
const LOOKS_WITHIN: Duration = Duration::from_millis(20);

struct Stop {
    _home: Home,
    database: std::path::PathBuf,
    shared: Arc<SharedPage>,
    rides: Rides,
}

impl Stop {
    fn new() -> Stop {
        let home = Home::new();
        let shared = SharedPage::open(&home.side(), ProcessId::new(&SystemClock)).unwrap();
        Stop {
            database: home.database(),
            _home: home,
            rides: Rides::new(Arc::clone(&shared)),
            shared,
        }
    }

    fn turn(&self) -> Guard {
        let turn = Turnstile::new(Arc::clone(&self.shared)).enter(AT_MOST);
        assert!(turn.in_turn());
        turn
    }

    fn until_waiting(&self, count: u32) {
        let began = SystemClock.monotonic();
        while self.rides.waiting() < count {
            assert!(SystemClock.monotonic().saturating_sub(began) < AT_MOST);
            std::thread::yield_now();
        }
    }

    /// How many of so many can go along at once.
    fn go_along(&self, count: usize) -> usize {
        let turn = self.turn();
        let taken = std::thread::scope(|scope| {
            let riding: Vec<_> = (0..count)
                .map(|_| scope.spawn(|| self.rides.ride(b"one")))
                .collect();
            let mut taken = Vec::new();
            while taken.len() + riding.iter().filter(|one| one.is_finished()).count() < count {
                taken.extend(self.rides.take());
                std::thread::yield_now();
            }
            let along = taken.len();
            for (passenger, seq) in taken.into_iter().zip(1..) {
                passenger.arrive(seq, 0);
            }
            let ended = riding.into_iter().map(|one| one.join().unwrap());
            assert_eq!(ended.filter(|rode| *rode != Rode::Not).count(), along);
            along
        });
        drop(turn);
        taken
    }
}

#[test]
fn whoever_has_the_turn_answers_those_who_go_along() {
    let stop = Stop::new();
    let turn = stop.turn();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| stop.rides.ride(b"the first"));
        stop.until_waiting(1);
        let second = scope.spawn(|| stop.rides.ride(&[7; RIDE_BYTES]));
        stop.until_waiting(2);
        for passenger in stop.rides.take() {
            let seq = match passenger.bytes() {
                b"the first" => 1,
                bytes => i64::try_from(bytes.len()).unwrap(),
            };
            passenger.arrive(seq, 5);
        }
        assert_eq!(first.join().unwrap(), Rode::Committed { seq: 1, at: 5 });
        let seq = i64::try_from(RIDE_BYTES).unwrap();
        assert_eq!(second.join().unwrap(), Rode::Committed { seq, at: 5 });
    });
    assert_eq!(stop.rides.waiting(), 0);
    drop(turn);
}

#[test]
fn nobody_rides_where_nobody_has_the_turn_or_with_too_much() {
    let stop = Stop::new();
    assert_eq!(stop.rides.ride(b"one"), Rode::Not);
    let _turn = stop.turn();
    assert_eq!(stop.rides.ride(&[0; RIDE_BYTES + 1]), Rode::Not);
    assert_eq!(stop.rides.waiting(), 0);
}

#[test]
fn a_passenger_that_is_put_down_or_left_behind_writes_for_itself_at_once() {
    let stop = Stop::new();
    let mut took = Vec::new();
    for is_taken in [true, false].repeat(20) {
        let turn = stop.turn();
        std::thread::scope(|scope| {
            let riding = scope.spawn(|| stop.rides.ride(b"one"));
            stop.until_waiting(1);
            // It sleeps by now.
            futex::pause(Duration::from_millis(1));
            let began = SystemClock.monotonic();
            if is_taken {
                drop(stop.rides.take());
            }
            turn.end_quietly();
            assert_eq!(riding.join().unwrap(), Rode::Not);
            took.push(SystemClock.monotonic().saturating_sub(began));
        });
        stop.rides.take();
    }
    took.sort();
    assert!(took[took.len() / 2] < LOOKS_WITHIN / 2, "{took:?}");
}

#[test]
fn a_driver_that_does_not_know_says_so() {
    let stop = Stop::new();
    let turn = stop.turn();
    std::thread::scope(|scope| {
        let riding = scope.spawn(|| stop.rides.ride(b"one"));
        stop.until_waiting(1);
        for passenger in stop.rides.take() {
            passenger.leave_unsure();
        }
        assert_eq!(riding.join().unwrap(), Rode::Unknown);
    });
    drop(turn);
    assert_eq!(stop.go_along(RIDES), RIDES);
}

#[test]
fn what_is_not_what_was_put_in_goes_back() {
    let stop = Stop::new();
    let turn = stop.turn();
    std::thread::scope(|scope| {
        let riding = scope.spawn(|| stop.rides.ride(b"one and two"));
        stop.until_waiting(1);
        for ride in &stop.shared.cells().unwrap().rides {
            ride.data[1].store(7, Ordering::SeqCst);
        }
        assert_eq!(stop.rides.take().len(), 0);
        assert_eq!(riding.join().unwrap(), Rode::Not);
    });
    drop(turn);
}

#[test]
fn a_ride_that_was_given_up_is_free_once_its_driver_has_put_it_down() {
    let stop = Stop::new();
    let turn = stop.turn();
    let taken = std::thread::scope(|scope| {
        let riding = scope.spawn(|| stop.rides.ride(b"one"));
        stop.until_waiting(1);
        let taken = stop.rides.take();
        assert_eq!(riding.join().unwrap(), Rode::Unknown);
        taken
    });
    drop(turn);
    assert_eq!(stop.go_along(RIDES), RIDES - 1);
    for passenger in taken {
        passenger.arrive(1, 1);
    }
    assert_eq!(stop.go_along(RIDES), RIDES);
}

#[test]
fn the_rides_of_killed_processes_are_free_again() {
    let stop = Stop::new();
    let turn = stop.turn();
    let mut passenger = Actor::start("rides", &stop.database);
    passenger.hear("rides");
    stop.until_waiting(1);
    passenger.kill();
    passenger.child.wait().unwrap();
    drop(turn);

    let mut driver = Actor::start("drives", &stop.database);
    driver.hear("drives");
    std::thread::scope(|scope| {
        let riding = scope.spawn(|| stop.rides.ride(b"one"));
        driver.hear("has it");
        driver.kill();
        driver.child.wait().unwrap();
        assert_eq!(riding.join().unwrap(), Rode::Unknown);
    });
    assert_eq!(stop.go_along(RIDES), RIDES);
}
