//! This process's page: what it does at this moment, written without waiting for anybody.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::kernel::{self, Mapping};
use super::layout::{BeatCells, GROUP_WORDS, PageCells, RING, SLOTS, SlotCells};
use super::memory::Group;
use super::side::{Side, refused};
use crate::clock::{SharedClock, Time};
use crate::event::{ProcessId, Seq};
use crate::store::registry::{Counters, Recent, Running, Slot};
use crate::store::{Error, ErrorCode};
use crate::verdict::Effort;

/// "RRPAGE" and two zeros: a process's page.
pub(crate) const PAGE_MAGIC: u64 = 0x5252_5041_4745_0000;

/// The page of this process and the lock on it.
///
/// Every method writes memory only: no system call that waits, no file, no row. In a forked child
/// they do nothing. The lock goes when this is dropped or the process ends, whichever is first.
pub(crate) struct OwnPage {
    mapping: Mapping,
    process: ProcessId,
    clock: SharedClock,
    lease: Duration,
    free: Mutex<Vec<u16>>,
    turns: Box<[Turn]>,
    ring: Mutex<u64>,
    /// How often it beat; also held while `blocked` is written.
    beats: Mutex<u64>,
    /// Held while what the process shows of itself is written.
    pub(super) showing: Mutex<()>,
}

/// How often a slot was given out, so that a late word about a run that ended is not written over
/// another's. Held while the slot is written; each has a line of the cache to itself, for each is
/// another thread's.
#[derive(Default)]
#[repr(align(64))]
struct Turn(Mutex<u16>);

impl OwnPage {
    /// Makes the page of `process`, locks it and gives it its name. On a database thread.
    ///
    /// [`ErrorCode::Full`] when its space cannot be had; then nothing is left behind.
    pub(crate) fn create(
        side: &Side,
        process: ProcessId,
        clock: SharedClock,
        lease: Duration,
    ) -> Result<OwnPage, Error> {
        let path = side.page_path(process);
        let len = size_of::<PageCells>();
        let file = side.begin(&process.to_string(), len as u64)?;
        let made = Self::fill(side, process, &file, clock, lease);
        let own = match made {
            Ok(own) => own,
            Err(error) => {
                file.discard();
                return Err(error);
            }
        };
        file.name(&path)?;
        Ok(own)
    }

    fn fill(
        side: &Side,
        process: ProcessId,
        file: &super::side::Unfinished,
        clock: SharedClock,
        lease: Duration,
    ) -> Result<OwnPage, Error> {
        let mapping = file.map::<PageCells>()?;
        let path = side.page_path(process);
        if !kernel::lock(&file.file).map_err(|e| refused("lock", &path, &e))? {
            let taken = format!("another process has the page {}", path.display());
            return Err(Error::new(ErrorCode::WrongState, taken));
        }
        let own = OwnPage {
            mapping,
            process,
            clock,
            lease,
            // The lowest number is given out first: readers look no further than was used.
            free: Mutex::new((0..SLOTS as u16).rev().collect()),
            turns: (0..SLOTS).map(|_| Turn::default()).collect(),
            ring: Mutex::new(0),
            beats: Mutex::new(0),
            showing: Mutex::new(()),
        };
        own.beat(Counters::default(), Seq::START);
        if let Some(page) = own.cells() {
            if let Some(group) = Group::own() {
                write_group(page, &group);
            }
            side.sign(&page.head, PAGE_MAGIC, size_of::<PageCells>(), process);
        }
        Ok(own)
    }

    /// Whose page it is.
    pub(crate) fn process(&self) -> ProcessId {
        self.process
    }

    /// Writes heartbeat, counters and the poller's place, and extends the lease.
    pub(crate) fn beat(&self, counters: Counters, polled_to: Seq) {
        let Some(page) = self.cells() else { return };
        let mut beats = lock(&self.beats);
        let polled_to = polled_to
            .0
            .max(last_beat(page, *beats).polled_to.load(Ordering::Relaxed));
        self.write_beat(page, &mut beats, counters_to_words(&counters), polled_to);
    }

    /// Extends the lease and beats without changing the rest.
    #[cfg(test)]
    pub(crate) fn touch(&self) {
        let Some(page) = self.cells() else { return };
        let mut beats = lock(&self.beats);
        let last = last_beat(page, *beats);
        let counters = std::array::from_fn(|i| last.counters[i].load(Ordering::Relaxed));
        let polled_to = last.polled_to.load(Ordering::Relaxed);
        self.write_beat(page, &mut beats, counters, polled_to);
    }

    fn write_beat(&self, page: &PageCells, beats: &mut u64, counters: [u64; 9], polled_to: i64) {
        *beats += 1;
        let cells = last_beat(page, *beats);
        let now = self.clock.monotonic();
        cells.version.store(*beats * 2 - 1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        for (cell, value) in cells.counters.iter().zip(counters) {
            cell.store(value, Ordering::Relaxed);
        }
        cells.polled_to.store(polled_to, Ordering::Relaxed);
        cells.at.store(self.clock.now().0, Ordering::Relaxed);
        cells.at_boot_us.store(micros(now), Ordering::Relaxed);
        let until = micros(now.saturating_add(self.lease));
        cells.lease_until_us.store(until, Ordering::Relaxed);
        cells.version.store(*beats * 2, Ordering::Release);
    }

    /// Notes another control group than the process has.
    #[cfg(test)]
    pub(super) fn show_group(&self, group: &Group) {
        if let Some(page) = self.cells() {
            write_group(page, group);
        }
    }

    /// Notes that a handler starts. `None` when all slots are in use, or after a fork.
    pub(crate) fn started(&self, running: &Running) -> Option<Slot> {
        let page = self.cells()?;
        let index = lock(&self.free).pop()?;
        page.slots_used
            .fetch_max(u32::from(index) + 1, Ordering::Release);
        let slot = Slot(u32::from(index));
        let mut turn = lock(&self.turns.get(slot_index(slot))?.0);
        Some(occupy(page, slot, &mut turn, running))
    }

    /// Notes that a handler starts in the slot of a run that has ended, if that is known still.
    pub(crate) fn next(&self, slot: Option<Slot>, running: &Running) -> Option<Slot> {
        let Some(slot) = slot else {
            return self.started(running);
        };
        let page = self.cells()?;
        let mut turn = self.turn_of(slot)?;
        Some(occupy(page, slot, &mut turn, running))
    }

    /// Notes the step of a running handler; its first 128 bytes are seen.
    pub(crate) fn step(&self, slot: Slot, step: &str) {
        let now = self.clock.now();
        self.change(slot, |cells| {
            cells.step_since.store(now.0, Ordering::Relaxed);
            write_text(&cells.step, step);
        });
    }

    /// Notes what a running handler has used so far.
    pub(crate) fn progress(&self, slot: Slot, effort: &Effort) {
        self.change(slot, |cells| write_effort(cells, effort));
    }

    /// Notes that a run was given up although its thread goes on.
    pub(crate) fn abandoned(&self, slot: Slot) {
        self.change(slot, |cells| cells.state.store(2, Ordering::Relaxed));
    }

    /// Frees the slot and remembers what came of the run.
    pub(crate) fn ended(&self, slot: Option<Slot>, recent: &Recent) {
        self.vacant(slot);
        self.recent(std::slice::from_ref(recent));
    }

    /// Frees the slot.
    pub(crate) fn vacant(&self, slot: Option<Slot>) {
        if let Some(slot) = slot {
            self.give_back(slot);
        }
    }

    /// Notes who holds the write lock while this process waits for it.
    pub(crate) fn blocked_by(&self, pid: u32, command: &str, since: Time) {
        let Some(page) = self.cells() else { return };
        let _alone = lock(&self.beats);
        let cells = &page.blocked;
        write(&cells.version, || {
            cells.pid.store(u64::from(pid), Ordering::Relaxed);
            cells.since.store(since.0, Ordering::Relaxed);
            write_text(&cells.command, command);
        });
    }

    /// Marks the page of a process that leaves by itself: what it held was given back.
    pub(crate) fn left(&self) {
        if let Some(page) = self.cells() {
            page.head.state.store(2, Ordering::Release);
        }
    }

    /// Remembers what came of runs, oldest first.
    pub(crate) fn recent(&self, recent: &[Recent]) {
        let Some(page) = self.cells() else { return };
        let mut count = lock(&self.ring);
        for one in recent {
            *count += 1;
            let cells = &page.ring[usize::try_from(*count % RING as u64).unwrap_or(0)];
            let (high, low) = one.event.0.as_u64_pair();
            write(&cells.version, || {
                cells.number.store(*count, Ordering::Relaxed);
                cells
                    .subscription
                    .store(one.subscription.0, Ordering::Relaxed);
                cells.event[0].store(high, Ordering::Relaxed);
                cells.event[1].store(low, Ordering::Relaxed);
                cells.took_us.store(one.took_us, Ordering::Relaxed);
                cells.at.store(one.at.0, Ordering::Relaxed);
                write_text(&cells.code, one.code.as_str());
            });
        }
    }

    fn change(&self, slot: Slot, change: impl FnOnce(&SlotCells)) {
        let Some(page) = self.cells() else { return };
        if let Some(_turn) = self.turn_of(slot) {
            let cells = &page.slots[slot_index(slot)];
            write(&cells.version, || change(cells));
        }
    }

    fn give_back(&self, slot: Slot) {
        let Some(page) = self.cells() else { return };
        let Some(mut turn) = self.turn_of(slot) else {
            return;
        };
        *turn = turn.wrapping_add(1);
        let cells = &page.slots[slot_index(slot)];
        write(&cells.version, || cells.state.store(0, Ordering::Relaxed));
        drop(turn);
        lock(&self.free).push(slot.0 as u16);
    }

    /// The slot for this thread alone, while it is this run's.
    fn turn_of(&self, slot: Slot) -> Option<MutexGuard<'_, u16>> {
        let turn = lock(&self.turns.get(slot_index(slot))?.0);
        (u32::from(*turn) == slot.0 >> 16).then_some(turn)
    }

    pub(super) fn cells(&self) -> Option<&PageCells> {
        self.mapping.cells()
    }
}

impl std::fmt::Debug for OwnPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OwnPage({})", self.process)
    }
}

fn slot_index(slot: Slot) -> usize {
    (slot.0 & 0xFFFF) as usize
}

/// Gives the slot to a run. Answers the slot by which it is known.
fn occupy(page: &PageCells, slot: Slot, turn: &mut u16, running: &Running) -> Slot {
    *turn = turn.wrapping_add(1);
    let cells = &page.slots[slot_index(slot)];
    let (high, low) = running.event.0.as_u64_pair();
    write(&cells.version, || {
        cells
            .subscription
            .store(running.subscription.0, Ordering::Relaxed);
        cells.event[0].store(high, Ordering::Relaxed);
        cells.event[1].store(low, Ordering::Relaxed);
        let seq = running.seq.map_or(0, |seq| seq.0);
        cells.seq.store(seq, Ordering::Relaxed);
        cells.since.store(running.since.0, Ordering::Relaxed);
        let in_step = running.step_since.map_or(0, |at| at.0);
        cells.step_since.store(in_step, Ordering::Relaxed);
        write_effort(cells, &running.effort);
        write_text(&cells.step, running.step.as_deref().unwrap_or(""));
        // Last, so that a slot left half-written by a death is either free or tells its event.
        let state = if running.abandoned { 2 } else { 1 };
        cells.state.store(state, Ordering::Release);
    });
    Slot(u32::from(*turn) << 16 | slot.0 & 0xFFFF)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the beat of this number stands.
fn last_beat(page: &PageCells, number: u64) -> &BeatCells {
    &page.beats[usize::from(number % 2 == 1)]
}

/// A path that does not fit would be another group's.
fn write_group(page: &PageCells, group: &Group) {
    if group.path.len() < GROUP_WORDS * 8 {
        write_text(&page.group.path, &group.path);
        page.group.kills.store(group.kills, Ordering::Relaxed);
        page.group.inode.store(group.inode, Ordering::Relaxed);
    }
}

/// What is kept of a run's effort: processor time one higher, so that 0 says unknown.
fn write_effort(cells: &SlotCells, effort: &Effort) {
    cells.polls.store(effort.polls, Ordering::Relaxed);
    cells.busy_us.store(effort.busy_us, Ordering::Relaxed);
    let cpu = effort.cpu_us.map_or(0, |us| us.saturating_add(1));
    cells.cpu_us.store(cpu, Ordering::Relaxed);
}

/// Writes under a sequence lock; the caller is the only writer. Readers in other processes see the
/// version odd, or changed, and look again: whoever reads what was written after the fence also
/// reads the odd version that stands before it, or a later one.
pub(super) fn write(version: &AtomicU64, change: impl FnOnce()) {
    let before = version.load(Ordering::Relaxed) & !1;
    version.store(before + 1, Ordering::Relaxed);
    fence(Ordering::Release);
    change();
    version.store(before + 2, Ordering::Release);
}

/// Writes text into words, cut at a character and padded with zeros.
pub(super) fn write_text(cells: &[AtomicU64], text: &str) {
    let end = text.floor_char_boundary(cells.len() * 8);
    let mut bytes = text.as_bytes()[..end].chunks(8);
    for cell in cells {
        let mut word = [0u8; 8];
        if let Some(part) = bytes.next() {
            word[..part.len()].copy_from_slice(part);
        }
        cell.store(u64::from_ne_bytes(word), Ordering::Relaxed);
    }
}

fn counters_to_words(counters: &Counters) -> [u64; 9] {
    [
        counters.published,
        counters.published_volatile,
        counters.publish_failed,
        counters.received,
        counters.delivered,
        counters.done,
        counters.skipped,
        counters.deduplicated,
        counters.failed,
    ]
}

/// Microseconds of a boot clock's reading.
pub(crate) fn micros(reading: Duration) -> u64 {
    u64::try_from(reading.as_micros()).unwrap_or(u64::MAX)
}
