//! Reading other processes' pages, living or dead. Takes no lock and changes nothing.
//!
//! Pages are read as files, not mapped: nothing that happens to another's file can then raise a
//! SIGBUS here. A living process writes while we read, so its page is read three times: versions,
//! values, versions again; what has the same even version in the first and third reading was not
//! being written in the second.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use uuid::Uuid;

use super::kernel;
use super::layout::{
    BeatCells, BlockedCells, CODE_WORDS, COMMAND_WORDS, HeadCells, PageCells, RING, RecentCells,
    SLOTS, STEP_WORDS, SlotCells,
};
use super::memory::Group;
use super::own::{PAGE_MAGIC, micros};
use super::present;
use super::side::{Head, Side, Standing, refused};
use crate::clock::Time;
use crate::event::{EventId, ProcessId, Seq};
use crate::store::Error;
use crate::store::records::{Cycle, HostState, Load, Stall};
use crate::store::registry::{Counters, Liveness, Recent, Running};
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::{Code, Effort};

/// How often a part of a page is read again while it is being written.
const READINGS_MAX: usize = 32;

/// By which clock, and how strictly, to judge whether a process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watch {
    /// The boot clock's reading now.
    pub(crate) now: Duration,
    /// Hung after this long without a beat.
    pub(crate) hung_after: Duration,
}

/// What a process's page says. Plain values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    /// Whose page.
    pub(crate) process: ProcessId,
    /// Its pid.
    pub(crate) pid: u32,
    /// Whether it lives, by its lock and its last beat.
    pub(crate) liveness: Liveness,
    /// Its lease ran out. Always true of a dead one.
    pub(crate) lease_ran_out: bool,
    /// Its last beat by the wall clock.
    pub(crate) beat_at: Time,
    /// Its counters: each is whole, and together they are of one beat unless beats come faster
    /// than they can be read.
    pub(crate) counters: Counters,
    /// Up to where its poller has read.
    pub(crate) polled_to: Seq,
    /// What runs, or ran when it died. `None`: unknown, the page is of another boot, another
    /// database or another layout.
    pub(crate) running: Option<Vec<Running>>,
    /// Its last deliveries, newest first.
    pub(crate) recent: Vec<Recent>,
    /// Who held the write lock when it last had to wait.
    pub(crate) blocked_by: Option<(u32, String, Time)>,
    /// How its subscriptions stand.
    pub(crate) hosts: Vec<HostState>,
    /// Who holds its threads.
    pub(crate) stalls: Vec<Stall>,
    /// How busy it is.
    pub(crate) load: Load,
    /// Its daemons' last cycles.
    pub(crate) cycles: Vec<Cycle>,
    /// Its control group when it opened the store. `None`: unknown.
    pub(crate) group: Option<Group>,
}

/// How a page's process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// By its lock and its last beat.
    pub(crate) liveness: Liveness,
    /// Its lease ran out. Always true of a dead one.
    pub(crate) lease_ran_out: bool,
}

/// Reads one page. `None` when there is none. On a database thread.
pub(crate) fn look(side: &Side, process: ProcessId, watch: Watch) -> Result<Option<Seen>, Error> {
    let page = read(side, process, watch, size_of::<PageCells>())?;
    Ok(page.map(|(head, life, stable)| {
        let mut seen = Seen {
            process,
            pid: head.pid,
            liveness: life.liveness,
            lease_ran_out: life.lease_ran_out,
            beat_at: Time(0),
            counters: Counters::default(),
            polled_to: Seq::START,
            running: None,
            recent: Vec::new(),
            blocked_by: None,
            hosts: Vec::new(),
            stalls: Vec::new(),
            load: Load::default(),
            cycles: Vec::new(),
            group: None,
        };
        if let Some(stable) = stable {
            stable.tell(&mut seen);
        }
        seen
    }))
}

/// How a process lives, and nothing else of its page: a hundredth of a whole one is read. `None`
/// when there is none. On a database thread.
pub(crate) fn life(side: &Side, process: ProcessId, watch: Watch) -> Result<Option<Life>, Error> {
    let page = read(side, process, watch, BLOCKED.0)?;
    Ok(page.map(|(_, life, _)| life))
}

/// Reads the first bytes of a page, its beats among them. What it says is known of a page of this
/// layout and database alone.
fn read(
    side: &Side,
    process: ProcessId,
    watch: Watch,
    bytes: usize,
) -> Result<Option<(Head, Life, Option<Stable>)>, Error> {
    let trouble = |e: &io::Error| refused("read", &side.page_path(process), e);
    let Some((file, locked)) = open(side, process).map_err(|e| trouble(&e))? else {
        return Ok(None);
    };
    let first = Reading::of(&file, bytes).map_err(|e| trouble(&e))?;
    let head = first.head();
    let mut life = Life {
        liveness: match head.state {
            2 => Liveness::Left,
            _ => Liveness::Dead,
        },
        lease_ran_out: true,
    };
    let lives = locked && life.liveness != Liveness::Left;
    if side.judge(&head, PAGE_MAGIC) != Standing::Ours {
        // Another layout is written by a living process of another version: the lock counts.
        if lives {
            life.liveness = Liveness::Alive;
            life.lease_ran_out = false;
        }
        return Ok(Some((head, life, None)));
    }
    let stable = if locked {
        Stable::of_living(&file, &first).map_err(|e| trouble(&e))?
    } else {
        // Nobody writes any more, unless it ended between the question and the reading: read
        // once more, and what is torn now is torn for ever.
        let last = Reading::of(&file, bytes).map_err(|e| trouble(&e))?;
        Stable::of_dead(last)
    };
    if lives {
        life = stable.life(watch);
    }
    Ok(Some((head, life, Some(stable))))
}

/// Whether a page's process lives by its lock alone, and its head. One open and one small read.
pub(crate) fn glance(side: &Side, process: ProcessId) -> Result<Option<(Head, bool)>, Error> {
    let trouble = |e: &io::Error| refused("read", &side.page_path(process), e);
    let Some((file, locked)) = open(side, process).map_err(|e| trouble(&e))? else {
        return Ok(None);
    };
    let head = head_of(&file).map_err(|e| trouble(&e))?;
    Ok(Some((head, locked)))
}

/// A page's file, and whether its process has the lock on it.
fn open(side: &Side, process: ProcessId) -> io::Result<Option<(File, bool)>> {
    match File::open(side.page_path(process)) {
        Ok(file) => kernel::is_locked(&file).map(|locked| Some((file, locked))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The head of a side file.
pub(crate) fn head_of(file: &File) -> io::Result<Head> {
    let mut bytes = vec![0; size_of::<HeadCells>()];
    read_up_to(file, 0, &mut bytes)?;
    Ok(Reading(bytes).head())
}

/// The bytes of a page at some moment, zeros where the file is shorter.
pub(super) struct Reading(Vec<u8>);

impl Reading {
    fn of(file: &File, bytes: usize) -> io::Result<Reading> {
        let mut bytes = vec![0; bytes];
        read_up_to(file, 0, &mut bytes)?;
        Ok(Reading(bytes))
    }

    /// Reads one part until it stood still.
    fn read_again(&mut self, file: &File, (at, len): Part) -> io::Result<Stood> {
        let mut version = [[0u8; 8]; 2];
        let mut stood = Stood::Moving;
        for _ in 0..READINGS_MAX {
            read_up_to(file, at, &mut version[0])?;
            read_up_to(file, at, &mut self.0[at..at + len])?;
            read_up_to(file, at, &mut version[1])?;
            stood = match u64::from_ne_bytes(version[0]) % 2 {
                _ if version[0] != version[1] => Stood::Moving,
                0 => return Ok(Stood::Whole),
                _ => Stood::Halted,
            };
        }
        Ok(stood)
    }

    pub(super) fn word(&self, at: usize) -> u64 {
        let mut word = [0u8; 8];
        word.copy_from_slice(&self.0[at..at + 8]);
        u64::from_ne_bytes(word)
    }

    pub(super) fn words<const N: usize>(&self, at: usize) -> [u64; N] {
        std::array::from_fn(|index| self.word(at + index * 8))
    }

    pub(super) fn signed(&self, at: usize) -> i64 {
        self.word(at).cast_signed()
    }

    fn half(&self, at: usize) -> u32 {
        let mut half = [0u8; 4];
        half.copy_from_slice(&self.0[at..at + 4]);
        u32::from_ne_bytes(half)
    }

    pub(super) fn text(&self, at: usize, words: usize) -> String {
        let bytes = &self.0[at..at + words * 8];
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }

    pub(super) fn id(&self, at: usize) -> Uuid {
        Uuid::from_u64_pair(self.word(at), self.word(at + 8))
    }

    fn head(&self) -> Head {
        Head {
            magic: self.word(offset_of!(HeadCells, magic)),
            layout: self.half(offset_of!(HeadCells, layout)),
            boot: [
                self.word(offset_of!(HeadCells, boot)),
                self.word(offset_of!(HeadCells, boot) + 8),
            ],
            device: self.word(offset_of!(HeadCells, device)),
            inode: self.word(offset_of!(HeadCells, inode)),
            process: ProcessId(self.id(offset_of!(HeadCells, process))),
            pid: self.half(offset_of!(HeadCells, pid)),
            state: self.half(offset_of!(HeadCells, state)),
        }
    }
}

/// How a part stood while it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stood {
    /// Nobody wrote.
    Whole,
    /// Its owner stopped in the middle of writing: nothing moves, some of it is old.
    Halted,
    /// It was being written at every reading.
    Moving,
}

/// One part of a page that is written under one version.
pub(super) type Part = (usize, usize);

const BLOCKED: Part = (offset_of!(PageCells, blocked), size_of::<BlockedCells>());

fn beat_part(index: usize) -> Part {
    let size = size_of::<BeatCells>();
    (offset_of!(PageCells, beats) + index * size, size)
}

fn slot_part(index: usize) -> Part {
    let size = size_of::<SlotCells>();
    (offset_of!(PageCells, slots) + index * size, size)
}

fn ring_part(index: usize) -> Part {
    let size = size_of::<RecentCells>();
    (offset_of!(PageCells, ring) + index * size, size)
}

/// The parts of a page's first bytes: its beats, or all there are.
fn parts(bytes: usize) -> impl Iterator<Item = Part> {
    [beat_part(0), beat_part(1), BLOCKED]
        .into_iter()
        .chain(present::parts())
        .chain((0..SLOTS).map(slot_part))
        .chain((0..RING).map(ring_part))
        .take_while(move |(at, _)| *at < bytes)
}

/// A page whose every part is whole, or known not to be.
pub(super) struct Stable {
    pub(super) bytes: Reading,
    /// The parts that are not whole, by their start.
    torn: BTreeMap<usize, Stood>,
}

impl Stable {
    fn of_living(file: &File, first: &Reading) -> io::Result<Stable> {
        let mut bytes = Reading::of(file, first.0.len())?;
        let after = Reading::of(file, first.0.len())?;
        let mut torn = BTreeMap::new();
        for part in differing(first, &after) {
            // Read alone, a part takes a microsecond and not a page's twenty.
            let stood = bytes.read_again(file, part)?;
            if stood != Stood::Whole {
                torn.insert(part.0, stood);
            }
        }
        Ok(Stable { bytes, torn })
    }

    /// Its owner may have died while it wrote a part: that part stays odd.
    fn of_dead(bytes: Reading) -> Stable {
        let odd = |part: &Part| bytes.word(part.0) % 2 == 1;
        let torn = parts(bytes.0.len())
            .filter(odd)
            .map(|part| (part.0, Stood::Halted))
            .collect();
        Stable { bytes, torn }
    }

    /// Whether the part that begins there was not being written.
    pub(super) fn is_whole(&self, at: usize) -> bool {
        !self.torn.contains_key(&at)
    }

    /// The newer of the two beats that is whole.
    fn beat(&self) -> usize {
        let whole = |at: &usize| !self.torn.contains_key(at);
        let beats = [beat_part(0).0, beat_part(1).0];
        let newest = beats
            .into_iter()
            .filter(whole)
            .max_by_key(|at| self.bytes.word(*at));
        // Both are torn only if two beats came within every reading: then it lives.
        newest.unwrap_or(beats[0])
    }

    /// How its owner, who has the page's lock, lives.
    fn life(&self, watch: Watch) -> Life {
        let of_beat = |of: usize| self.bytes.word(self.beat() + of);
        let beat_us = of_beat(offset_of!(BeatCells, at_boot_us));
        let silent_us = micros(watch.now).saturating_sub(beat_us);
        let until = of_beat(offset_of!(BeatCells, lease_until_us));
        Life {
            liveness: match silent_us > micros(watch.hung_after) {
                true => Liveness::Hung,
                false => Liveness::Alive,
            },
            lease_ran_out: micros(watch.now) > until,
        }
    }

    fn tell(&self, seen: &mut Seen) {
        let bytes = &self.bytes;
        let beat = self.beat();
        seen.beat_at = Time(bytes.signed(beat + offset_of!(BeatCells, at)));
        seen.polled_to = Seq(bytes.signed(beat + offset_of!(BeatCells, polled_to)));
        seen.counters = self.counters();
        seen.running = Some((0..SLOTS).filter_map(|i| self.running(i)).collect());
        let mut recent: Vec<(u64, Recent)> = (0..RING).filter_map(|i| self.recent(i)).collect();
        recent.sort_by_key(|entry| std::cmp::Reverse(entry.0));
        seen.recent = recent.into_iter().map(|entry| entry.1).collect();
        seen.blocked_by = self.blocked_by();
        self.tell_present(seen);
    }

    fn counters(&self) -> Counters {
        let at = self.beat() + offset_of!(BeatCells, counters);
        let word = |index: usize| self.bytes.word(at + index * 8);
        Counters {
            published: word(0),
            published_volatile: word(1),
            publish_failed: word(2),
            received: word(3),
            delivered: word(4),
            done: word(5),
            skipped: word(6),
            deduplicated: word(7),
            failed: word(8),
        }
    }

    fn running(&self, index: usize) -> Option<Running> {
        let (at, _) = slot_part(index);
        let state = self.bytes.word(at + offset_of!(SlotCells, state));
        let stood = self.torn.get(&at).copied().unwrap_or(Stood::Whole);
        // Of a slot whose owner stopped or died while it wrote only the step can be torn: the
        // state is set last and cleared first.
        if state == 0 || state > 2 || stood == Stood::Moving {
            return None;
        }
        let seq = self.bytes.signed(at + offset_of!(SlotCells, seq));
        let step = self
            .bytes
            .text(at + offset_of!(SlotCells, step), STEP_WORDS);
        let step_since = self.bytes.signed(at + offset_of!(SlotCells, step_since));
        let subscription = self.bytes.signed(at + offset_of!(SlotCells, subscription));
        Some(Running {
            subscription: SubscriptionId(subscription),
            event: EventId(self.bytes.id(at + offset_of!(SlotCells, event))),
            seq: Some(Seq(seq)).filter(|seq| seq.0 != 0),
            since: Time(self.bytes.signed(at + offset_of!(SlotCells, since))),
            step: Some(step).filter(|step| !step.is_empty() && stood == Stood::Whole),
            step_since: Some(Time(step_since)).filter(|at| at.0 != 0 && stood == Stood::Whole),
            abandoned: state == 2,
            effort: Effort {
                polls: self.bytes.word(at + offset_of!(SlotCells, polls)),
                busy_us: self.bytes.word(at + offset_of!(SlotCells, busy_us)),
                cpu_us: self
                    .bytes
                    .word(at + offset_of!(SlotCells, cpu_us))
                    .checked_sub(1),
            },
        })
    }

    fn recent(&self, index: usize) -> Option<(u64, Recent)> {
        let (at, _) = ring_part(index);
        let number = self.bytes.word(at + offset_of!(RecentCells, number));
        let code = self
            .bytes
            .text(at + offset_of!(RecentCells, code), CODE_WORDS);
        let code = Code::parse(&code)?;
        if number == 0 || self.torn.contains_key(&at) {
            return None;
        }
        let subscription = self
            .bytes
            .signed(at + offset_of!(RecentCells, subscription));
        let recent = Recent {
            subscription: SubscriptionId(subscription),
            event: EventId(self.bytes.id(at + offset_of!(RecentCells, event))),
            code,
            took_us: self.bytes.word(at + offset_of!(RecentCells, took_us)),
            at: Time(self.bytes.signed(at + offset_of!(RecentCells, at))),
        };
        Some((number, recent))
    }

    fn blocked_by(&self) -> Option<(u32, String, Time)> {
        let at = BLOCKED.0;
        let pid = self.bytes.word(at + offset_of!(BlockedCells, pid));
        if pid == 0 || self.torn.contains_key(&at) {
            return None;
        }
        let command = at + offset_of!(BlockedCells, command);
        Some((
            u32::try_from(pid).ok()?,
            self.bytes.text(command, COMMAND_WORDS),
            Time(self.bytes.signed(at + offset_of!(BlockedCells, since))),
        ))
    }
}

/// The parts whose version, the first word of each, was odd or changed between two readings.
fn differing(before: &Reading, after: &Reading) -> Vec<Part> {
    let torn = |part: &Part| {
        let version = before.word(part.0);
        version % 2 == 1 || version != after.word(part.0)
    };
    parts(before.0.len()).filter(torn).collect()
}

fn read_up_to(file: &File, from: usize, bytes: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], (from + done) as u64)? {
            0 => return Ok(()),
            more => done += more,
        }
    }
    Ok(())
}
