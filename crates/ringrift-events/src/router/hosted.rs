//! The subscriptions that this process hosts.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use super::noted::Allowance;
use super::present::Looks;
use super::receipt::Route;
use crate::bus::{Delivered, Joined, Mailbox};
use crate::catalog::filter::Filter;
use crate::event::Event;
use crate::handler::Handler;
use crate::store::subscriptions::{Definition, Subscribed, SubscriptionId};

/// One subscription of this process and what it runs.
pub(super) struct Hosted {
    pub(super) id: SubscriptionId,
    /// It stood already when this process subscribed.
    pub(super) existed: bool,
    pub(super) name: Arc<str>,
    pub(super) definition: Definition,
    pub(super) filter: Option<Filter>,
    pub(super) handler: Arc<Handler>,
    pub(super) way: Way,
    /// Work may be there: set by the poller and by runs that end.
    pub(super) news: Notify,
    pub(super) has_news: AtomicBool,
    /// An event that it takes was seen in the log.
    pub(super) is_likely: AtomicBool,
    /// Redeliveries that wait for a slot or run.
    pub(super) retrying: AtomicUsize,
    /// Events of open claims, or taken from the mailbox, that wait for a slot.
    pub(super) unstarted: AtomicU64,
    /// How many facts about its deliveries may be kept.
    pub(super) facts: Allowance,
    /// What the looks at it remember.
    pub(super) looks: Looks,
    /// A restart of its loop: see the constants below.
    restart: AtomicU8,
    restart_asked: Notify,
    grace_ms: AtomicU64,
    stop: watch::Sender<bool>,
    /// The calls that are on their way to the user's function, and whether any may still start.
    starting: AtomicUsize,
    started: (Mutex<()>, Condvar),
    finished: (Mutex<bool>, Condvar),
}

/// How events come to it.
pub(super) enum Way {
    /// From the bus, through its mailbox.
    Live {
        /// Its place on the bus.
        joined: Joined,
        /// Its mailbox.
        mailbox: Arc<Mailbox>,
    },
    /// From the log, by claims.
    Durable,
}

impl Hosted {
    pub(super) fn new(
        subscribed: &Subscribed,
        definition: Definition,
        filter: Option<Filter>,
        handler: Arc<Handler>,
        way: Way,
    ) -> Arc<Hosted> {
        Arc::new(Hosted {
            id: subscribed.id,
            existed: subscribed.existed,
            name: Arc::from(definition.name.as_str()),
            definition,
            filter,
            handler,
            way,
            news: Notify::new(),
            has_news: AtomicBool::new(true),
            is_likely: AtomicBool::new(false),
            retrying: AtomicUsize::new(0),
            unstarted: AtomicU64::new(0),
            facts: Allowance::default(),
            looks: Looks::default(),
            restart: AtomicU8::new(RUNS),
            restart_asked: Notify::new(),
            grace_ms: AtomicU64::new(0),
            stop: watch::Sender::new(false),
            starting: AtomicUsize::new(0),
            started: (Mutex::default(), Condvar::new()),
            finished: (Mutex::new(false), Condvar::new()),
        })
    }

    /// Starts its loop.
    pub(super) fn run_in(
        self: &Arc<Self>,
        runtime: &Handle,
        events: impl Future<Output = ()> + Send + 'static,
    ) {
        let finished = Finish(Arc::clone(self));
        runtime.spawn(async move {
            events.await;
            drop(finished);
        });
    }

    /// Asks its loop to make room for a new one at the next place where it holds nothing: nothing
    /// that came is lost, and nothing runs twice.
    pub(super) fn ask_restart(&self) {
        self.restart.store(ASKED, Ordering::SeqCst);
        self.restart_asked.notify_one();
        self.tell_news();
    }

    /// Whether its loop is asked to make room.
    pub(super) fn is_asked(&self) -> bool {
        self.restart.load(Ordering::SeqCst) == ASKED
    }

    /// Completes once its loop is asked to make room. Safe to drop.
    pub(super) async fn until_asked(&self) {
        while !self.is_asked() {
            self.restart_asked.notified().await;
        }
    }

    /// The loop goes, unless whoever asked has changed his mind: then it goes on.
    pub(super) fn makes_room(&self) -> bool {
        let gone =
            self.restart
                .compare_exchange(ASKED, MADE_ROOM, Ordering::SeqCst, Ordering::SeqCst);
        gone.is_ok()
    }

    /// Waits on this thread until its loop has made room; `false` when it holds something still,
    /// and goes on as it was.
    pub(super) fn wait_room(&self, at_most: Duration) -> bool {
        let (finished, changed) = &self.finished;
        let guard = finished.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(guard, at_most, |finished| !*finished);
        drop(waited);
        let kept = self
            .restart
            .compare_exchange(ASKED, RUNS, Ordering::SeqCst, Ordering::SeqCst);
        if kept.is_ok() {
            self.tell_news();
            return false;
        }
        // It is on its way out, which takes no longer than its last transaction.
        let guard = finished.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(guard, FINISH_MARGIN, |finished| !*finished);
        drop(waited);
        *finished.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.restart.store(RUNS, Ordering::SeqCst);
        true
    }

    /// Says that work may be there.
    pub(super) fn tell_news(&self) {
        self.has_news.store(true, Ordering::SeqCst);
        self.news.notify_one();
    }

    /// Says that an event which it takes is in the log.
    pub(super) fn tell_event(&self) {
        self.is_likely.store(true, Ordering::SeqCst);
        self.tell_news();
    }

    /// Ends its calls: none starts any more, and what runs has `grace` to finish.
    pub(super) fn end(&self, grace: Duration) {
        let ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.grace_ms.store(ms, Ordering::SeqCst);
        self.starting.fetch_or(ENDED, Ordering::SeqCst);
        self.stop.send_replace(true);
    }

    /// Asks to start a call; `None` when its calls have ended. The answer is to be kept until the
    /// function is called. `called` is set with it, so that it says for good, once
    /// [`Hosted::end`] was called, whether the function was or will be.
    pub(super) fn start_call(self: &Arc<Self>, called: &AtomicBool) -> Option<CallStarts> {
        let starts = CallStarts::begin(Arc::clone(self))?;
        called.store(true, Ordering::SeqCst);
        Some(starts)
    }

    /// The same for whoever calls at once, so that nobody asks meanwhile whether it was.
    pub(super) fn start_call_now(&self) -> Option<CallStarts<&Hosted>> {
        CallStarts::begin(self)
    }

    /// Waits on this thread, after [`Hosted::end`], for calls that were on their way then: no call
    /// starts after this returns.
    pub(super) fn wait_started(&self) {
        let (lock, changed) = &self.started;
        let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let is_on_its_way = |(): &mut ()| self.starting.load(Ordering::SeqCst) & !ENDED > 0;
        // The bound is for a runtime without a free thread, whose calls start when it has one.
        drop(changed.wait_timeout_while(guard, START_MARGIN, is_on_its_way));
    }

    /// How long what runs may take to finish, once it ends.
    pub(super) fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms.load(Ordering::SeqCst))
    }

    /// Waits on this thread until its loop is over; a little longer than its grace at most.
    pub(super) fn wait_finished(&self) {
        let (finished, changed) = &self.finished;
        let at_most = self.grace() + FINISH_MARGIN;
        let guard = finished.lock().unwrap_or_else(PoisonError::into_inner);
        // Over or not, the caller goes on: the sweeper takes what is left.
        drop(changed.wait_timeout_while(guard, at_most, |finished| !*finished));
    }

    /// Waits on this thread, at most so long.
    pub(super) fn wait_idle(&self, at_most: Duration) {
        let (finished, changed) = &self.finished;
        let guard = finished.lock().unwrap_or_else(PoisonError::into_inner);
        drop(changed.wait_timeout(guard, at_most));
    }

    /// Whether [`Hosted::end`] was called.
    pub(super) fn is_ended(&self) -> bool {
        self.starting.load(Ordering::SeqCst) & ENDED != 0
    }

    /// Completes once [`Hosted::end`] was called. Safe to drop.
    pub(super) async fn until_ended(&self) {
        let mut stop = self.stop.subscribe();
        // An error means that the sender is gone, which is an end too.
        drop(stop.wait_for(|stop| *stop).await);
    }

    pub(super) fn takes(&self, event: &Event) -> bool {
        self.definition.types.takes(&event.event_type)
            && self
                .filter
                .as_ref()
                .is_none_or(|filter| filter.evaluate(&event.payload))
    }

    pub(super) fn mailbox(&self) -> Option<&Arc<Mailbox>> {
        match &self.way {
            Way::Live { mailbox, .. } => Some(mailbox),
            Way::Durable => None,
        }
    }
}

/// Its loop runs.
const RUNS: u8 = 0;
/// Its loop is asked to make room for a new one.
const ASKED: u8 = 1;
/// Its loop has made room.
const MADE_ROOM: u8 = 2;

/// In the number of calls on their way: no more start.
const ENDED: usize = 1 << (usize::BITS - 1);

/// One call on its way.
pub(super) struct CallStarts<H: Deref<Target = Hosted> = Arc<Hosted>>(H);

impl<H: Deref<Target = Hosted>> CallStarts<H> {
    fn begin(hosted: H) -> Option<CallStarts<H>> {
        let before = hosted.starting.fetch_add(1, Ordering::SeqCst);
        let starts = CallStarts(hosted);
        (before & ENDED == 0).then_some(starts)
    }
}

impl<H: Deref<Target = Hosted>> Drop for CallStarts<H> {
    fn drop(&mut self) {
        // Only an end waits for calls, and it is said before it waits.
        if self.0.starting.fetch_sub(1, Ordering::SeqCst) & ENDED != 0 {
            let (lock, changed) = &self.0.started;
            drop(lock.lock().unwrap_or_else(PoisonError::into_inner));
            changed.notify_all();
        }
    }
}

/// How long an end waits for calls that had passed the gate.
const START_MARGIN: Duration = Duration::from_secs(1);

/// Tells, however the loop ended, that it did.
struct Finish(Arc<Hosted>);

impl Drop for Finish {
    fn drop(&mut self) {
        let (finished, changed) = &self.0.finished;
        *finished.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }
}

/// What a loop may take beyond its grace, for its last transactions.
const FINISH_MARGIN: Duration = Duration::from_secs(2);

/// All of them.
#[derive(Default)]
pub(super) struct Hosts(Mutex<Known>);

#[derive(Default)]
struct Known {
    by_id: BTreeMap<SubscriptionId, Arc<Hosted>>,
    /// The live ones, as the bus names them.
    joined: BTreeMap<Joined, Arc<Hosted>>,
}

impl Hosts {
    pub(super) fn add(&self, hosted: &Arc<Hosted>) {
        let mut known = self.lock();
        if let Way::Live { joined, .. } = hosted.way {
            known.joined.insert(joined, Arc::clone(hosted));
        }
        known.by_id.insert(hosted.id, Arc::clone(hosted));
    }

    pub(super) fn remove(&self, id: SubscriptionId) -> Option<Arc<Hosted>> {
        let mut known = self.lock();
        let removed = known.by_id.remove(&id)?;
        if let Way::Live { joined, .. } = removed.way {
            known.joined.remove(&joined);
        }
        Some(removed)
    }

    pub(super) fn named(&self, name: &str) -> Option<Arc<Hosted>> {
        let known = self.lock();
        let mut all = known.by_id.values();
        all.find(|hosted| &*hosted.name == name).cloned()
    }

    pub(super) fn of(&self, id: SubscriptionId) -> Option<Arc<Hosted>> {
        self.lock().by_id.get(&id).cloned()
    }

    /// What the bus did with one event, under the names that its receipt has. Those that have only
    /// joined, and have no name yet, are left out.
    pub(super) fn routes(&self, delivered: &[Delivered]) -> Vec<Route> {
        let known = self.lock();
        let mut joined = known.joined.range(Joined(0)..);
        let each = delivered.iter().filter_map(|one| {
            // The bus goes in the order of joining: most often it is the next one.
            let is_it = |found: &(&Joined, &Arc<Hosted>)| *found.0 == one.subscription;
            let (_, hosted) = joined.next().filter(is_it).or_else(|| {
                joined = known.joined.range(one.subscription..);
                joined.next().filter(is_it)
            })?;
            Some(Route {
                subscription: hosted.id,
                name: Arc::clone(&hosted.name),
                code: one.code,
            })
        });
        let mut routes = Vec::with_capacity(delivered.len());
        routes.extend(each);
        routes
    }

    pub(super) fn all(&self) -> Vec<Arc<Hosted>> {
        self.lock().by_id.values().cloned().collect()
    }

    /// How many durable ones there are.
    pub(super) fn durable(&self) -> usize {
        let known = self.lock();
        known.by_id.len().saturating_sub(known.joined.len())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
