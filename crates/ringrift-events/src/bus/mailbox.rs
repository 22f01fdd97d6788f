//! One live subscription's events, between those who deliver and the one who handles.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::marks::{Flow, Lag, Marks, Reach};
use crate::event::{Event, ProcessId, Seq};
use crate::verdict::Code;

/// Most events that wait in one mailbox. Enough for a handler that pauses for seconds at the
/// highest stated rate; more would only hide that it cannot keep up, and the log has the rest.
pub const MAILBOX_CAPACITY: usize = 10_000;

/// Most handled events that wait in one mailbox for whoever delivers next.
const SPENT_MAX: usize = 64;

/// So many are taken at once.
const SPENT_AT_ONCE: usize = SPENT_MAX / 2;

/// Larger payloads do not wait.
const SPENT_BYTES_MAX: usize = 4 << 10;

/// What became of an event that was offered to a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It is in the mailbox.
    Taken,
    /// The subscription began after it: it is not for this one.
    Before,
    /// The owner has read it from the log already: it is delivered once, by that way.
    Passed,
    /// The mailbox is full, or behind: the owner will find it in the log.
    Lagging,
    /// The mailbox is full and the event is in no log: this subscription does not get it.
    Refused,
    /// The subscription has ended.
    Closed,
}

impl Offered {
    /// The verdict to record or show.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            Offered::Taken | Offered::Passed => Code::RtMatched,
            Offered::Before => Code::RtSubscribedLater,
            Offered::Lagging => Code::WtLagging,
            Offered::Refused => Code::RtRefused,
            Offered::Closed => Code::RtUnsubscribed,
        }
    }
}

/// One live subscription's mailbox: any number of threads offer, one owner takes.
///
/// It is made *joining*: bridged events are buffered, for whether they are owed is only known
/// when the store has said where the subscription begins ([`Mailbox::release`]); volatile events
/// count from the release on. Then it is *live*, and *lagging* from the first bridged event that
/// found it full until [`Mailbox::caught_up`].
#[derive(Debug)]
pub struct Mailbox {
    process: ProcessId,
    capacity: usize,
    reach: Arc<Reach>,
    state: Mutex<State>,
    news: Notify,
    /// Something may be there to take: what a look without the lock sees.
    has_news: AtomicBool,
}

#[derive(Debug)]
struct State {
    joining: bool,
    closed: bool,
    events: VecDeque<Arc<Event>>,
    /// How many of `events` are in the log.
    bridged: usize,
    accepted: Marks,
    /// The place after which the log must be read, and the last place offered since.
    lag: Option<(Seq, Seq)>,
    /// Handled ones, to be dropped by who delivers: it made them, and an allocator lets whoever frees
    /// another thread's memory wait for that thread.
    spent: Vec<Arc<Event>>,
}

/// Events that their owner has handled and gives back with the next [`Mailbox::take_into`].
#[derive(Debug, Default)]
pub struct Spent(Vec<Arc<Event>>);

impl Spent {
    /// Notes an event, where its handler is one of the last who have it: only then is there memory
    /// to free soon.
    pub fn note(&mut self, event: &Arc<Event>) {
        const LAST: usize = 3;
        let is_last = Arc::strong_count(event) <= LAST;
        if is_last && self.0.len() < SPENT_MAX && event.payload.as_str().len() <= SPENT_BYTES_MAX {
            self.0.push(Arc::clone(event));
        }
    }
}

impl Mailbox {
    pub(super) fn new(process: ProcessId, capacity: usize, reach: Arc<Reach>) -> Mailbox {
        Mailbox {
            process,
            capacity,
            reach,
            state: Mutex::new(State {
                joining: true,
                closed: false,
                events: VecDeque::new(),
                bridged: 0,
                accepted: Marks::START,
                lag: None,
                spent: Vec::new(),
            }),
            news: Notify::new(),
            has_news: AtomicBool::new(false),
        }
    }

    /// Puts an event in, if it is owed and there is room. Never waits for the owner.
    ///
    /// Own events must be offered in commit order, others' in log order; the two may mix.
    pub fn offer(&self, event: &Arc<Event>) -> Offered {
        let (offered, wake, spent) = {
            let mut state = self.lock();
            let idle = state.events.is_empty() && state.lag.is_none();
            let offered = match event.seq {
                _ if state.closed => Offered::Closed,
                None => state.offer_volatile(event, self.capacity),
                Some(seq) => self.offer_bridged(&mut state, event, seq),
            };
            let news = matches!(offered, Offered::Taken | Offered::Lagging);
            let spent = match state.spent.len() {
                SPENT_AT_ONCE.. => std::mem::take(&mut state.spent),
                _ => Vec::new(),
            };
            (offered, idle && news && !state.joining, spent)
        };
        drop(spent);
        if wake {
            self.tell_news();
        }
        offered
    }

    fn offer_bridged(&self, state: &mut State, event: &Arc<Event>, seq: Seq) -> Offered {
        let flow = if event.origin == self.process {
            Flow::Own
        } else {
            Flow::Others
        };
        if seq <= state.accepted.of(flow) {
            return Offered::Passed;
        }
        if let Some((_, last)) = &mut state.lag {
            *last = (*last).max(seq);
            return Offered::Lagging;
        }
        if state.events.len() >= self.capacity {
            // Events of the other flow, below this one, may still be on their way: the log is
            // read from where both flows are known to have been, and the marks leave out what
            // came already.
            let before = Seq(seq.0 - 1).min(self.reach.both());
            state.lag = Some((before.max(state.accepted.lower()), seq));
            return Offered::Lagging;
        }
        state.accepted.raise(flow, seq);
        state.events.push_back(Arc::clone(event));
        state.bridged += 1;
        Offered::Taken
    }

    /// Ends the joining: events below `valid_from` are not for this subscription.
    pub fn release(&self, valid_from: Seq) {
        let before = Seq(valid_from.0 - 1);
        let mut state = self.lock();
        if !state.joining {
            return;
        }
        state.joining = false;
        // Only bridged ones were buffered.
        state.events.retain(|event| event.seq >= Some(valid_from));
        state.bridged = state.events.len();
        state.accepted.raise_both(before);
        if let Some((_, last)) = state.lag {
            // What overflowed while joining may lie wholly before the beginning; else the log is
            // read from there, for nobody knew yet what was owed.
            state.lag = (last >= valid_from).then_some((before, last));
        }
        drop(state);
        self.tell_news();
    }

    fn tell_news(&self) {
        self.has_news.store(true, Ordering::Release);
        self.news.notify_one();
    }

    /// Takes the oldest events, at most `max`. Empty while joining and when there is none.
    #[must_use]
    pub fn take(&self, max: usize) -> Vec<Arc<Event>> {
        let mut taken = VecDeque::new();
        self.take_into(&mut taken, max, &mut Spent::default());
        taken.into()
    }

    /// The same into a buffer that the owner keeps: an empty one is exchanged with the mailbox's
    /// own, so that a batch of any size costs the same. What is spent goes to whoever delivers next, as
    /// far as there is room for it. Answers how many events were added.
    pub fn take_into(
        &self,
        into: &mut VecDeque<Arc<Event>>,
        max: usize,
        spent: &mut Spent,
    ) -> usize {
        let mut state = self.lock();
        if state.joining {
            return 0;
        }
        if !state.closed {
            let room = SPENT_MAX - state.spent.len();
            state.spent.extend(spent.0.drain(..spent.0.len().min(room)));
        }
        // Whoever offers the next event after this one says so anew.
        self.has_news.store(false, Ordering::Relaxed);
        let count = state.events.len().min(max);
        if into.is_empty() && count == state.events.len() {
            std::mem::swap(into, &mut state.events);
            state.bridged = 0;
        } else {
            let before = into.len();
            into.extend(state.events.drain(..count));
            let bridged = into.range(before..).filter(|event| event.seq.is_some());
            state.bridged -= bridged.count();
        }
        drop(state);
        spent.0.clear();
        count
    }

    /// Waits until there is something to take, the mailbox lags, or it is closed.
    ///
    /// A lagging mailbox is always ready, so the owner asks [`Mailbox::lag`] whenever it took
    /// nothing. One owner at a time may wait. Safe to drop.
    pub async fn ready(&self) {
        loop {
            {
                let state = self.lock();
                let news = !state.events.is_empty() || state.lag.is_some();
                if state.closed || (news && !state.joining) {
                    return;
                }
            }
            self.news.notified().await;
        }
    }

    /// Whether news came since something was taken: a look that costs nobody anything, for whoever
    /// looks again and again before he waits for [`Mailbox::ready`].
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.has_news.load(Ordering::Acquire)
    }

    /// What is to be read from the log; `None` while it does not lag.
    ///
    /// Also `None` while bridged events are buffered: they were accepted before the lag began and
    /// come first. The answer stays the same for as long as the lag lasts.
    #[must_use]
    pub fn lag(&self) -> Option<Lag> {
        let state = self.lock();
        let (after, _) = state.lag.filter(|_| !state.joining && state.bridged == 0)?;
        Some(Lag {
            after,
            accepted: state.accepted,
            process: self.process,
        })
    }

    /// After which place it reads from the log, or will once what it took before is handled; `None`
    /// while it does not lag.
    #[must_use]
    pub fn lags_after(&self) -> Option<Seq> {
        let state = self.lock();
        let (after, _) = state.lag.filter(|_| !state.joining)?;
        Some(after)
    }

    /// Ends the lag if the log was read up to everything that was offered meanwhile; later offers
    /// at or below `read_to` are then passed over. `false`: read on.
    pub fn caught_up(&self, read_to: Seq) -> bool {
        let mut state = self.lock();
        match state.lag {
            None => true,
            Some((_, last)) if read_to < last => false,
            Some(_) => {
                state.lag = None;
                state.accepted.raise_both(read_to);
                true
            }
        }
    }

    /// Ends the mailbox at once and answers what nobody had taken. Idempotent.
    pub fn close(&self) -> Vec<Arc<Event>> {
        let left = {
            let mut state = self.lock();
            state.closed = true;
            state.lag = None;
            state.bridged = 0;
            state.spent = Vec::new();
            std::mem::take(&mut state.events)
        };
        self.tell_news();
        left.into()
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// How many events wait in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().events.len()
    }

    /// Whether none waits in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn offer_volatile(&mut self, event: &Arc<Event>, capacity: usize) -> Offered {
        if self.joining {
            return Offered::Before;
        }
        if self.events.len() >= capacity {
            return Offered::Refused;
        }
        self.events.push_back(Arc::clone(event));
        Offered::Taken
    }
}

#[cfg(test)]
#[path = "mailbox_tests.rs"]
mod tests;
