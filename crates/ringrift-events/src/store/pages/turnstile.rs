//! The turnstile: writer processes take turns, and none waits long for its own.
//!
//! It is fairness, not correctness: SQLite's own lock decides who writes. Without it the busy
//! handler leaves one of four writers waiting for a second and more. Whoever comes while nobody
//! has the turn takes it, past those who wait: handing over to a sleeping process costs more than
//! a transaction. Only when the first in line has waited [`STARVES_AFTER`] is the turn kept for
//! it. A turn whose holder died, or was stopped for longer than others wait, is taken from it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::Pid;

use super::layout::{PLACES, PlaceCells, SharedCells};
use super::shared::SharedPage;
use super::{futex, rides};
use crate::clock::{Clock, SystemClock};

/// How long the first in line lets others past: some tens of transactions.
const STARVES_AFTER: Duration = Duration::from_millis(1);

/// How often to look before getting in line: about as long as a short transaction takes.
const SPINS: u32 = 200;

/// How often a waiting process looks whether those before it died.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A ticket whose owner is not known after this long was drawn by a process that died drawing it.
const UNSIGNED_FOR: Duration = Duration::from_millis(100);

/// The line of writers before one database.
#[derive(Clone, Debug)]
pub(crate) struct Turnstile {
    shared: Arc<SharedPage>,
}

/// One turn; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Guard {
    shared: Arc<SharedPage>,
    turn: Option<u64>,
}

impl Guard {
    /// Whether this is a real turn; otherwise the caller waited long enough and goes without.
    #[cfg(test)]
    pub(crate) fn in_turn(&self) -> bool {
        self.turn.is_some()
    }
}

impl Turnstile {
    /// The turnstile on this shared page.
    pub(crate) fn new(shared: Arc<SharedPage>) -> Turnstile {
        Turnstile { shared }
    }

    /// Waits for a turn, at most `at_most`, and then goes without one. Futexes and memory only:
    /// fit for a database thread.
    pub(crate) fn enter(&self, at_most: Duration) -> Guard {
        let turn = match self.shared.cells() {
            Some(cells) if self.shared.writable() => take(cells, at_most),
            Some(_) | None => None,
        };
        Guard {
            shared: Arc::clone(&self.shared),
            turn,
        }
    }

    /// Takes the turn if it is free, or soon is; otherwise goes away.
    pub(crate) fn enter_if_free(&self) -> Option<Guard> {
        let cells = self.shared.cells().filter(|_| self.shared.writable())?;
        let turn = take_if_free(cells, number_one(cells))?;
        Some(Guard {
            shared: Arc::clone(&self.shared),
            turn: Some(turn),
        })
    }

    /// Wakes the first in line if nobody has the turn: see [`Guard::end_quietly`].
    pub(crate) fn rest(&self) {
        if let Some(cells) = self.shared.cells()
            && cells.holder.load(Ordering::SeqCst) == 0
        {
            wake(cells, cells.first.load(Ordering::SeqCst));
        }
    }
}

impl Guard {
    /// Ends the turn for one that may soon want another: waking a process that sleeps in line costs
    /// more than a transaction, so only one that has waited too long is woken. The others are when
    /// whoever had the turn calls [`Turnstile::rest`], or after [`STARVES_AFTER`].
    pub(crate) fn end_quietly(mut self) {
        if let (Some(turn), Some(cells)) = (self.turn.take(), self.shared.cells()) {
            // In this order: who begins to starve meanwhile looks at the holder once more.
            let ended = change(&cells.holder, turn, 0);
            if ended && cells.starving.load(Ordering::SeqCst) != 0 {
                wake(cells, cells.first.load(Ordering::SeqCst));
            } else if ended {
                rides::send_away(cells);
            }
        }
    }

    /// Makes another turn of it, unless somebody in line has waited too long or it was taken away:
    /// then it is over.
    pub(crate) fn go_on(&mut self) -> bool {
        let (Some(turn), Some(cells)) = (self.turn, self.shared.cells()) else {
            return false;
        };
        let next = number_one(cells);
        let goes_on =
            cells.starving.load(Ordering::SeqCst) == 0 && change(&cells.holder, turn, next);
        if goes_on {
            self.turn = Some(next);
        }
        goes_on
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let (Some(turn), Some(cells)) = (self.turn, self.shared.cells()) {
            end(cells, turn);
        }
    }
}

fn take(cells: &SharedCells, at_most: Duration) -> Option<u64> {
    let turn = number_one(cells);
    if let Some(turn) = take_if_free(cells, turn) {
        return Some(turn);
    }
    if is_full(cells) {
        return None;
    }
    let ticket = draw(cells);
    Line {
        cells,
        ticket,
        turn,
    }
    .wait(at_most)
    .then_some(turn)
}

/// A turn that no other is mistaken for.
fn number_one(cells: &SharedCells) -> u64 {
    let number = cells.turns.fetch_add(1, Ordering::Relaxed);
    u64::from(number) << 32 | u64::from(std::process::id())
}

/// Looks for as long as a short transaction takes, past those who do not wait too long.
fn take_if_free(cells: &SharedCells, turn: u64) -> Option<u64> {
    for _ in 0..SPINS {
        if cells.starving.load(Ordering::SeqCst) == 0 && try_take(cells, turn) {
            return Some(turn);
        }
        std::hint::spin_loop();
    }
    None
}

fn try_take(cells: &SharedCells, turn: u64) -> bool {
    cells.holder.load(Ordering::SeqCst) == 0 && change(&cells.holder, 0, turn)
}

fn change(word: &std::sync::atomic::AtomicU64, from: u64, to: u64) -> bool {
    word.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
        .is_ok()
}

/// Ends a turn, unless it was taken away already, and wakes the first in line.
fn end(cells: &SharedCells, turn: u64) {
    if change(&cells.holder, turn, 0) {
        let first = cells.first.load(Ordering::SeqCst);
        wake(cells, first);
        if first == cells.next.load(Ordering::SeqCst) {
            // Nobody writes next: who waits to go along is to do it.
            rides::send_away(cells);
        }
    }
}

/// More writers than places wait already: places would be used twice.
fn is_full(cells: &SharedCells) -> bool {
    let first = cells.first.load(Ordering::SeqCst);
    let next = cells.next.load(Ordering::SeqCst);
    next.wrapping_sub(first) as usize >= PLACES - 1
}

fn draw(cells: &SharedCells) -> u32 {
    let ticket = cells.next.fetch_add(1, Ordering::SeqCst);
    let owner = u64::from(ticket) << 32 | u64::from(std::process::id());
    place(cells, ticket).owner.store(owner, Ordering::SeqCst);
    ticket
}

/// One that waits in line.
struct Line<'a> {
    cells: &'a SharedCells,
    ticket: u32,
    turn: u64,
}

/// What was seen last of those before, and since when it is so.
struct Watched {
    holder: u64,
    first: u32,
    since: Duration,
}

impl Line<'_> {
    /// `true` with the turn; `false` when it did not come in time.
    fn wait(&self, at_most: Duration) -> bool {
        let cells = self.cells;
        let began = SystemClock.monotonic();
        let mut watched = self.watch(began);
        loop {
            let heard = place(cells, self.ticket).bell.load(Ordering::SeqCst);
            let first = cells.first.load(Ordering::SeqCst);
            let ahead = self.ticket.wrapping_sub(first).cast_signed();
            if ahead < 0 {
                // Somebody took us for dead.
                return false;
            }
            if ahead == 0 && try_take(cells, self.turn) {
                self.leave();
                return true;
            }
            let now = SystemClock.monotonic();
            let waited = now.saturating_sub(began);
            let seen = self.watch(now);
            if seen.holder != watched.holder || seen.first != watched.first {
                watched = seen;
            }
            let stuck_for = now.saturating_sub(watched.since);
            if waited >= at_most {
                self.give_up(&watched, stuck_for >= at_most / 2);
                return false;
            }
            if stuck_for > LOOK_EVERY && self.clear_the_dead(&watched, stuck_for) {
                continue;
            }
            let mut nap = LOOK_EVERY.min(at_most.saturating_sub(waited));
            if ahead == 0 {
                if waited >= STARVES_AFTER {
                    let mark = self.ticket.wrapping_add(1).max(1);
                    if cells.starving.swap(mark, Ordering::SeqCst) != mark {
                        // A turn that ended just before woke nobody.
                        continue;
                    }
                } else {
                    nap = STARVES_AFTER.saturating_sub(waited);
                }
            }
            futex::wait(&place(cells, self.ticket).bell, heard, nap);
        }
    }

    fn watch(&self, now: Duration) -> Watched {
        Watched {
            holder: self.cells.holder.load(Ordering::SeqCst),
            first: self.cells.first.load(Ordering::SeqCst),
            since: now,
        }
    }

    /// Out of the line, with the turn: the next one is first now.
    fn leave(&self) {
        vacate(self.cells, self.ticket);
        self.cells.starving.store(0, Ordering::SeqCst);
        advance(self.cells, self.ticket);
    }

    /// Out of the line without the turn. A holder that did not move for so long loses it, and so
    /// does the first in line its place if it does not take a free turn: it is stopped, and every
    /// later writer would wait as long.
    fn give_up(&self, watched: &Watched, stuck: bool) {
        vacate(self.cells, self.ticket);
        if stuck {
            change(&self.cells.holder, watched.holder, 0);
        }
        if self.cells.first.load(Ordering::SeqCst) == self.ticket {
            self.cells.starving.store(0, Ordering::SeqCst);
            advance(self.cells, self.ticket);
        } else if stuck && watched.holder == 0 {
            self.cells.starving.store(0, Ordering::SeqCst);
            advance(self.cells, watched.first);
        } else if stuck {
            wake(self.cells, watched.first);
        }
    }

    /// Takes the turn, or the first place in line, from a process that is dead.
    fn clear_the_dead(&self, watched: &Watched, stuck_for: Duration) -> bool {
        let cells = self.cells;
        if watched.holder != 0 && is_dead((watched.holder & 0xFFFF_FFFF) as u32) {
            end(cells, watched.holder);
            return true;
        }
        if watched.first != self.ticket && is_vacant(cells, watched.first, stuck_for) {
            cells.starving.store(0, Ordering::SeqCst);
            advance(cells, watched.first);
            return true;
        }
        false
    }
}

/// Makes the one after `ticket` first in line, passing over those who gave up, and wakes it.
fn advance(cells: &SharedCells, ticket: u32) {
    let mut ticket = ticket;
    for _ in 0..PLACES {
        let next = ticket.wrapping_add(1);
        let moved = cells
            .first
            .compare_exchange(ticket, next, Ordering::SeqCst, Ordering::SeqCst);
        if moved.is_err() || next == cells.next.load(Ordering::SeqCst) {
            return;
        }
        let vacated = u64::from(next) << 32;
        if place(cells, next).owner.load(Ordering::SeqCst) != vacated {
            wake(cells, next);
            return;
        }
        ticket = next;
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

/// Says that the ticket's owner no longer waits.
fn vacate(cells: &SharedCells, ticket: u32) {
    let owner = u64::from(ticket) << 32;
    place(cells, ticket).owner.store(owner, Ordering::SeqCst);
}

/// Whether the ticket's owner gave up or is dead.
fn is_vacant(cells: &SharedCells, ticket: u32, stuck_for: Duration) -> bool {
    let owner = place(cells, ticket).owner.load(Ordering::SeqCst);
    if owner >> 32 != u64::from(ticket) {
        return stuck_for > UNSIGNED_FOR;
    }
    is_dead((owner & 0xFFFF_FFFF) as u32)
}

/// Whether no process has this pid, or one that was killed and that nobody collected yet. Pids of
/// another namespace look dead: that costs fairness.
pub(super) fn is_dead(pid: u32) -> bool {
    let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return true;
    };
    rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH) || is_body(pid)
}

fn is_body(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, state)| state);
    state.is_some_and(|state| state.starts_with(['Z', 'X']))
}

fn place(cells: &SharedCells, ticket: u32) -> &PlaceCells {
    &cells.places[ticket as usize % PLACES]
}
