//! What one thread is at, and what the watch has seen of its present stay.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use uuid::Uuid;

use super::watch::{LASTS, lock};
use super::watched::WatchedThread;
use crate::clock::SharedClock;
use crate::event::{Event, EventId, EventType, Seq};
use crate::store::records::Stall;
use crate::store::subscriptions::SubscriptionId;

/// What one thread is at.
pub(super) struct Lane {
    clock: SharedClock,
    /// Monotonic microseconds; 0 while the thread runs no handler.
    since_us: AtomicU64,
    /// The `since_us` of a stay that the watch holds too long: only its end is dated.
    noticed_us: AtomicU64,
    /// When the noticed stay ended.
    ended_us: AtomicU64,
    at: Mutex<Option<At>>,
    /// Which event the thread has come to since, in a series of one handler's: id and place, the
    /// latter 0 where it has none. Written while `since_us` is 0.
    next: [AtomicU64; 3],
    thread: String,
    tid: u32,
    /// The watching thread's own.
    seen: Mutex<Option<Seen>>,
}

/// Whom a thread runs.
#[derive(Clone, Debug)]
pub(super) struct At {
    pub(super) subscription: SubscriptionId,
    pub(super) handler: Arc<str>,
    pub(super) event: EventId,
    pub(super) seq: Option<Seq>,
    pub(super) event_type: EventType,
}

/// What the looks at one stay have seen.
struct Seen {
    since_us: u64,
    /// The thread, from when the stay was seen first.
    thread: WatchedThread,
    stall: Option<Stall>,
    told_lasting: bool,
}

/// What one look found.
#[derive(Default)]
pub(super) struct Look {
    /// The thread runs a handler.
    pub(super) is_busy: bool,
    /// The stay that the last look told of has ended.
    pub(super) ended: Option<Stall>,
    /// The thread is held.
    pub(super) held: Option<Stall>,
    /// For the first time.
    pub(super) is_new: bool,
    /// It has become lasting.
    pub(super) lasts: bool,
}

impl Lane {
    pub(super) fn of_this_thread(clock: SharedClock) -> Lane {
        Lane {
            clock,
            since_us: AtomicU64::new(0),
            noticed_us: AtomicU64::new(0),
            ended_us: AtomicU64::new(0),
            at: Mutex::new(None),
            next: Default::default(),
            thread: std::thread::current().name().unwrap_or("").to_owned(),
            tid: u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap_or(0),
            seen: Mutex::new(None),
        }
    }

    /// The thread is at this now; answers at whom it was, and since when.
    pub(super) fn enter(&self, now: Duration, at: At) -> (Option<At>, u64) {
        let since_us = self.since_us.swap(0, Ordering::AcqRel);
        let outer = self.at_now().replace(at);
        self.forget_next();
        self.since_us.store(micros(now).max(1), Ordering::Release);
        (outer, since_us)
    }

    /// The thread is done with its event and begins with the next one of the same handler.
    pub(super) fn next(&self, now: Duration, event: &Event, same_type: bool) {
        self.date_end();
        self.since_us.store(0, Ordering::Relaxed);
        // A look that sees any of what follows sees this too, and finds nobody.
        fence(Ordering::Release);
        let (high, low) = event.id.0.as_u64_pair();
        let seq = event.seq.map_or(0, |seq| seq.0.cast_unsigned());
        for (cell, value) in self.next.iter().zip([high, low, seq]) {
            cell.store(value, Ordering::Relaxed);
        }
        if !same_type && let Some(at) = lock(&self.at).as_mut() {
            at.event_type = event.event_type.clone();
        }
        self.since_us.store(micros(now).max(1), Ordering::Release);
    }

    /// At whom the thread is, with the event that it has come to.
    fn at_now(&self) -> MutexGuard<'_, Option<At>> {
        let mut at = lock(&self.at);
        let [high, low, seq] = [0, 1, 2].map(|cell: usize| self.next[cell].load(Ordering::Relaxed));
        if let Some(at) = at.as_mut()
            && (high, low) != (0, 0)
        {
            at.event = EventId(Uuid::from_u64_pair(high, low));
            at.seq = (seq != 0).then_some(Seq(seq.cast_signed()));
        }
        at
    }

    /// The thread is back at whom it was.
    pub(super) fn leave(&self, outer: Option<At>, outer_since_us: u64) {
        self.date_end();
        self.since_us.store(0, Ordering::Relaxed);
        fence(Ordering::Release);
        self.forget_next();
        if let Some(outer) = outer {
            *lock(&self.at) = Some(outer);
        }
        self.since_us.store(outer_since_us, Ordering::Release);
    }

    fn forget_next(&self) {
        for cell in &self.next {
            cell.store(0, Ordering::Relaxed);
        }
    }

    /// Dates the end of a stay that the watch has noticed.
    fn date_end(&self) {
        let since_us = self.since_us.load(Ordering::Relaxed);
        if self.noticed_us.load(Ordering::Relaxed) == since_us {
            let now = micros(self.clock.monotonic());
            self.ended_us.store(now, Ordering::Relaxed);
        }
    }

    /// One look of the watching thread.
    pub(super) fn look(&self, clock: &SharedClock, limit: Duration) -> Look {
        let now = clock.monotonic();
        let since_us = self.since_us.load(Ordering::Acquire);
        let mut seen = lock(&self.seen);
        let mut look = Look::default();
        if let Some(before) = seen.take_if(|seen| seen.since_us != since_us)
            && let Some(mut stall) = before.stall
        {
            let ended = self.ended_us.load(Ordering::Acquire);
            let ended = if ended > before.since_us {
                ended
            } else {
                micros(now)
            };
            stall.held_ms = (ended - before.since_us) / 1_000;
            look.ended = Some(stall);
        }
        look.is_busy = since_us != 0;
        if !look.is_busy {
            return look;
        }
        let before = seen.get_or_insert_with(|| Seen {
            since_us,
            thread: WatchedThread::begin(self.tid, &**clock),
            stall: None,
            told_lasting: false,
        });
        let held = now.saturating_sub(Duration::from_micros(since_us));
        if held <= limit {
            return look;
        }
        let at = self.at_now().clone();
        fence(Ordering::Acquire);
        let Some(at) = at.filter(|_| self.since_us.load(Ordering::Relaxed) == since_us) else {
            return look;
        };
        let stall = self.stall(at, held, &before.thread, clock);
        self.noticed_us.store(since_us, Ordering::Relaxed);
        // The stay may have ended, and another begun, while we looked.
        if self.since_us.load(Ordering::Acquire) != since_us {
            return look;
        }
        look.is_new = before.stall.is_none();
        look.lasts = !before.told_lasting && held > limit * LASTS;
        before.told_lasting |= look.lasts;
        before.stall = Some(stall.clone());
        look.held = Some(stall);
        look
    }

    fn stall(&self, at: At, held: Duration, thread: &WatchedThread, clock: &SharedClock) -> Stall {
        let look = thread.look(&**clock);
        Stall {
            subscription: Some(at.subscription),
            handler: at.handler.to_string(),
            event: at.event,
            seq: at.seq,
            event_type: at.event_type,
            since: clock.now().before(held),
            held_ms: u64::try_from(held.as_millis()).unwrap_or(u64::MAX),
            class: look.class,
            cpu_ms: look
                .cpu
                .map(|cpu| u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX)),
            thread: self.thread.clone(),
            tid: self.tid,
            state: look.state,
            syscall: look.syscall,
            object: look.object,
            place: None,
        }
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lane({} {})", self.thread, self.tid)
    }
}

fn micros(reading: Duration) -> u64 {
    u64::try_from(reading.as_micros()).unwrap_or(u64::MAX)
}
