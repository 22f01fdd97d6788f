//! The turnstile: writer processes take turns in the order in which they came.
//!
//! It is fairness, not correctness: SQLite's own lock decides who writes. Without it the busy
//! handler leaves one of four writers waiting for a second and more. A turn that somebody does
//! not take, because it died, was stopped or gave up, is passed over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::Pid;

use super::futex;
use super::layout::{PLACES, SharedCells};
use super::shared::SharedPage;
use crate::clock::{Clock, SystemClock};

/// How long to spin before sleeping: about as long as handing over takes.
const SPINS: u32 = 200;

/// How often a waiting process looks whether the one before it died.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A ticket whose owner is not known after this long was drawn by a process that died drawing it.
const UNSIGNED_FOR: Duration = Duration::from_millis(100);

/// The line of writers before one database.
#[derive(Clone, Debug)]
pub(crate) struct Turnstile {
    shared: Arc<SharedPage>,
}

/// One turn; the next comes when it is dropped.
#[derive(Debug)]
pub(crate) struct Guard {
    shared: Arc<SharedPage>,
    ticket: Option<u32>,
}

impl Guard {
    /// Whether this is a real turn; otherwise the caller waited long enough and goes without.
    #[cfg(test)]
    pub(crate) fn in_turn(&self) -> bool {
        self.ticket.is_some()
    }
}

impl Turnstile {
    /// The turnstile on this shared page.
    pub(crate) fn new(shared: Arc<SharedPage>) -> Turnstile {
        Turnstile { shared }
    }

    /// Waits for this thread's turn, at most `at_most`, and then goes without one. Futexes and
    /// memory only: fit for a database thread.
    pub(crate) fn enter(&self, at_most: Duration) -> Guard {
        let ticket = self.shared.cells().and_then(|cells| {
            if !self.shared.writable() || is_full(cells) {
                return None;
            }
            let ticket = draw(cells);
            wait_for_turn(cells, ticket, at_most).then_some(ticket)
        });
        Guard {
            shared: Arc::clone(&self.shared),
            ticket,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let (Some(ticket), Some(cells)) = (self.ticket, self.shared.cells()) {
            give_up(cells, ticket);
            pass(cells, ticket);
        }
    }
}

/// More writers than places wait already: places would be used twice.
fn is_full(cells: &SharedCells) -> bool {
    let serving = cells.serving.load(Ordering::SeqCst);
    let next = cells.next.load(Ordering::SeqCst);
    next.wrapping_sub(serving) as usize >= PLACES - 1
}

fn draw(cells: &SharedCells) -> u32 {
    let ticket = cells.next.fetch_add(1, Ordering::SeqCst);
    let owner = u64::from(ticket) << 32 | u64::from(std::process::id());
    place(cells, ticket).owner.store(owner, Ordering::SeqCst);
    ticket
}

/// `true` when the turn came; `false` when it was passed over or did not come in time, and then
/// the ticket is given up.
fn wait_for_turn(cells: &SharedCells, ticket: u32, at_most: Duration) -> bool {
    for _ in 0..SPINS {
        match turn(cells, ticket) {
            Turn::Now => return true,
            Turn::Past => return false,
            Turn::Later => std::hint::spin_loop(),
        }
    }
    let began = SystemClock.monotonic();
    let mut watched = (cells.serving.load(Ordering::SeqCst), began);
    loop {
        let heard = place(cells, ticket).bell.load(Ordering::SeqCst);
        match turn(cells, ticket) {
            Turn::Now => return true,
            Turn::Past => return false,
            Turn::Later => {}
        }
        let now = SystemClock.monotonic();
        let serving = cells.serving.load(Ordering::SeqCst);
        if serving != watched.0 {
            watched = (serving, now);
        }
        let stuck_for = now.saturating_sub(watched.1);
        if now.saturating_sub(began) >= at_most {
            give_up(cells, ticket);
            // Whoever had the turn all that time is passed over for everybody; and if the turn
            // came just now, it goes on to the next.
            if stuck_for >= at_most / 2 {
                pass(cells, serving);
            }
            pass_if_gone(cells);
            return false;
        }
        if stuck_for > LOOK_EVERY && is_gone(cells, serving, stuck_for) {
            pass(cells, serving);
            continue;
        }
        futex::wait(&place(cells, ticket).bell, heard, LOOK_EVERY);
    }
}

enum Turn {
    Now,
    Later,
    Past,
}

fn turn(cells: &SharedCells, ticket: u32) -> Turn {
    let ahead = ticket
        .wrapping_sub(cells.serving.load(Ordering::SeqCst))
        .cast_signed();
    match ahead {
        0 => Turn::Now,
        1.. => Turn::Later,
        _ => Turn::Past,
    }
}

/// Ends the turn of `ticket`, if it has it, and wakes the next one that still wants its turn.
fn pass(cells: &SharedCells, ticket: u32) {
    let next = ticket.wrapping_add(1);
    let ended = cells
        .serving
        .compare_exchange(ticket, next, Ordering::SeqCst, Ordering::SeqCst);
    if ended.is_ok() {
        wake(cells, next);
        pass_if_gone(cells);
    }
}

/// Passes over tickets whose owners gave up.
fn pass_if_gone(cells: &SharedCells) {
    for _ in 0..PLACES {
        let serving = cells.serving.load(Ordering::SeqCst);
        let gave_up = u64::from(serving) << 32;
        if place(cells, serving).owner.load(Ordering::SeqCst) != gave_up
            || serving == cells.next.load(Ordering::SeqCst)
        {
            return;
        }
        let next = serving.wrapping_add(1);
        let passed =
            cells
                .serving
                .compare_exchange(serving, next, Ordering::SeqCst, Ordering::SeqCst);
        if passed.is_ok() {
            wake(cells, next);
        }
    }
}

fn wake(cells: &SharedCells, ticket: u32) {
    // Nobody drew it yet: nobody sleeps on it.
    if ticket == cells.next.load(Ordering::SeqCst) {
        return;
    }
    let place = place(cells, ticket);
    place.bell.fetch_add(1, Ordering::SeqCst);
    futex::wake_all(&place.bell);
}

/// Says that the ticket's owner no longer wants its turn.
fn give_up(cells: &SharedCells, ticket: u32) {
    let owner = u64::from(ticket) << 32;
    place(cells, ticket).owner.store(owner, Ordering::SeqCst);
}

/// Whether the ticket's owner is dead. Pids of another namespace look dead: that costs fairness.
fn is_gone(cells: &SharedCells, ticket: u32, stuck_for: Duration) -> bool {
    let owner = place(cells, ticket).owner.load(Ordering::SeqCst);
    if owner >> 32 != u64::from(ticket) {
        return stuck_for > UNSIGNED_FOR;
    }
    let pid = (owner & 0xFFFF_FFFF) as u32;
    match i32::try_from(pid).ok().and_then(Pid::from_raw) {
        Some(pid) => rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH),
        None => true,
    }
}

fn place(cells: &SharedCells, ticket: u32) -> &super::layout::PlaceCells {
    &cells.places[ticket as usize % PLACES]
}
