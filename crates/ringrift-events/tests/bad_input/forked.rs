//! A handle used after `fork()`.
//!
//! # Soundness
//! The child uses what the parent's threads may have been using when it was forked, as a program
//! that forks by mistake does; it ends with `_exit`, and an alarm ends it if it waits for a lock
//! that nobody will give back.
#![expect(unsafe_code, reason = "fork has no safe form")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ringrift_events::coded::Coded as _;
use ringrift_events::handler::Function;
use ringrift_events::router::{Publish, Subscribe};
use ringrift_events::system::System;

use crate::ground::{Works, open_with};
use crate::over::Over;

/// Forks under load: each finds the parent's threads somewhere else.
const FORKS: usize = 150;

/// Longest a child may take for what it is refused at once, in seconds.
const CHILD_SECONDS_MAX: u32 = 10;

/// What is published meanwhile is compared with one page of the log: beyond this there are fewer
/// forks.
const PUBLISHED_MAX: usize = 8_000;

fn publish() -> Publish {
    Publish::new("TRAINING_COMPLETED", "{}")
}

/// Whether a forked child is refused everything, each by its code.
fn is_refused_all(system: &System) -> bool {
    let router = system.router();
    let subscribe = Subscribe::live("child").to(["*"]);
    let codes = [
        router.publish(publish()).err().map(|error| error.code()),
        router
            .publish_blocking(publish())
            .err()
            .map(|error| error.code()),
        router
            .publish_many(vec![publish(); 2])
            .err()
            .map(|error| error.code()),
        router
            .subscribe(subscribe, Function::blocking(|_| Ok(())))
            .err()
            .map(|error| error.code()),
        system.store().head().wait().err().map(|error| error.code()),
    ];
    // It is not the child's to end.
    system.shutdown(Duration::from_secs(3_600));
    codes.iter().all(|code| *code == Some("STORE_FORKED"))
}

/// How a child of this process ends that uses the parent's system, which it also lets go of.
fn child_of(system: &System) -> i32 {
    // SAFETY: see the head of this file.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: sets a timer of this process alone.
        unsafe { libc::alarm(CHILD_SECONDS_MAX) };
        let code = i32::from(!is_refused_all(system));
        // SAFETY: the original is not used again in this process.
        drop(unsafe { std::ptr::read(system) });
        // SAFETY: ends the child without running anything else of it.
        unsafe { libc::_exit(code) };
    }
    assert!(child > 0, "fork failed");
    let mut status = 0;
    // SAFETY: waits for the child made above; `status` is ours.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    status
}

/// The child of a fork publishes, subscribes, reads and ends; the parent goes on.
pub(crate) fn use_after_fork(home: &Path) {
    let works = Works::open(home);
    works.publish("{}").unwrap();
    works.stands_at(1);
    let status = child_of(&works.system);
    works.publish("{}").unwrap();
    works.stands_at(2);
    works.close();
    println!("\ntold {status}");
}

/// The same, while every lock of the parent's may be held and no publish has room.
pub(crate) fn fork_under_load(home: &Path) {
    let works = Works::over(open_with(home, &["publish.in_flight_max=1"]).unwrap());
    let (stop, published) = (AtomicBool::new(false), AtomicUsize::new(0));
    let count = |ended: bool| published.fetch_add(usize::from(ended), Ordering::SeqCst);
    let goes_on = || !stop.load(Ordering::SeqCst);
    let unlike = std::thread::scope(|scope| {
        let _over = Over(&stop);
        for _ in 0..2 {
            scope.spawn(|| {
                while goes_on() {
                    count(works.publish("{}").is_ok());
                }
            });
        }
        scope.spawn(|| {
            while goes_on() {
                count(works.system.router().publish(publish()).is_ok());
                let unknown = Publish::new("NO_SUCH_TYPE", "{}");
                assert!(works.system.router().publish(unknown).is_err());
                works.system.store().head().wait().unwrap();
            }
        });
        let is_room = |_: &usize| published.load(Ordering::SeqCst) < PUBLISHED_MAX;
        let mut ended = (0..FORKS)
            .take_while(is_room)
            .map(|_| child_of(&works.system));
        ended.find(|status| *status != 0)
    });
    assert_eq!(unlike, None, "how a child ended");
    works.stands_at(published.into_inner());
    works.close();
    println!("\ntold whole");
}
