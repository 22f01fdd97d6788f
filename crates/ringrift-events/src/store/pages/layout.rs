//! The bytes of the mapped files. Native byte order: they never leave the machine, and a file of
//! another boot is not read beyond its head.
//!
//! Every struct is `repr(C)` and made of atomics only; padding is spelled out.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};

use super::bells::BELLS;
use crate::store::records::{CYCLES_SHOWN_MAX, HOSTS_SHOWN_MAX, STALLS_SHOWN_MAX};

/// Raised with every change below: a page of another layout says only whether its process lives.
pub(crate) const LAYOUT: u32 = 8;

/// Handlers that are seen running at once: the process-wide limit of handlers in flight (256) and
/// as many threads that were given up. More run unseen, and their deaths are not counted.
pub(crate) const SLOTS: usize = 512;

/// Deliveries remembered: as many as an operator scrolls through.
pub(crate) const RING: usize = crate::store::registry::RECENT_MAX;

/// Words of a control group's path (256 bytes); of a longer one nothing is known.
pub(crate) const GROUP_WORDS: usize = 32;

/// Words of a step's text (128 bytes): `kind:name` and a little.
pub(crate) const STEP_WORDS: usize = 16;

/// Words of a blocking process's command line (256 bytes).
pub(crate) const COMMAND_WORDS: usize = 32;

/// Words of a handler's name (200 bytes).
pub(crate) const NAME_WORDS: usize = 25;

/// Words of a file's path or a peer's address; what is longer loses its end.
pub(crate) const OBJECT_WORDS: usize = 32;

/// Words of the fields of a dedup key, one a line.
pub(crate) const FIELDS_WORDS: usize = 16;

/// Words of a type's name (104 bytes).
pub(crate) const TYPE_WORDS: usize = 13;

/// Words of short names: of a thread, a system call, a daemon.
pub(crate) const SHORT_WORDS: usize = 4;

/// Words of a verdict code's text: the longest has 23 bytes.
pub(crate) const CODE_WORDS: usize = 3;

/// Writer processes and threads that can wait at the turnstile at once; the rest go without.
pub(crate) const PLACES: usize = 256;

/// Rides at once: whoever finds none free writes for itself.
pub(crate) const RIDES: usize = 32;

/// Words of what a ride carries (4 KiB): larger events are written by their own process.
pub(crate) const RIDE_WORDS: usize = 512;

/// Places of the log's tail: who is further behind reads the log.
pub(crate) const TAIL: usize = 64;

/// Words of an event in the tail (2 KiB): larger events are read from the log.
pub(crate) const TAIL_WORDS: usize = 256;

/// The head of every mapped file: whose it is and for which database.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct HeadCells {
    /// Says what kind of file it is.
    pub(crate) magic: AtomicU64,
    /// [`LAYOUT`].
    pub(crate) layout: AtomicU32,
    /// The file's length in bytes.
    pub(crate) length: AtomicU32,
    /// The kernel's boot id.
    pub(crate) boot: [AtomicU64; 2],
    /// The database's device.
    pub(crate) device: AtomicU64,
    /// The database's inode.
    pub(crate) inode: AtomicU64,
    /// The process that made it.
    pub(crate) process: [AtomicU64; 2],
    /// Its pid.
    pub(crate) pid: AtomicU32,
    /// 1 while the process uses it, 2 once it left by itself.
    pub(crate) state: AtomicU32,
}

/// One process's page.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct PageCells {
    /// Whose.
    pub(crate) head: HeadCells,
    /// The last two beats, written in turns: a process stopped while it beats leaves the other.
    pub(crate) beats: [BeatCells; 2],
    /// Who held the write lock.
    pub(crate) blocked: BlockedCells,
    /// How busy the process is.
    pub(crate) load: LoadCells,
    /// Its daemons' last cycles.
    pub(crate) cycles: [CycleCells; CYCLES_SHOWN_MAX],
    /// How its subscriptions stand.
    pub(crate) hosts: [HostCells; HOSTS_SHOWN_MAX],
    /// Who holds its threads.
    pub(crate) stalls: [StallCells; STALLS_SHOWN_MAX],
    /// Slots below this were used at least once.
    pub(crate) slots_used: AtomicU32,
    /// Entries of the ring that were ever written, modulo 2³².
    pub(crate) ring_used: AtomicU32,
    /// What runs.
    pub(crate) slots: [SlotCells; SLOTS],
    /// What ran last.
    pub(crate) ring: [RecentCells; RING],
    /// Its control group.
    pub(crate) group: GroupCells,
}

/// The control group of a process when it opened the store: written once, before the page is signed.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct GroupCells {
    /// The inode of its folder; 0 where unknown.
    pub(crate) inode: AtomicU64,
    /// How often the kernel had killed in it for want of memory.
    pub(crate) kills: AtomicU64,
    /// Its path, padded with zeros.
    pub(crate) path: [AtomicU64; GROUP_WORDS],
}

/// What a beat writes.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct BeatCells {
    /// Twice the beat's number, counted from 1; odd while the rest is being written.
    pub(crate) version: AtomicU64,
    /// When, by the boot clock, in microseconds.
    pub(crate) at_boot_us: AtomicU64,
    /// When, by the wall clock.
    pub(crate) at: AtomicI64,
    /// The lease's end by the boot clock, in microseconds.
    pub(crate) lease_until_us: AtomicU64,
    /// Up to where the poller has read.
    pub(crate) polled_to: AtomicI64,
    /// In the order of `Counters`.
    pub(crate) counters: [AtomicU64; 9],
}

/// Who holds, or last held, the write lock when this process had to wait.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct BlockedCells {
    /// Odd while the rest is being written.
    pub(crate) version: AtomicU64,
    /// Zero: nobody.
    pub(crate) pid: AtomicU64,
    /// Since when, by the wall clock.
    pub(crate) since: AtomicI64,
    /// Its command line, padded with zeros.
    pub(crate) command: [AtomicU64; COMMAND_WORDS],
}

/// How busy a process is.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct LoadCells {
    /// Odd while the rest is being written.
    pub(crate) version: AtomicU64,
    /// In the order of `Load`.
    pub(crate) values: [AtomicU64; LOAD_VALUES],
}

/// Numbers of a `Load`.
pub(crate) const LOAD_VALUES: usize = 7;

/// When a daemon last finished a cycle.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct CycleCells {
    /// Odd while the rest is being written.
    pub(crate) version: AtomicU64,
    /// When, by the wall clock; 0: none here.
    pub(crate) at: AtomicI64,
    /// Its name, padded with zeros.
    pub(crate) name: [AtomicU64; SHORT_WORDS],
}

/// How one subscription stands.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct HostCells {
    /// Odd while the rest is being written.
    pub(crate) version: AtomicU64,
    /// Which; 0: none here.
    pub(crate) subscription: AtomicI64,
    /// In the order in which `own.rs` writes them.
    pub(crate) values: [AtomicU64; HOST_VALUES],
    /// The code's text, padded with zeros; empty while nothing waits.
    pub(crate) waits_for: [AtomicU64; CODE_WORDS],
    /// The fields of its dedup key, one a line.
    pub(crate) fields: [AtomicU64; FIELDS_WORDS],
}

/// Numbers of a `HostState`.
pub(crate) const HOST_VALUES: usize = 21;

/// One thread that is held.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct StallCells {
    /// Odd while the rest is being written.
    pub(crate) version: AtomicU64,
    /// Since when, by the wall clock; 0: none here.
    pub(crate) since: AtomicI64,
    /// The event.
    pub(crate) event: [AtomicU64; 2],
    /// Its place; 0 when it has none.
    pub(crate) seq: AtomicI64,
    /// The subscription; 0 where unknown.
    pub(crate) subscription: AtomicI64,
    /// Milliseconds so far.
    pub(crate) held_ms: AtomicU64,
    /// 0 unknown, 1 input or output, 2 the processor.
    pub(crate) class: AtomicU64,
    /// Milliseconds of processor time, and 1; 0 where unknown.
    pub(crate) cpu_ms: AtomicU64,
    /// The thread's number (high half) and its state's letter (low half).
    pub(crate) tid: AtomicU64,
    /// The handler's name.
    pub(crate) handler: [AtomicU64; NAME_WORDS],
    /// The event's type.
    pub(crate) event_type: [AtomicU64; TYPE_WORDS],
    /// The thread's name.
    pub(crate) thread: [AtomicU64; SHORT_WORDS],
    /// The system call.
    pub(crate) syscall: [AtomicU64; SHORT_WORDS],
    /// What its descriptor is.
    pub(crate) object: [AtomicU64; OBJECT_WORDS],
    /// The line of source.
    pub(crate) place: [AtomicU64; OBJECT_WORDS],
}

/// One running handler.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct SlotCells {
    /// Odd while the rest is being written.
    pub(crate) version: AtomicU64,
    /// 0 free, 1 running, 2 given up.
    pub(crate) state: AtomicU64,
    /// The subscription.
    pub(crate) subscription: AtomicI64,
    /// The event.
    pub(crate) event: [AtomicU64; 2],
    /// Its place; 0 when it has none.
    pub(crate) seq: AtomicI64,
    /// Since when, by the wall clock.
    pub(crate) since: AtomicI64,
    /// Since when it is in that step, by the wall clock; 0 without one.
    pub(crate) step_since: AtomicI64,
    /// How often it was polled.
    pub(crate) polls: AtomicU64,
    /// Microseconds in which it held its thread.
    pub(crate) busy_us: AtomicU64,
    /// Microseconds of processor time, and 1; 0 where unknown.
    pub(crate) cpu_us: AtomicU64,
    /// The step's text, padded with zeros.
    pub(crate) step: [AtomicU64; STEP_WORDS],
}

/// One past delivery.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct RecentCells {
    /// Odd while the rest is being written, zero while never written.
    pub(crate) version: AtomicU64,
    /// Counts deliveries from 1; newer ones have higher numbers.
    pub(crate) number: AtomicU64,
    /// The subscription.
    pub(crate) subscription: AtomicI64,
    /// The event.
    pub(crate) event: [AtomicU64; 2],
    /// How long it took.
    pub(crate) took_us: AtomicU64,
    /// When it ended, by the wall clock.
    pub(crate) at: AtomicI64,
    /// The code's text, padded with zeros.
    pub(crate) code: [AtomicU64; CODE_WORDS],
}

/// What all processes of one database share.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct SharedCells {
    /// For which database.
    pub(crate) head: HeadCells,
    /// Raised by every ring; waited on as a futex.
    pub(crate) bell: AtomicU32,
    /// How many threads wait; a killed one stays counted, which costs a system call a ring.
    pub(crate) listeners: AtomicU32,
    /// How often each bell rang.
    pub(crate) rung: [AtomicU32; BELLS],
    /// Who has the turn: a number of its own (high half) and its pid (low half); 0 nobody.
    pub(crate) holder: AtomicU64,
    /// Numbers turns.
    pub(crate) turns: AtomicU32,
    /// The first in line waited too long: its ticket and 1; 0 while nobody has.
    pub(crate) starving: AtomicU32,
    /// The next ticket of the turnstile's line.
    pub(crate) next: AtomicU32,
    /// The ticket that is first in line.
    pub(crate) first: AtomicU32,
    /// The last place of the log that is known to be on disk.
    pub(crate) synced: AtomicI64,
    /// The incarnation `synced` is about.
    pub(crate) synced_of: AtomicU64,
    /// When dead processes were last looked for, by the wall clock; 0 while nobody has.
    pub(crate) swept_at: AtomicI64,
    /// Who did. Two at once may mix, which only concerns what people read.
    pub(crate) swept_by: [AtomicU64; 2],
    /// 1 after a failed sync.
    pub(crate) poisoned: AtomicU32,
    /// Raised with every command left for some process.
    pub(crate) commands: AtomicU32,
    /// Who waits, by ticket modulo [`PLACES`].
    pub(crate) places: [PlaceCells; PLACES],
    /// A bit for each ride that may wait.
    pub(crate) rides_wait: AtomicU32,
    /// Commits that rang no bell, modulo 2³².
    pub(crate) unrung: AtomicU32,
    /// Who goes along.
    pub(crate) rides: [RideCells; RIDES],
    /// The last place of the log of which a ring told.
    pub(crate) tail_end: AtomicI64,
    /// The incarnation that it is about.
    pub(crate) tail_of: AtomicU64,
    /// When somebody last waited for the tail, by the boot clock, in microseconds.
    pub(crate) tail_awaited_us: AtomicU64,
    /// What was appended last, by place modulo [`TAIL`].
    pub(crate) tail: [TailCells; TAIL],
}

/// One event of the tail: see `tail.rs`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct TailCells {
    /// Its place in the log.
    pub(crate) seq: AtomicI64,
    /// It was committed after this, by the boot clock, in microseconds.
    pub(crate) at_us: AtomicU64,
    /// Over all of it.
    pub(crate) sum: AtomicU64,
    /// How many bytes it has.
    pub(crate) length: AtomicU32,
    /// Keeps the size a multiple of eight.
    pub(crate) pad: AtomicU32,
    /// The bytes.
    pub(crate) data: [AtomicU64; TAIL_WORDS],
}

/// A ride: see `rides.rs`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct RideCells {
    /// Somebody's pid (high half), how often the ride was taken, and its state.
    pub(crate) word: AtomicU64,
    /// Over the bytes, and over the answer later.
    pub(crate) sum: AtomicU64,
    /// Where the event stands.
    pub(crate) seq: AtomicI64,
    /// When it was committed, by the wall clock.
    pub(crate) at: AtomicI64,
    /// 1 while its passenger sleeps; waited on as a futex.
    pub(crate) asleep: AtomicU32,
    /// How many bytes it carries.
    pub(crate) length: AtomicU32,
    /// Keeps rides on cache lines of their own.
    pub(crate) pad: [AtomicU64; 3],
    /// The bytes.
    pub(crate) data: [AtomicU64; RIDE_WORDS],
}

/// One place in the turnstile's line.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct PlaceCells {
    /// The ticket (high half) and the pid that drew it (low half; 0 once it went).
    pub(crate) owner: AtomicU64,
    /// Raised when its turn comes; waited on as a futex.
    pub(crate) bell: AtomicU32,
    /// Keeps the size a multiple of eight.
    pub(crate) pad: AtomicU32,
}

/// Who hosts a role.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct RoleCells {
    /// The host is `head.process`.
    pub(crate) head: HeadCells,
}

const _: () = assert!(size_of::<HeadCells>() == 72);
const _: () = assert!(size_of::<SlotCells>() == 88 + 8 * STEP_WORDS);
const _: () = assert!(size_of::<RecentCells>() == 56 + 8 * CODE_WORDS);
const _: () = assert!(size_of::<PageCells>() < 192 << 10);
