//! What a process shows of itself with each beat: how busy it is, how its subscriptions stand, who
//! holds its threads. The writing and the reading side, in one order of numbers.

use std::mem::offset_of;
use std::sync::atomic::{AtomicU64, Ordering};

use super::layout::{
    CODE_WORDS, CycleCells, FIELDS_WORDS, GROUP_WORDS, GroupCells, HOST_VALUES, HostCells,
    LOAD_VALUES, LoadCells, NAME_WORDS, OBJECT_WORDS, PageCells, SHORT_WORDS, StallCells,
    TYPE_WORDS,
};
use super::memory::Group;
use super::own::{OwnPage, lock, write, write_text};
use super::peer::{Part, Seen, Stable};
use crate::clock::Time;
use crate::event::{EventId, EventType, Seq};
use crate::store::records::{
    CYCLES_SHOWN_MAX, Cycle, Ends, HOSTS_SHOWN_MAX, HostState, Load, PolicyInForce, Present,
    STALLS_SHOWN_MAX, Stall, StallClass,
};
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::Code;

impl OwnPage {
    /// Writes what the process shows of itself; what does not fit is left out.
    pub(crate) fn show(&self, present: &Present) {
        let Some(page) = self.cells() else { return };
        let _alone = lock(&self.showing);
        write(&page.load.version, || {
            put(&page.load.values, &load_values(&present.load));
        });
        let mut cycles = present.cycles.iter();
        for cells in &page.cycles {
            let cycle = cycles.next();
            write(&cells.version, || {
                write_text(&cells.name, cycle.map_or("", |cycle| &cycle.daemon));
                let at = cycle.map_or(0, |cycle| cycle.at.0);
                cells.at.store(at, Ordering::Relaxed);
            });
        }
        let mut hosts = present.hosts.iter();
        for cells in &page.hosts {
            let host = hosts.next();
            if host.is_none() && cells.subscription.load(Ordering::Relaxed) == 0 {
                // It and all that follow are empty already.
                break;
            }
            write(&cells.version, || write_host(cells, host));
        }
    }

    /// Writes who holds threads now.
    pub(crate) fn show_stalls(&self, stalls: &[Stall]) {
        let Some(page) = self.cells() else { return };
        let _alone = lock(&self.showing);
        let mut stalls = stalls.iter();
        for cells in &page.stalls {
            let stall = stalls.next();
            write(&cells.version, || match stall {
                Some(stall) => write_stall(cells, stall),
                None => cells.since.store(0, Ordering::Relaxed),
            });
        }
    }
}

fn put(cells: &[AtomicU64], values: &[u64]) {
    for (cell, value) in cells.iter().zip(values) {
        cell.store(*value, Ordering::Relaxed);
    }
}

fn load_values(load: &Load) -> [u64; LOAD_VALUES] {
    [
        load.in_flight,
        load.in_flight_max,
        load.waiting,
        load.waited,
        load.lag_p99_us,
        load.lag_max_us,
        load.publishing,
    ]
}

/// The reverse of [`load_values`].
fn load_of(values: [u64; LOAD_VALUES]) -> Load {
    let [
        in_flight,
        in_flight_max,
        waiting,
        waited,
        lag_p99_us,
        lag_max_us,
        publishing,
    ] = values;
    Load {
        in_flight,
        in_flight_max,
        waiting,
        waited,
        lag_p99_us,
        lag_max_us,
        publishing,
    }
}

fn write_host(cells: &HostCells, host: Option<&HostState>) {
    let Some(host) = host else {
        cells.subscription.store(0, Ordering::Relaxed);
        return;
    };
    cells
        .subscription
        .store(host.subscription.0, Ordering::Relaxed);
    put(&cells.values, &host_values(host));
    let code = host.waits_for.map_or("", |(code, _)| code.as_str());
    write_text(&cells.waits_for, code);
    write_text(&cells.fields, &host.policy.dedup_fields.join("\n"));
}

fn host_values(host: &HostState) -> [u64; HOST_VALUES] {
    let place = |time: Option<i64>| time.unwrap_or(0).cast_unsigned();
    let (rate_events, rate_ms) = host.policy.rate.unwrap_or_default();
    [
        u64::from(host.policy.concurrency),
        u64::from(host.in_flight),
        host.waiting,
        u64::from(host.abandoned),
        place(host.waits_for.map(|(_, since)| since.0)),
        // A lag after the log's very beginning is one after place 0.
        host.lagging_after
            .map_or(0, |seq| seq.0.cast_unsigned() + 1),
        place(host.lagging_since.map(|at| at.0)),
        host.ends.done,
        host.ends.failed,
        host.ends.skipped,
        host.ends.duplicates,
        host.window.done,
        host.window.failed,
        host.window.skipped,
        host.window.duplicates,
        host.window_since.0.cast_unsigned(),
        host.policy.time_limit_ms,
        u64::from(rate_events),
        rate_ms,
        u64::from(host.policy.attempts_max),
        host.policy.dedup_ttl_ms,
    ]
}

/// The reverse of [`host_values`].
fn host_of(
    subscription: i64,
    values: [u64; HOST_VALUES],
    code: Option<Code>,
    fields: &str,
) -> HostState {
    let [
        concurrency,
        in_flight,
        waiting,
        abandoned,
        waits_since,
        lag_after,
        lag_since,
        ..,
    ] = values;
    let [
        ..,
        window_since,
        time_limit_ms,
        rate_events,
        rate_ms,
        attempts,
        dedup_ttl_ms,
    ] = values;
    let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let ends = |from: usize| Ends {
        done: values[from],
        failed: values[from + 1],
        skipped: values[from + 2],
        duplicates: values[from + 3],
    };
    HostState {
        subscription: SubscriptionId(subscription),
        in_flight: small(in_flight),
        waiting,
        abandoned: small(abandoned),
        waits_for: code.map(|code| (code, Time(waits_since.cast_signed()))),
        lagging_after: lag_after
            .checked_sub(1)
            .map(|after| Seq(after.cast_signed())),
        lagging_since: Some(Time(lag_since.cast_signed())).filter(|at| at.0 != 0),
        ends: ends(7),
        window: ends(11),
        window_since: Time(window_since.cast_signed()),
        policy: PolicyInForce {
            concurrency: small(concurrency),
            time_limit_ms,
            rate: Some((small(rate_events), rate_ms)).filter(|rate| rate.0 != 0),
            attempts_max: small(attempts),
            dedup_fields: fields.lines().map(str::to_owned).collect(),
            dedup_ttl_ms,
        },
    }
}

fn write_stall(cells: &StallCells, stall: &Stall) {
    let (high, low) = stall.event.0.as_u64_pair();
    cells.event[0].store(high, Ordering::Relaxed);
    cells.event[1].store(low, Ordering::Relaxed);
    let seq = stall.seq.map_or(0, |seq| seq.0);
    cells.seq.store(seq, Ordering::Relaxed);
    let subscription = stall.subscription.map_or(0, |id| id.0);
    cells.subscription.store(subscription, Ordering::Relaxed);
    cells.held_ms.store(stall.held_ms, Ordering::Relaxed);
    let class = match stall.class {
        StallClass::Unknown => 0,
        StallClass::Io => 1,
        StallClass::Cpu => 2,
    };
    cells.class.store(class, Ordering::Relaxed);
    let cpu = stall.cpu_ms.map_or(0, |ms| ms.saturating_add(1));
    cells.cpu_ms.store(cpu, Ordering::Relaxed);
    let state = u64::from(u32::from(stall.state.unwrap_or('\0')));
    let tid = u64::from(stall.tid) << 32 | state;
    cells.tid.store(tid, Ordering::Relaxed);
    write_text(&cells.handler, &stall.handler);
    write_text(&cells.event_type, stall.event_type.as_str());
    write_text(&cells.thread, &stall.thread);
    write_text(&cells.syscall, stall.syscall.as_deref().unwrap_or(""));
    write_text(&cells.object, stall.object.as_deref().unwrap_or(""));
    write_text(&cells.place, stall.place.as_deref().unwrap_or(""));
    // Last: a cell left half-written by a death is empty or names its event.
    cells.since.store(stall.since.0, Ordering::Release);
}

const LOAD: Part = (offset_of!(PageCells, load), size_of::<LoadCells>());

fn cycle_part(index: usize) -> Part {
    let size = size_of::<CycleCells>();
    (offset_of!(PageCells, cycles) + index * size, size)
}

fn host_part(index: usize) -> Part {
    let size = size_of::<HostCells>();
    (offset_of!(PageCells, hosts) + index * size, size)
}

fn stall_part(index: usize) -> Part {
    let size = size_of::<StallCells>();
    (offset_of!(PageCells, stalls) + index * size, size)
}

/// The parts of a page that are written here.
pub(super) fn parts() -> impl Iterator<Item = Part> {
    std::iter::once(LOAD)
        .chain((0..CYCLES_SHOWN_MAX).map(cycle_part))
        .chain((0..HOSTS_SHOWN_MAX).map(host_part))
        .chain((0..STALLS_SHOWN_MAX).map(stall_part))
}

impl Stable {
    /// What the page shows of its process; what was torn is left out.
    pub(super) fn tell_present(&self, seen: &mut Seen) {
        let values = LOAD.0 + offset_of!(LoadCells, values);
        seen.load = load_of(self.bytes.words(values));
        seen.group = self.group();
        seen.cycles = (0..CYCLES_SHOWN_MAX)
            .filter_map(|i| self.cycle(i))
            .collect();
        seen.hosts = (0..HOSTS_SHOWN_MAX).filter_map(|i| self.host(i)).collect();
        seen.stalls = (0..STALLS_SHOWN_MAX)
            .filter_map(|i| self.stall(i))
            .collect();
    }

    fn group(&self) -> Option<Group> {
        let bytes = &self.bytes;
        let at = |of: usize| offset_of!(PageCells, group) + of;
        let inode = bytes.word(at(offset_of!(GroupCells, inode)));
        (inode != 0).then(|| Group {
            path: bytes.text(at(offset_of!(GroupCells, path)), GROUP_WORDS),
            inode,
            kills: bytes.word(at(offset_of!(GroupCells, kills))),
        })
    }

    fn cycle(&self, index: usize) -> Option<Cycle> {
        let (at, _) = cycle_part(index);
        let when = self.bytes.signed(at + offset_of!(CycleCells, at));
        let name = at + offset_of!(CycleCells, name);
        (when != 0 && self.is_whole(at)).then(|| Cycle {
            daemon: self.bytes.text(name, SHORT_WORDS),
            at: Time(when),
        })
    }

    fn host(&self, index: usize) -> Option<HostState> {
        let (at, _) = host_part(index);
        let subscription = self.bytes.signed(at + offset_of!(HostCells, subscription));
        if subscription == 0 || !self.is_whole(at) {
            return None;
        }
        let bytes = &self.bytes;
        let code = bytes.text(at + offset_of!(HostCells, waits_for), CODE_WORDS);
        Some(host_of(
            subscription,
            bytes.words(at + offset_of!(HostCells, values)),
            Code::parse(&code),
            &bytes.text(at + offset_of!(HostCells, fields), FIELDS_WORDS),
        ))
    }

    fn stall(&self, index: usize) -> Option<Stall> {
        let (at, _) = stall_part(index);
        let bytes = &self.bytes;
        let since = bytes.signed(at + offset_of!(StallCells, since));
        if since == 0 || !self.is_whole(at) {
            return None;
        }
        let word = |offset: usize| bytes.word(at + offset);
        let text = |offset: usize, words: usize| bytes.text(at + offset, words);
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let tid = word(offset_of!(StallCells, tid));
        let event_type = text(offset_of!(StallCells, event_type), TYPE_WORDS);
        let subscription = bytes.signed(at + offset_of!(StallCells, subscription));
        Some(Stall {
            subscription: Some(SubscriptionId(subscription)).filter(|id| id.0 != 0),
            handler: text(offset_of!(StallCells, handler), NAME_WORDS),
            event: EventId(bytes.id(at + offset_of!(StallCells, event))),
            seq: Some(Seq(bytes.signed(at + offset_of!(StallCells, seq)))).filter(|seq| seq.0 != 0),
            event_type: EventType::from_canonical(&event_type),
            since: Time(since),
            held_ms: word(offset_of!(StallCells, held_ms)),
            class: match word(offset_of!(StallCells, class)) {
                1 => StallClass::Io,
                2 => StallClass::Cpu,
                _ => StallClass::Unknown,
            },
            cpu_ms: word(offset_of!(StallCells, cpu_ms)).checked_sub(1),
            thread: text(offset_of!(StallCells, thread), SHORT_WORDS),
            tid: u32::try_from(tid >> 32).unwrap_or(0),
            state: char::from_u32((tid & 0xFFFF_FFFF) as u32).filter(|state| *state != '\0'),
            syscall: some(text(offset_of!(StallCells, syscall), SHORT_WORDS)),
            object: some(text(offset_of!(StallCells, object), OBJECT_WORDS)),
            place: some(text(offset_of!(StallCells, place), OBJECT_WORDS)),
        })
    }
}
