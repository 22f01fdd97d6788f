//! Rides: while one process writes, others hand their appends to it instead of waiting for a turn
//! of their own (flat combining). One commit then answers many, no writer reads again what another
//! has changed, and a caller that waits is woken once.
//!
//! It is speed, not correctness. A passenger that is not answered writes for itself, and the
//! event's id keeps it from standing in the log twice. Whatever dies or stops in between costs
//! time: the ride of a dead process is free again, and one that was given up while its driver had
//! it is not used again before that driver has put it down or is dead.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use super::futex;
use super::layout::{RIDE_WORDS, RIDES, RideCells, SharedCells};
use super::shared::SharedPage;
use super::turnstile::is_dead;
use super::words;
use crate::clock::{Clock, SystemClock};
use crate::store::spin::Spin;

/// Most bytes that ride: larger events are written by their own process.
pub(crate) const RIDE_BYTES: usize = RIDE_WORDS * 8;

/// How long a passenger looks before it sleeps: with as many processes as processors its driver is
/// done by then, with more it learns not to look.
const SPINS: Duration = Duration::from_micros(75);

/// How often a sleeping passenger looks for itself, and how long it stands waiting at most.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a passenger stays with a living driver that does not answer.
const STAYS: Duration = Duration::from_secs(1);

/// Nobody's.
const FREE: u64 = 0;
/// Its passenger puts its bytes into it.
const BOARDING: u64 = 1;
/// Somebody is to take it.
const WAITS: u64 = 2;
/// A driver has it; the word names that one instead of the passenger.
const TAKEN: u64 = 3;
/// It is committed.
const ARRIVED: u64 = 4;
/// Nothing came of it.
const RETURNED: u64 = 5;
/// Its passenger went while the driver had it.
const ABANDONED: u64 = 6;
/// Its driver does not know what came of it.
const UNSURE: u64 = 7;

/// The rides of one database, as one process uses them. Memory and futexes only: fit for any
/// thread.
#[derive(Debug)]
pub(crate) struct Rides {
    shared: Arc<SharedPage>,
    spin: Spin,
}

/// What became of a ride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rode {
    /// It was committed: its place in the log, and when, in microseconds since 1970.
    Committed {
        /// Its place.
        seq: i64,
        /// When.
        at: i64,
    },
    /// Nobody did anything with it.
    Not,
    /// Somebody had it and did not say what became of it, or does not know.
    Unknown,
}

/// Somebody's bytes in the hands of the process that writes. Dropped without an answer, its
/// passenger writes for itself.
#[derive(Debug)]
pub(crate) struct Passenger {
    shared: Arc<SharedPage>,
    place: usize,
    owner: u32,
    taken: Word,
    bytes: Vec<u8>,
}

/// A ride's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word(u64);

impl Word {
    fn new(pid: u32, number: u64, state: u64) -> Word {
        Word(u64::from(pid) << 32 | (number & 0x0FFF_FFFF) << 4 | state)
    }

    fn pid(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn number(self) -> u64 {
        self.0 >> 4 & 0x0FFF_FFFF
    }

    fn state(self) -> u64 {
        self.0 & 0xF
    }

    /// The same use of the ride in another state.
    fn now(self, pid: u32, state: u64) -> Word {
        Word::new(pid, self.number(), state)
    }

    fn of(ride: &RideCells) -> Word {
        Word(ride.word.load(Ordering::SeqCst))
    }

    fn change(self, ride: &RideCells, to: Word) -> bool {
        ride.word
            .compare_exchange(self.0, to.0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}

impl Rides {
    /// The rides on this shared page.
    pub(crate) fn new(shared: Arc<SharedPage>) -> Rides {
        Rides {
            shared,
            spin: Spin::default(),
        }
    }

    /// Gives `bytes` to whoever has the turn, and blocks until it answers: about as long as two
    /// transactions, at most a second. [`Rode::Not`] at once where nobody has the turn, they are
    /// more than [`RIDE_BYTES`], or no ride is free.
    pub(crate) fn ride(&self, bytes: &[u8]) -> Rode {
        match self.shared.cells() {
            Some(cells) if self.shared.writable() => self.along(cells, bytes),
            Some(_) | None => Rode::Not,
        }
    }

    fn along(&self, cells: &SharedCells, bytes: &[u8]) -> Rode {
        if bytes.len() > RIDE_BYTES || !somebody_writes(cells) {
            return Rode::Not;
        }
        let Some((place, boarding)) = board(cells) else {
            return Rode::Not;
        };
        let ride = &cells.rides[place];
        fill(ride, bytes);
        let waits = boarding.now(boarding.pid(), WAITS);
        if !boarding.change(ride, waits) {
            // Somebody took us for dead.
            return Rode::Not;
        }
        cells.rides_wait.fetch_or(1 << place, Ordering::SeqCst);
        self.stay(cells, ride, waits)
    }

    fn stay(&self, cells: &SharedCells, ride: &RideCells, waits: Word) -> Rode {
        let began = SystemClock.monotonic();
        let goes_on = || match Word::of(ride) {
            word if word == waits => somebody_writes(cells),
            word => word.state() == TAKEN && word.number() == waits.number(),
        };
        loop {
            self.spin.wait(SPINS, || !goes_on());
            let word = Word::of(ride);
            if word.number() != waits.number() {
                return Rode::Unknown;
            }
            let waited = SystemClock.monotonic().saturating_sub(began);
            let free = || word.change(ride, word.now(0, FREE));
            match word.state() {
                ARRIVED => return self.arrived(ride, word),
                RETURNED if free() => return Rode::Not,
                UNSURE if free() => return Rode::Unknown,
                WAITS if !somebody_writes(cells) || waited >= LOOK_EVERY => {
                    if free() {
                        return Rode::Not;
                    }
                }
                TAKEN if waited >= STAYS || waited >= LOOK_EVERY && is_dead(word.pid()) => {
                    if word.change(ride, word.now(word.pid(), ABANDONED)) {
                        return Rode::Unknown;
                    }
                }
                _ => {
                    ride.asleep.store(1, Ordering::SeqCst);
                    if goes_on() {
                        futex::wait(&ride.asleep, 1, LOOK_EVERY);
                    }
                    ride.asleep.store(0, Ordering::SeqCst);
                }
            }
        }
    }

    fn arrived(&self, ride: &RideCells, word: Word) -> Rode {
        let seq = ride.seq.load(Ordering::SeqCst);
        let at = ride.at.load(Ordering::SeqCst);
        let is_whole = ride.sum.load(Ordering::SeqCst) == sum_of_answer(word, seq, at);
        if word.change(ride, word.now(0, FREE)) && is_whole {
            Rode::Committed { seq, at }
        } else {
            Rode::Unknown
        }
    }

    /// Whether somebody has the turn, who would take an event along.
    pub(crate) fn somebody_writes(&self) -> bool {
        self.shared.cells().is_some_and(somebody_writes)
    }

    /// How many may wait to go along.
    pub(crate) fn waiting(&self) -> u32 {
        let cells = self.shared.cells();
        cells.map_or(0, |cells| {
            cells.rides_wait.load(Ordering::SeqCst).count_ones()
        })
    }

    /// Takes along everybody who waits: for whoever has the turn.
    pub(crate) fn take(&self) -> Vec<Passenger> {
        let cells = self.shared.cells();
        let Some(cells) = cells.filter(|cells| cells.rides_wait.load(Ordering::SeqCst) != 0) else {
            return Vec::new();
        };
        let mut bits = cells.rides_wait.swap(0, Ordering::SeqCst);
        let mut taken = Vec::with_capacity(bits.count_ones() as usize);
        while bits != 0 {
            let place = bits.trailing_zeros() as usize;
            bits &= bits - 1;
            taken.extend(self.take_one(cells, place));
        }
        taken
    }

    fn take_one(&self, cells: &SharedCells, place: usize) -> Option<Passenger> {
        let ride = &cells.rides[place];
        let waits = Word::of(ride);
        let taken = waits.now(std::process::id(), TAKEN);
        if waits.state() != WAITS || !waits.change(ride, taken) {
            return None;
        }
        let bytes = read(ride);
        let passenger = Passenger {
            shared: Arc::clone(&self.shared),
            place,
            owner: waits.pid(),
            taken,
            bytes: bytes.unwrap_or_default(),
        };
        // Bytes that are not what was put in go back.
        (!passenger.bytes.is_empty()).then_some(passenger)
    }
}

impl Passenger {
    /// What it brought.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Says that it is committed, where and when.
    pub(crate) fn arrive(self, seq: i64, at: i64) {
        if let Some(ride) = self.ride() {
            let arrived = self.taken.now(self.owner, ARRIVED);
            ride.seq.store(seq, Ordering::SeqCst);
            ride.at.store(at, Ordering::SeqCst);
            ride.sum
                .store(sum_of_answer(arrived, seq, at), Ordering::SeqCst);
            self.put_down(ride, arrived);
        }
    }

    /// Says that it may be committed or not.
    pub(crate) fn leave_unsure(self) {
        if let Some(ride) = self.ride() {
            self.put_down(ride, self.taken.now(self.owner, UNSURE));
        }
    }

    fn ride(&self) -> Option<&RideCells> {
        Some(&self.shared.cells()?.rides[self.place])
    }

    fn put_down(&self, ride: &RideCells, answered: Word) {
        if self.taken.change(ride, answered) {
            wake(ride);
        } else {
            let abandoned = self.taken.now(self.taken.pid(), ABANDONED);
            abandoned.change(ride, abandoned.now(0, FREE));
        }
    }
}

impl Drop for Passenger {
    fn drop(&mut self) {
        // Without effect where it was answered.
        if let Some(ride) = self.ride() {
            self.put_down(ride, self.taken.now(self.owner, RETURNED));
        }
    }
}

/// The turn ended and nobody stands in line for it: who waits to go along writes for itself.
pub(super) fn send_away(cells: &SharedCells) {
    let mut bits = cells.rides_wait.load(Ordering::SeqCst);
    while bits != 0 {
        wake(&cells.rides[bits.trailing_zeros() as usize]);
        bits &= bits - 1;
    }
}

fn somebody_writes(cells: &SharedCells) -> bool {
    cells.holder.load(Ordering::SeqCst) != 0
}

fn wake(ride: &RideCells) {
    if ride.asleep.swap(0, Ordering::SeqCst) == 1 {
        futex::wake_all(&ride.asleep);
    }
}

/// Takes a ride that is free, or whose process died. Begins where no other process begins.
fn board(cells: &SharedCells) -> Option<(usize, Word)> {
    let pid = std::process::id();
    let first = pid as usize % RIDES;
    let places = || (first..RIDES).chain(0..first);
    let take = |place: usize, from: Word| {
        let boarding = Word::new(pid, from.number() + 1, BOARDING);
        let is_ours = from.change(&cells.rides[place], boarding);
        is_ours.then_some((place, boarding))
    };
    let free = places().find_map(|place| {
        let word = Word::of(&cells.rides[place]);
        (word.state() == FREE).then(|| take(place, word)).flatten()
    });
    free.or_else(|| {
        places().find_map(|place| {
            let word = Word::of(&cells.rides[place]);
            is_dead(word.pid()).then(|| take(place, word)).flatten()
        })
    })
}

fn fill(ride: &RideCells, bytes: &[u8]) {
    words::write(&ride.data, bytes);
    let length = u32::try_from(bytes.len()).unwrap_or(0);
    ride.length.store(length, Ordering::Relaxed);
    ride.sum.store(words::sum_of(bytes), Ordering::Relaxed);
}

/// What was put in; none if it is not that.
fn read(ride: &RideCells) -> Option<Vec<u8>> {
    let bytes = words::read(&ride.data, ride.length.load(Ordering::Relaxed))?;
    let sum = ride.sum.load(Ordering::Relaxed);
    fence(Ordering::SeqCst);
    (words::sum_of(&bytes) == sum).then_some(bytes)
}

fn sum_of_answer(word: Word, seq: i64, at: i64) -> u64 {
    words::mixed(word.number(), [seq.cast_unsigned(), at.cast_unsigned()])
}
