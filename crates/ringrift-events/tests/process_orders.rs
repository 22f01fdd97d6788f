//! Start orders of operating-system processes: a publisher, three durable subscribers and a live
//! one start in a random order with random small delays around the first publish, the first open of
//! the home among them. Whatever the order, a durable subscription from the beginning misses
//! nothing, and any subscription misses nothing whose publish began after its subscribe returned;
//! nothing comes twice. (`start_orders.rs` does the same within one process.)
//!
//! `RINGRIFT_LONG=1` runs 1,000 orders instead of 50; `RINGRIFT_SEED=N` begins with that of seed N.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that fails"
)]

#[path = "process_orders/account.rs"]
mod account;
#[path = "process_orders/parts.rs"]
mod parts;
mod support;

use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use account::Account;
use parts::{Fact, Part};
use ringrift_events::clock::{Clock, ManualClock, SystemClock, Time};
use support::child::{self, Guarded};

/// Longest delay before a start, by round: all at once, close together, one after the other.
const DELAYS_MAX: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(5),
    Duration::from_millis(30),
    Duration::from_millis(100),
];

/// Orders that are played beside each other: each mostly waits for its processes.
const AT_ONCE: u64 = 3;

/// Facts told and not yet looked at.
const FACTS_MAX: usize = 10_000;

/// A round that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a child process runs; without a role there is nothing to do.
#[test]
fn child() {
    parts::run_if_child();
}

#[test]
fn processes_that_start_in_any_order_around_the_first_publish_lose_nothing() {
    let rounds = if support::is_long() { 1_000 } else { 50 };
    let first = support::number_from("RINGRIFT_SEED");
    let first = first.unwrap_or_else(|| SystemClock.random() >> 1);
    support::beside_each_other(first..first + rounds, AT_ONCE, |seed| {
        let order = order(&ManualClock::new(Time(0), seed));
        if let Err(failed) = play(&order) {
            panic!(
                "{failed}\norder: {order:?}\nrepeat with: RINGRIFT_SEED={seed} cargo test -p ringrift-events --test process_orders"
            );
        }
    });
}

/// Plays one order in a home of its own and settles its account. Answers what went wrong.
fn play(order: &[(Part, Duration)]) -> Result<(), String> {
    let folder = support::swift_folder();
    let (tell, told) = sync_channel(FACTS_MAX);
    let mut children = Vec::new();
    for (part, delay) in order {
        std::thread::park_timeout(*delay);
        children.push(start(part, folder.path(), &tell));
    }
    drop(tell);
    settle(children, &told)
}

/// Starts one part, and a thread that listens to it until it ends.
fn start(part: &Part, home: &Path, tell: &SyncSender<Fact>) -> Guarded {
    let started = child::again(&part.to_string(), home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    let mut child = Guarded(started.unwrap());
    let output = child.0.stdout.take().unwrap();
    let tell = tell.clone();
    std::thread::spawn(move || parts::read(output, &tell));
    child
}

/// Looks at what is told until nothing is owed. Answers what went wrong.
fn settle(mut children: Vec<Guarded>, told: &Receiver<Fact>) -> Result<(), String> {
    let mut account = Account::default();
    let give_up = SystemClock.monotonic() + PATIENCE;
    while !account.is_settled() {
        let left = give_up.saturating_sub(SystemClock.monotonic());
        let fact = told.recv_timeout(left);
        account.note(fact.map_err(|why| format!("{why}: {}", account.owed()))?);
        if account.gone > 0 {
            return Err(format!("a process ended: {}", account.owed()));
        }
        if account.all_began() {
            // The publisher goes on until its input is closed.
            for child in &mut children {
                drop(child.0.stdin.take());
            }
        }
    }
    drop(children);
    // What they told meanwhile could be a second delivery. Their ends close the channel.
    while let Ok(fact) = told.recv_timeout(PATIENCE) {
        account.note(fact);
    }
    account.repeated()
}

/// The parts in a random order, and how long each waits before its start.
fn order(dice: &ManualClock) -> Vec<(Part, Duration)> {
    let below = |end: usize| usize::try_from(dice.random() % end as u64).unwrap();
    let mut parts = Part::all(below(4) == 0);
    for at in (1..parts.len()).rev() {
        parts.swap(at, below(at + 1));
    }
    let longest = DELAYS_MAX[below(DELAYS_MAX.len())];
    let delay = |_: &Part| longest * u32::try_from(below(100)).unwrap() / 100;
    let delays: Vec<Duration> = parts.iter().map(delay).collect();
    parts.into_iter().zip(delays).collect()
}
