//! Notices a handler that holds a runtime thread without yielding.
//!
//! Time limits of async handlers work only while their thread comes back to the runtime. Each
//! thread therefore says, before it calls into a handler, whom and since when; a thread of the
//! watch, which runs no handlers, looks at these notes.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::SharedClock;
use crate::event::{Event, EventId, EventType};

/// How long a handler may hold a runtime thread in one go: other handlers wait meanwhile.
pub const HELD_MAX: Duration = Duration::from_secs(1);

/// A handler that holds a runtime thread at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Its name.
    pub handler: Arc<str>,
    /// The event it runs on.
    pub event: EventId,
    /// The event's type.
    pub event_type: EventType,
    /// For how long the thread has not come back.
    pub held: Duration,
    /// The thread's name.
    pub thread: String,
    /// The thread's number for the operating system; 0 where unknown.
    pub tid: u32,
    /// What the thread does, in the kernel's words, such as `sleeping in hrtimer_nanosleep`.
    pub doing: Option<String>,
}

/// Called once for each time that a handler held a thread for too long.
pub type Report = Box<dyn Fn(&Blocked) + Send + Sync>;

/// The watch over all runtime threads of a process.
pub struct Watch {
    clock: SharedClock,
    limit: Duration,
    report: Report,
    lanes: Mutex<Vec<Weak<Lane>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    stop: Mutex<bool>,
    stopped: Condvar,
}

/// What one thread is at.
#[derive(Debug)]
struct Lane {
    /// Monotonic microseconds; 0 while the thread runs no handler.
    since_us: AtomicU64,
    /// The `since_us` that was reported last, so that each stay is reported once.
    reported_us: AtomicU64,
    at: Mutex<Option<At>>,
    thread: String,
    tid: u32,
}

#[derive(Clone, Debug)]
struct At {
    handler: Arc<str>,
    event: EventId,
    event_type: EventType,
}

thread_local! {
    /// This thread's lane in each watch that it has met: one, outside tests. The weak reference
    /// keeps a watch's address from being used again while it is compared.
    static LANES: RefCell<Vec<(Weak<Watch>, Arc<Lane>)>> = const { RefCell::new(Vec::new()) };
}

impl Watch {
    /// A watch that reports stays longer than `limit` ([`HELD_MAX`]). It looks by itself only
    /// after [`Watch::start`].
    #[must_use]
    pub fn new(clock: SharedClock, limit: Duration, report: Report) -> Arc<Watch> {
        Arc::new(Watch {
            clock,
            limit,
            report,
            lanes: Mutex::default(),
            thread: Mutex::default(),
            stop: Mutex::new(false),
            stopped: Condvar::new(),
        })
    }

    /// Starts the watching thread. Does nothing if it runs.
    ///
    /// # Errors
    /// The system's, when it refuses a thread.
    pub fn start(self: &Arc<Watch>) -> std::io::Result<()> {
        let mut thread = lock(&self.thread);
        if thread.is_some() {
            return Ok(());
        }
        *lock(&self.stop) = false;
        let watch = Arc::clone(self);
        let handle = std::thread::Builder::new()
            .name("ringrift:watch".to_owned())
            .spawn(move || watch.look_on())?;
        *thread = Some(handle);
        Ok(())
    }

    /// Ends the watching thread and waits for its end. May be called twice.
    pub fn stop(&self) {
        *lock(&self.stop) = true;
        self.stopped.notify_all();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the watch over handlers panicked");
        }
    }

    /// Who holds a thread for longer than the limit now.
    #[must_use]
    pub fn blocked(&self) -> Vec<Blocked> {
        let now = self.clock.monotonic();
        let lanes: Vec<Arc<Lane>> = lock(&self.lanes).iter().filter_map(Weak::upgrade).collect();
        lanes
            .iter()
            .filter_map(|lane| lane.blocked(now, self.limit).map(|(blocked, _)| blocked))
            .collect()
    }

    /// Looks once and reports what was not reported yet; the watching thread does nothing else.
    pub fn look(&self) {
        let now = self.clock.monotonic();
        let lanes: Vec<Arc<Lane>> = {
            let mut lanes = lock(&self.lanes);
            lanes.retain(|lane| lane.strong_count() > 0);
            lanes.iter().filter_map(Weak::upgrade).collect()
        };
        for lane in lanes {
            if let Some((blocked, since_us)) = lane.blocked(now, self.limit)
                && lane.reported_us.swap(since_us, Ordering::Relaxed) != since_us
            {
                tracing::warn!(
                    handler = %blocked.handler,
                    event = %blocked.event,
                    event_type = %blocked.event_type,
                    held_ms = u64::try_from(blocked.held.as_millis()).unwrap_or(u64::MAX),
                    thread = %blocked.thread,
                    tid = blocked.tid,
                    doing = blocked.doing.as_deref().unwrap_or("unknown"),
                    "handler blocks a runtime thread"
                );
                (self.report)(&blocked);
            }
        }
    }

    fn look_on(&self) {
        let pause = (self.limit / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let mut stop = lock(&self.stop);
        while !*stop {
            let (next, _) = self
                .stopped
                .wait_timeout(stop, pause)
                .unwrap_or_else(PoisonError::into_inner);
            if *next {
                return;
            }
            drop(next);
            self.look();
            stop = lock(&self.stop);
        }
    }

    /// Notes that this thread calls into a handler, until the stay is dropped.
    pub(super) fn enter(self: &Arc<Watch>, handler: &Arc<str>, event: &Event) -> Stay {
        self.enter_at(self.clock.monotonic(), handler, event)
    }

    /// The same for a caller who has just looked at the clock.
    pub(super) fn enter_at(
        self: &Arc<Watch>,
        now: Duration,
        handler: &Arc<str>,
        event: &Event,
    ) -> Stay {
        let lane = self.lane();
        let at = At {
            handler: Arc::clone(handler),
            event: event.id,
            event_type: event.event_type.clone(),
        };
        let now_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let outer = lock(&lane.at).replace(at);
        let outer_since_us = lane.since_us.swap(now_us.max(1), Ordering::AcqRel);
        Stay {
            // A handler inside a handler gives the thread back to the outer one.
            outer: (outer_since_us != 0).then_some(outer).flatten(),
            lane,
            outer_since_us,
        }
    }

    fn lane(self: &Arc<Watch>) -> Arc<Lane> {
        LANES.with_borrow_mut(|lanes| {
            let here = Arc::as_ptr(self);
            if let Some((_, lane)) = lanes.iter().find(|(watch, _)| watch.as_ptr() == here) {
                return Arc::clone(lane);
            }
            lanes.retain(|(watch, _)| watch.strong_count() > 0);
            let lane = Arc::new(Lane::of_this_thread());
            let mut known = lock(&self.lanes);
            known.push(Arc::downgrade(&lane));
            lanes.push((Arc::downgrade(self), Arc::clone(&lane)));
            lane
        })
    }
}

/// One call into a handler by one thread.
pub(super) struct Stay {
    lane: Arc<Lane>,
    outer: Option<At>,
    outer_since_us: u64,
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Some(outer) = self.outer.take() {
            *lock(&self.lane.at) = Some(outer);
        }
        self.lane
            .since_us
            .store(self.outer_since_us, Ordering::Release);
    }
}

impl Lane {
    fn of_this_thread() -> Lane {
        Lane {
            since_us: AtomicU64::new(0),
            reported_us: AtomicU64::new(0),
            at: Mutex::new(None),
            thread: std::thread::current().name().unwrap_or("").to_owned(),
            tid: u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap_or(0),
        }
    }

    fn blocked(&self, now: Duration, limit: Duration) -> Option<(Blocked, u64)> {
        let since_us = self.since_us.load(Ordering::Acquire);
        if since_us == 0 {
            return None;
        }
        let held = now.saturating_sub(Duration::from_micros(since_us));
        if held <= limit {
            return None;
        }
        let at = lock(&self.at).clone()?;
        // The stay may have ended, and another begun, while we looked.
        if self.since_us.load(Ordering::Acquire) != since_us {
            return None;
        }
        let blocked = Blocked {
            handler: at.handler,
            event: at.event,
            event_type: at.event_type,
            held,
            thread: self.thread.clone(),
            tid: self.tid,
            doing: doing(self.tid),
        };
        Some((blocked, since_us))
    }
}

/// What the kernel says a thread of ours is at. Best effort: files may be absent or closed to us.
fn doing(tid: u32) -> Option<String> {
    let task = format!("/proc/self/task/{tid}");
    let stat = std::fs::read_to_string(format!("{task}/stat")).ok()?;
    let state = stat.rsplit_once(") ")?.1.chars().next()?;
    if state == 'R' {
        return Some("running on the processor".to_owned());
    }
    let place = std::fs::read_to_string(format!("{task}/wchan")).unwrap_or_default();
    let place = if place.len() > 1 {
        place.as_str()
    } else {
        "a system call"
    };
    let verb = if state == 'D' {
        "waiting for the disk"
    } else {
        "sleeping"
    };
    Some(format!("{verb} in {place}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
