//! Whether this process is at rest: every thread but the one that asks sleeps, and none has anything
//! on its way to wake it but time and the world outside.
//!
//! The kernel counts how often a thread gave its processor up. A thread that sleeps at two looks with
//! the same count slept all the while between them; if that holds for all of them, then there was a
//! moment, between the looks, when all slept at once. Whoever was woken by then would have shown as
//! running: waking marks the sleeper before the waker can go to sleep.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// Between the two looks: a thread that is on its way to sleep, or back, is past that place then.
const APART: Duration = Duration::from_micros(200);

/// Threads by number, each with how often it gave its processor up.
type Sleepers = BTreeMap<i32, u64>;

/// Whether every other thread slept at one moment during this call, and since then.
pub(super) fn is_at_rest() -> bool {
    let own = rustix::thread::gettid().as_raw_nonzero().get();
    let Some(before) = sleepers(own) else {
        return false;
    };
    std::thread::park_timeout(APART);
    sleepers(own).is_some_and(|after| after == before)
}

/// The name of a thread that does not sleep, if there is one.
pub(super) fn awake() -> Option<String> {
    let own = rustix::thread::gettid().as_raw_nonzero().get();
    tids().find_map(|tid| {
        let awake = tid != own && sleeping(tid).is_none();
        let name = fs::read_to_string(format!("/proc/self/task/{tid}/comm")).ok()?;
        awake.then(|| name.trim().to_owned())
    })
}

/// `None` when one of them does not sleep.
fn sleepers(own: i32) -> Option<Sleepers> {
    tids()
        .filter(|tid| *tid != own)
        .map(|tid| Some((tid, sleeping(tid)?)))
        .collect()
}

fn tids() -> impl Iterator<Item = i32> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok())
}

/// How often a thread that sleeps gave its processor up; one that has ended sleeps for good.
fn sleeping(tid: i32) -> Option<u64> {
    let Ok(status) = fs::read_to_string(format!("/proc/self/task/{tid}/status")) else {
        return Some(u64::MAX);
    };
    let field = |name: &str| {
        let lines = status.lines();
        let mut found = lines.filter_map(|line| Some(line.strip_prefix(name)?.trim()));
        found.next()
    };
    if !field("State:")?.starts_with(['S', 'Z', 'X']) {
        return None;
    }
    let count = |name: &str| field(name).and_then(|count| count.parse::<u64>().ok());
    Some(count("voluntary_ctxt_switches:")? + count("nonvoluntary_ctxt_switches:")?)
}
