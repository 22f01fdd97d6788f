//! This handle among the processes of its database: its page, the shared page, the roles it hosts.
//!
//! It owns mappings and plain values, no descriptor: any thread may use and drop it. What opens
//! files says so and runs on a database thread.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crossbeam_utils::sync::ShardedLock;

use super::verb::Plain;
use crate::clock::{Clock, SharedClock, SystemClock, Time};
use crate::event::{ProcessId, Seq};
use crate::store::Error;
use crate::store::pages::{
    self, Bells, Life, OwnPage, PAGE_MAGIC, Rides, Roles, Seen, SharedPage, Side, Standing, Tail,
    Turnstile, Watch,
};
use crate::store::records::{Present, Stall};
use crate::store::registry::{Counters, Recent, Running, Slot};
use crate::verdict::Effort;

/// Claims of a process go to others when it has not beaten for this long.
pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// A living process is hung when its last beat is older than this.
pub(crate) const HUNG_AFTER: Duration = Duration::from_secs(10);

/// How often the database is looked at for writers that do not ring. Four processes then cost
/// less than a thousandth of a core.
pub(crate) const FOREIGN_POLL: Duration = Duration::from_millis(500);

/// How often the database is asked for commands that nobody told of.
const COMMANDS_LOOK: Duration = Duration::from_secs(1);

/// The settings of a presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PresenceSettings {
    /// [`LEASE`].
    pub(crate) lease: Duration,
    /// [`HUNG_AFTER`].
    pub(crate) hung_after: Duration,
    /// [`FOREIGN_POLL`].
    pub(crate) foreign_poll: Duration,
}

impl Default for PresenceSettings {
    fn default() -> PresenceSettings {
        PresenceSettings {
            lease: LEASE,
            hung_after: HUNG_AFTER,
            foreign_poll: FOREIGN_POLL,
        }
    }
}

/// One handle among the others.
pub(crate) struct Presence {
    side: Side,
    process: ProcessId,
    clock: SharedClock,
    settings: PresenceSettings,
    /// Every handler thread writes to it at each run: a lock whose readers meet nowhere.
    own: ShardedLock<Option<OwnPage>>,
    shared: Option<Arc<SharedPage>>,
    roles: Roles,
    /// Raised when the database changed without a ring.
    foreign: AtomicU32,
    /// Somebody looks for such changes.
    looked_after: AtomicBool,
    /// When to guess next where nobody does, in microseconds of the boot clock.
    guess_at_us: AtomicU64,
    commands: CommandWatch,
    closed: AtomicBool,
}

/// When to take commands: taking them needs the write lock, and every ring asks.
struct CommandWatch {
    /// The shared count when they were last taken; above 2³² before the first time.
    taken_at: AtomicU64,
    /// A look at the database found some.
    found: Arc<AtomicBool>,
    /// When to look next, in microseconds of the boot clock.
    look_at_us: AtomicU64,
    /// The count of foreign changes at the last look; above 2³² before the first one.
    looked_at: AtomicU64,
}

/// What to do about commands.
#[derive(Debug)]
pub(crate) enum CommandsDue {
    /// Take them.
    Take,
    /// There are none that anybody told of.
    No,
    /// The same, and it is time to ask the database; set the flag if it has some.
    Look(Arc<AtomicBool>),
}

// Mappings, atomics, paths and a clock: none of them owns a descriptor or a waker.
impl Plain for Arc<Presence> {}

impl Presence {
    /// Makes this process's page and opens the shared one. On a database thread, before the
    /// process's row is written: a row without a page means a dead process.
    ///
    /// # Errors
    /// [`crate::store::ErrorCode::TwoHomes`] when a live process keeps a page here for another
    /// file; `Newer` when one keeps the shared page in another layout; `Full`; `ReadOnly`.
    pub(crate) fn open(
        side: Side,
        process: ProcessId,
        clock: SharedClock,
        settings: PresenceSettings,
    ) -> Result<Arc<Presence>, Error> {
        for neighbour in side.pages()? {
            if let Some((head, true)) = pages::glance(&side, neighbour)?
                && side.judge(&head, PAGE_MAGIC) == Standing::OtherDatabase
            {
                return Err(side.two_homes(&side.page_path(neighbour), head.pid));
            }
        }
        side.unlink_unfinished(clock.now().0 / 1_000_000)?;
        let shared = SharedPage::open(&side, process)?;
        let own = OwnPage::create(&side, process, Arc::clone(&clock), settings.lease)?;
        Ok(Arc::new(Self::of(
            side,
            process,
            clock,
            settings,
            Some(own),
            Some(shared),
        )))
    }

    /// A presence that nobody sees, for handles that change nothing. Listens to the doorbell if
    /// there is one. On a database thread.
    pub(crate) fn open_unseen(
        side: Side,
        process: ProcessId,
        clock: SharedClock,
        settings: PresenceSettings,
    ) -> Arc<Presence> {
        let shared = SharedPage::open_as_it_is(&side);
        Arc::new(Self::of(side, process, clock, settings, None, shared))
    }

    fn of(
        side: Side,
        process: ProcessId,
        clock: SharedClock,
        settings: PresenceSettings,
        own: Option<OwnPage>,
        shared: Option<Arc<SharedPage>>,
    ) -> Presence {
        Presence {
            side,
            process,
            clock,
            settings,
            own: ShardedLock::new(own),
            shared,
            roles: Roles::default(),
            foreign: AtomicU32::new(0),
            looked_after: AtomicBool::new(false),
            guess_at_us: AtomicU64::new(0),
            commands: CommandWatch {
                taken_at: AtomicU64::new(u64::MAX),
                found: Arc::new(AtomicBool::new(false)),
                look_at_us: AtomicU64::new(0),
                looked_at: AtomicU64::new(u64::MAX),
            },
            closed: AtomicBool::new(false),
        }
    }

    /// Where the side files lie.
    pub(crate) fn side(&self) -> &Side {
        &self.side
    }

    /// Who this is.
    pub(crate) fn process(&self) -> ProcessId {
        self.process
    }

    /// The page of all processes; none for a handle that changes nothing where nobody made one.
    pub(crate) fn shared(&self) -> Option<&Arc<SharedPage>> {
        self.shared.as_ref()
    }

    /// The line of writers.
    pub(crate) fn turnstile(&self) -> Option<Turnstile> {
        self.shared.clone().map(Turnstile::new)
    }

    /// The log's tail, where what was just appended stands; none in a rehearsal, whose time is its own.
    pub(crate) fn tail(&self, incarnation: u64) -> Option<Tail> {
        let shared = self.shared.clone();
        let shared = shared.filter(|_| self.clock.timers().is_none());
        shared.map(|shared| Tail::new(shared, incarnation))
    }

    /// The rides with whoever writes; none in a rehearsal, whose time is its own.
    pub(crate) fn rides(&self) -> Option<Rides> {
        let shared = self.shared.clone();
        let shared = shared.filter(|_| self.clock.timers().is_none());
        shared.map(Rides::new)
    }

    /// The roles this handle hosts.
    pub(crate) fn roles(&self) -> &Roles {
        &self.roles
    }

    /// What a process's page says at this moment; `None` when it has none. On a database thread.
    pub(crate) fn look(&self, process: ProcessId) -> Result<Option<Seen>, Error> {
        pages::look(&self.side, process, self.watch())
    }

    /// How a process lives, by its page; `None` when it has none. On a database thread.
    pub(crate) fn life(&self, process: ProcessId) -> Result<Option<Life>, Error> {
        pages::life(&self.side, process, self.watch())
    }

    fn watch(&self) -> Watch {
        Watch {
            now: self.clock.monotonic(),
            hung_after: self.settings.hung_after,
        }
    }

    /// Writes heartbeat and counters, and extends the lease.
    pub(crate) fn beat(&self, counters: Counters, polled_to: Seq) {
        self.with_own(|own| own.beat(counters, polled_to));
    }

    /// Extends the lease.
    #[cfg(test)]
    pub(crate) fn touch(&self) {
        self.with_own(OwnPage::touch);
    }

    /// See [`OwnPage::started`].
    pub(crate) fn started(&self, running: &Running) -> Option<Slot> {
        self.with_own(|own| own.started(running)).flatten()
    }

    /// See [`OwnPage::next`].
    pub(crate) fn next(&self, slot: Option<Slot>, running: &Running) -> Option<Slot> {
        self.with_own(|own| own.next(slot, running)).flatten()
    }

    /// See [`OwnPage::vacant`].
    pub(crate) fn vacant(&self, slot: Option<Slot>) {
        self.with_own(|own| own.vacant(slot));
    }

    /// See [`OwnPage::recent`].
    pub(crate) fn recent(&self, recent: &[Recent]) {
        self.with_own(|own| own.recent(recent));
    }

    /// See [`OwnPage::step`].
    pub(crate) fn step(&self, slot: Slot, step: &str) {
        self.with_own(|own| own.step(slot, step));
    }

    /// See [`OwnPage::progress`].
    pub(crate) fn progress(&self, slot: Slot, effort: &Effort) {
        self.with_own(|own| own.progress(slot, effort));
    }

    /// See [`OwnPage::show`].
    pub(crate) fn show(&self, present: &Present) {
        self.with_own(|own| own.show(present));
    }

    /// See [`OwnPage::show_stalls`].
    pub(crate) fn show_stalls(&self, stalls: &[Stall]) {
        self.with_own(|own| own.show_stalls(stalls));
    }

    /// See [`OwnPage::abandoned`].
    pub(crate) fn abandoned(&self, slot: Slot) {
        self.with_own(|own| own.abandoned(slot));
    }

    /// See [`OwnPage::ended`].
    pub(crate) fn ended(&self, slot: Option<Slot>, recent: &Recent) {
        self.with_own(|own| own.ended(slot, recent));
    }

    /// Finds out who holds the write lock that this process has been waiting for since `since`,
    /// and shows it on the page. On a database thread that has the database open.
    pub(crate) fn note_blocked(&self, since: Time) -> Option<(u32, String)> {
        let holder = pages::write_lock_holder(self.side.database())?;
        self.with_own(|own| own.blocked_by(holder.0, &holder.1, since));
        Some(holder)
    }

    /// What this process runs, the longest first.
    pub(crate) fn running(&self) -> Vec<Running> {
        let own = self.with_own(OwnPage::process);
        let seen = own.and_then(|own| self.look(own).ok().flatten());
        let mut running = seen.and_then(|seen| seen.running).unwrap_or_default();
        running.sort_by_key(|running| running.since);
        running
    }

    /// The wait is over: nobody is in the way any more.
    pub(crate) fn note_unblocked(&self) {
        self.with_own(|own| own.blocked_by(0, "", Time(0)));
    }

    /// Rings these bells in every process. Memory and a futex.
    pub(crate) fn ring(&self, bells: Bells) {
        if let Some(shared) = &self.shared {
            shared.ring(bells);
        }
    }

    /// What the pages of the log begin with: its end, in the write transaction that asks for it.
    pub(crate) fn begin_log(&self, incarnation: u64, end: Seq) {
        if let Some(shared) = &self.shared {
            shared.limit_synced(end);
            Tail::new(Arc::clone(shared), incarnation).begin(end);
        }
    }

    /// How often a commit was told of, modulo 2³².
    pub(crate) fn told(&self) -> u32 {
        self.shared.as_ref().map_or(0, |shared| shared.told())
    }

    /// How often to look for commits that nobody tells of.
    pub(crate) fn foreign_poll(&self) -> Duration {
        self.settings.foreign_poll
    }

    /// From now on somebody looks for them, and says so by [`Presence::changed`].
    pub(crate) fn begin_looking(&self) {
        self.looked_after.store(true, Ordering::SeqCst);
        // What came before the first look is in nobody's account.
        self.changed(true);
    }

    /// The database was changed, maybe by a commit that nobody told of: that is news. `wakes` whoever
    /// waits for some.
    pub(crate) fn changed(&self, wakes: bool) {
        self.foreign.fetch_add(1, Ordering::SeqCst);
        if let (Some(shared), true) = (&self.shared, wakes) {
            shared.nudge();
        }
    }

    /// Blocks until one of these bells rings or the database was changed without one, at most
    /// `at_most`; answers what to pass as `seen` next time.
    pub(crate) fn wait_for_news(&self, bells: Bells, seen: u64, at_most: Duration) -> u64 {
        let until = SystemClock.monotonic().saturating_add(at_most);
        let is_new = || self.news(bells) != seen || self.closed.load(Ordering::SeqCst);
        loop {
            let left = until.saturating_sub(SystemClock.monotonic());
            if is_new() || left.is_zero() {
                return self.news(bells);
            }
            let slice = left.min(self.slice());
            match &self.shared {
                Some(shared) => shared.listen(bells, slice, is_new),
                None => pages::pause(slice),
            }
            if !is_new() {
                self.guess();
            }
        }
    }

    /// How long to wait without a look for changes that wake nobody: those beside a ring for others,
    /// which are rare, and all of them where the page cannot be written to.
    fn slice(&self) -> Duration {
        let wakes = self.looked_after.load(Ordering::SeqCst)
            && self.shared.as_ref().is_some_and(|shared| shared.writable());
        self.settings.foreign_poll * if wakes { 2 } else { 1 }
    }

    /// Where nobody looks, it is taken for changed from time to time.
    fn guess(&self) {
        if self.looked_after.load(Ordering::SeqCst) {
            return;
        }
        let now = pages::micros(SystemClock.monotonic());
        let due = self.guess_at_us.load(Ordering::SeqCst);
        let next = now + pages::micros(self.settings.foreign_poll);
        let (set, fetch) = (Ordering::SeqCst, Ordering::SeqCst);
        let guesses = &self.guess_at_us;
        if now >= due && guesses.compare_exchange(due, next, set, fetch).is_ok() {
            self.changed(false);
        }
    }

    /// Whether commands may wait for this process. Memory only; at most once a second, when the
    /// database was seen to change, it asks for a look, for commands left by somebody who does not
    /// share the page.
    pub(crate) fn may_have_commands(&self) -> CommandsDue {
        let watch = &self.commands;
        let left = self.shared.as_ref().map_or(0, |shared| shared.commands());
        let told = watch.taken_at.swap(u64::from(left), Ordering::SeqCst) != u64::from(left);
        if watch.found.swap(false, Ordering::SeqCst) || told {
            return CommandsDue::Take;
        }
        let now = pages::micros(SystemClock.monotonic());
        let due = watch.look_at_us.load(Ordering::SeqCst);
        let next = now + pages::micros(COMMANDS_LOOK);
        let mine = now >= due
            && watch
                .look_at_us
                .compare_exchange(due, next, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok();
        let foreign = u64::from(self.foreign.load(Ordering::SeqCst));
        if mine && watch.looked_at.swap(foreign, Ordering::SeqCst) != foreign {
            CommandsDue::Look(Arc::clone(&watch.found))
        } else {
            CommandsDue::No
        }
    }

    /// What is new of these bells: the value to wait for a change of.
    pub(crate) fn news(&self, bells: Bells) -> u64 {
        let rings = self.shared.as_ref().map_or(0, |shared| shared.rings(bells));
        u64::from(self.foreign.load(Ordering::SeqCst)) << 32 | u64::from(rings)
    }

    /// Gives the roles and the page back. Call it once the leaving is committed. May be called
    /// twice; everything afterwards does nothing.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.roles.resign_all();
        let mut own = self.own.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = own.take() {
            page.left();
        }
        drop(own);
        // Whoever waits for news here ends; elsewhere they look who is left.
        self.ring(Bells::WORK);
    }

    /// Ends as a killed process does: its page loses its lock and says nothing.
    #[cfg(test)]
    pub(crate) fn die(&self) {
        let mut own = self.own.write().unwrap_or_else(PoisonError::into_inner);
        drop(own.take());
        self.roles.resign_all();
    }

    fn with_own<T>(&self, act: impl FnOnce(&OwnPage) -> T) -> Option<T> {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        own.as_ref().map(act)
    }
}

impl std::fmt::Debug for Presence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Presence({} beside {:?})",
            self.process,
            self.side.database()
        )
    }
}
