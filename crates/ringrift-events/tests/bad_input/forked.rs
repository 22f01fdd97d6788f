//! A handle used after `fork()`.
//!
//! # Soundness
//! The child uses what the parent's threads may have been using when it was forked, as a program
//! that forks by mistake does; it ends with `_exit`, and an alarm ends it if it waits for a lock
//! that nobody will give back.
#![expect(unsafe_code, reason = "fork has no safe form")]

use std::path::Path;

use ringrift_events::coded::Coded as _;

use crate::ground::Works;

/// The child of a fork publishes and reads; the parent goes on.
pub(crate) fn use_after_fork(home: &Path) {
    let works = Works::open(home);
    works.publish("{}").unwrap();
    works.stands_at(1);
    // SAFETY: see the head of this file.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: sets a timer of this process alone.
        unsafe { libc::alarm(10) };
        let published = works.publish("{}");
        let read = works.system.store().head().wait();
        let right = published.is_err_and(|error| {
            error.code() == "PUB_STORE_FAILED" && error.to_string().contains("forked")
        }) && read.is_err_and(|error| error.code() == "STORE_FORKED");
        // SAFETY: ends the child without running anything else of it.
        unsafe { libc::_exit(if right { 0 } else { 1 }) };
    }
    assert!(child > 0, "fork failed");
    let mut status = 0;
    // SAFETY: waits for the child made above; `status` is ours.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    works.publish("{}").unwrap();
    works.stands_at(2);
    works.close();
    println!("\ntold {status}");
}
