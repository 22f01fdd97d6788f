//! Notices a handler that holds a runtime thread without yielding.
//!
//! Time limits of async handlers work only while their thread comes back to the runtime. Each
//! thread therefore says, before it calls into a handler, whom and since when; a thread of the
//! watch, which runs no handlers, looks at these notes. A loop of another language has no such
//! threads: whoever measures it tells its stalls by [`Watch::foreign`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::lag::{Lag, Lags};
use super::lane::{At, Lane, Look};
use crate::clock::SharedClock;
use crate::event::Event;
use crate::store::records::Stall;
use crate::store::subscriptions::SubscriptionId;

/// How long a handler may hold a runtime thread in one go: other handlers wait meanwhile.
pub const HELD_MAX: Duration = Duration::from_secs(1);

/// What the watch tells.
#[derive(Clone, Copy, Debug)]
pub enum Noticed<'s> {
    /// A handler has held a thread for too long; told once for each stay.
    Began(&'s Stall),
    /// It has done so for five times the limit: told once, since its process may not live to tell
    /// the end.
    Lasts(&'s Stall),
    /// The thread came back.
    Ended(&'s Stall),
    /// Who holds threads now; told whenever that, or how long they do, has changed.
    Now(&'s [Stall]),
}

/// Is told what the watch notices.
pub type Report = Box<dyn Fn(Noticed<'_>) + Send + Sync>;

/// How many limits a stay lasts before it is told as lasting.
pub(super) const LASTS: u32 = 5;

/// The watch over all runtime threads of a process.
pub struct Watch {
    pub(super) clock: SharedClock,
    limit: Duration,
    report: Report,
    lanes: Mutex<Vec<Weak<Lane>>>,
    /// Stalls of loops that are measured elsewhere.
    foreign: Mutex<BTreeMap<u64, Stall>>,
    foreign_count: AtomicU64,
    /// Whom the last look told of.
    held: Mutex<Vec<Stall>>,
    lags: Arc<Lags>,
    thread: Mutex<Option<JoinHandle<()>>>,
    stop: Mutex<bool>,
    stopped: Condvar,
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
            lags: Lags::new(Arc::clone(&clock)),
            clock,
            limit,
            report,
            lanes: Mutex::default(),
            foreign: Mutex::default(),
            foreign_count: AtomicU64::new(0),
            held: Mutex::default(),
            thread: Mutex::default(),
            stop: Mutex::new(false),
            stopped: Condvar::new(),
        })
    }

    /// Starts the watching thread, which also measures how late tasks begin on `runtime`. Does
    /// nothing if it runs.
    ///
    /// # Errors
    /// The system's, when it refuses a thread.
    pub fn start(
        self: &Arc<Watch>,
        runtime: Option<tokio::runtime::Handle>,
    ) -> std::io::Result<()> {
        let mut thread = lock(&self.thread);
        if thread.is_some() {
            return Ok(());
        }
        *lock(&self.stop) = false;
        let watch = Arc::clone(self);
        let handle = std::thread::Builder::new()
            .name("ringrift:watch".to_owned())
            .spawn(move || watch.look_on(runtime.as_ref()))?;
        *thread = Some(handle);
        Ok(())
    }

    /// Ends the watching thread, waits for its end and looks once more: what came to its end since
    /// the last look, or holds a thread still, is told. May be called twice.
    pub fn stop(&self) {
        *lock(&self.stop) = true;
        self.stopped.notify_all();
        let Some(thread) = lock(&self.thread).take() else {
            return;
        };
        if thread.join().is_err() {
            tracing::error!("the watch over handlers panicked");
        }
        self.look();
        // Nobody will look again: those that have not lasted long enough to be told are told now.
        let told = (self.limit * LASTS).as_millis();
        for stall in self.held() {
            if u128::from(stall.held_ms) < told {
                (self.report)(Noticed::Lasts(&stall));
            }
        }
    }

    /// How late tasks begin on the runtime, as far as it was measured.
    #[must_use]
    pub fn lag(&self) -> Lag {
        self.lags.read()
    }

    /// Who held a thread at the last look.
    #[must_use]
    pub fn held(&self) -> Vec<Stall> {
        lock(&self.held).clone()
    }

    /// Looks once and reports what was not reported yet; the watching thread does nothing else. Says
    /// whether a handler is at it.
    pub fn look(&self) -> bool {
        let lanes: Vec<Arc<Lane>> = {
            let mut lanes = lock(&self.lanes);
            lanes.retain(|lane| lane.strong_count() > 0);
            lanes.iter().filter_map(Weak::upgrade).collect()
        };
        let mut now: Vec<Stall> = lock(&self.foreign).values().cloned().collect();
        let mut busy = !now.is_empty();
        for lane in lanes {
            let look = lane.look(&self.clock, self.limit);
            busy |= look.is_busy;
            if let Some(ended) = &look.ended {
                (self.report)(Noticed::Ended(ended));
            }
            self.tell_held(&look);
            now.extend(look.held);
        }
        let before = std::mem::replace(&mut *lock(&self.held), now.clone());
        if !before.is_empty() || !now.is_empty() {
            (self.report)(Noticed::Now(&now));
        }
        busy
    }

    fn tell_held(&self, look: &Look) {
        let Some(stall) = &look.held else { return };
        if look.is_new {
            tracing::warn!(
                handler = %stall.handler,
                event = %stall.event,
                event_type = %stall.event_type,
                held_ms = stall.held_ms,
                thread = %stall.thread,
                tid = stall.tid,
                class = stall.class.as_str(),
                syscall = stall.syscall.as_deref().unwrap_or("-"),
                "handler blocks a runtime thread"
            );
            (self.report)(Noticed::Began(stall));
        }
        if look.lasts {
            (self.report)(Noticed::Lasts(stall));
        }
    }

    fn look_on(&self, runtime: Option<&tokio::runtime::Handle>) {
        // While no thread runs a handler, the next look comes in time to see whoever begins now
        // before he is held too long, and to look more often from then on.
        let [busy, idle] = [self.limit / 4, self.limit]
            .map(|pause| pause.clamp(Duration::from_millis(10), Duration::from_secs(1)));
        let mut pause = busy;
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
            if let Some(runtime) = runtime {
                Lags::ask(&self.lags, runtime);
            }
            pause = match self.look() {
                true => busy,
                false => idle,
            };
            stop = lock(&self.stop);
        }
    }

    /// Notes that this thread calls into a handler, until the stay is dropped.
    pub(super) fn enter(
        self: &Arc<Watch>,
        now: Duration,
        (subscription, handler): (SubscriptionId, &Arc<str>),
        event: &Event,
    ) -> Stay {
        let lane = self.lane();
        let at = At {
            subscription,
            handler: Arc::clone(handler),
            event: event.id,
            seq: event.seq,
            event_type: event.event_type.clone(),
        };
        let (outer, outer_since_us) = lane.enter(now, at);
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
            let lane = Arc::new(Lane::of_this_thread(Arc::clone(&self.clock)));
            let mut known = lock(&self.lanes);
            known.push(Arc::downgrade(&lane));
            lanes.push((Arc::downgrade(self), Arc::clone(&lane)));
            lane
        })
    }

    /// Tells that a loop which is measured elsewhere, such as Python's, is held. It is shown and
    /// recorded like those of the runtime's threads, until the answer is ended or dropped.
    #[must_use]
    pub fn foreign(self: &Arc<Watch>, stall: Stall) -> ForeignStall {
        let number = self.foreign_count.fetch_add(1, Ordering::Relaxed);
        (self.report)(Noticed::Began(&stall));
        lock(&self.foreign).insert(number, stall);
        ForeignStall {
            watch: Arc::clone(self),
            number,
        }
    }
}

/// A loop of another language that is held, as long as this lives.
pub struct ForeignStall {
    watch: Arc<Watch>,
    number: u64,
}

impl ForeignStall {
    /// Tells what is known of it by now.
    pub fn update(&self, stall: Stall) {
        lock(&self.watch.foreign).insert(self.number, stall);
    }
}

impl Drop for ForeignStall {
    /// The loop came back: it is recorded as [`ForeignStall::update`] told it last.
    fn drop(&mut self) {
        let ended = lock(&self.watch.foreign).remove(&self.number);
        if let Some(stall) = ended {
            (self.watch.report)(Noticed::Ended(&stall));
        }
    }
}

/// One call into a handler by one thread.
#[derive(Debug)]
pub(super) struct Stay {
    lane: Arc<Lane>,
    outer: Option<At>,
    outer_since_us: u64,
}

impl Stay {
    /// Notes that the thread calls the same handler for another event from `now` on.
    pub(super) fn next(&self, now: Duration, event: &Event, same_type: bool) {
        self.lane.next(now, event, same_type);
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.lane.leave(self.outer.take(), self.outer_since_us);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
