//! One home in memory, and the handles of its processes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::state::{Life, World};
use crate::clock::{SharedClock, Signal};
use crate::event::ProcessId;
use crate::store::log::Appended;
use crate::store::pending::Answer;
use crate::store::registry::ProcessIdentity;
use crate::store::{Error, ErrorCode, Pending};

/// How long a process may be silent before its work is taken over, unless the hub says otherwise.
pub const LEASE: Duration = Duration::from_secs(30);

/// Most events a hub keeps; more are refused with [`ErrorCode::Backpressure`], because memory has
/// no disk to grow into.
pub const MEMORY_EVENTS_MAX: usize = 2_000_000;

/// One home in memory. Cheap to clone; every clone is the same home.
#[derive(Clone)]
pub struct MemoryHub(Arc<Home>);

pub(super) struct Home {
    world: Arc<Signal<World>>,
    clock: SharedClock,
}

/// One process's handle on a [`MemoryHub`].
pub struct MemoryStore {
    home: Arc<Home>,
    pub(super) me: ProcessId,
    courier: Mutex<Courier>,
}

/// Answers to appends whose follow-ups have not run yet, in commit order.
#[derive(Default)]
struct Courier {
    waiting: VecDeque<Answer<Vec<Appended>>>,
    /// Some thread of this process runs follow-ups now; it takes what others add.
    running: bool,
}

impl MemoryHub {
    /// An empty home with the default [`LEASE`].
    #[must_use]
    pub fn new(clock: SharedClock) -> MemoryHub {
        MemoryHub::with_lease(clock, LEASE)
    }

    /// An empty home whose processes count as hung after `lease` without a beat.
    #[must_use]
    pub fn with_lease(clock: SharedClock, lease: Duration) -> MemoryHub {
        let world = World::new(clock.random(), lease);
        MemoryHub(Arc::new(Home {
            world: Signal::new(world),
            clock,
        }))
    }

    /// Opens a handle for one process, as a start of a program would.
    #[must_use]
    pub fn open(&self, process: ProcessIdentity) -> Arc<MemoryStore> {
        let me = process.id;
        self.0.enter().join(process);
        Arc::new(MemoryStore {
            home: Arc::clone(&self.0),
            me,
            courier: Mutex::default(),
        })
    }

    /// Lets a process die without a word: what it ran stays as it was until another process takes
    /// over, and its handle answers nothing but [`ErrorCode::Closed`].
    pub fn kill(&self, process: ProcessId) {
        self.0.enter().end(process, Life::Dead);
        self.0.ring();
    }

    /// Lets a process's lease run out while its handle still works, as if it had been stopped and
    /// continued: what it answers afterwards is late. Its next beat makes it alive again.
    pub fn hang(&self, process: ProcessId) {
        self.0.enter().hang(process);
    }
}

impl Home {
    /// The world at the present time.
    pub(super) fn enter(&self) -> MutexGuard<'_, World> {
        let mut world = self.lock();
        world.now = self.clock.now();
        world.monotonic = self.clock.monotonic();
        world
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock()
    }

    pub(super) fn ring(&self) {
        self.lock().bell += 1;
        self.world.notify();
    }
}

impl MemoryStore {
    /// Runs one verb; the answer is there when this returns.
    pub(super) fn verb<T: Clone + Send + 'static>(
        &self,
        run: impl FnOnce(&mut World, ProcessId) -> Result<T, Error>,
    ) -> Pending<T> {
        let mut world = self.home.enter();
        let result = open(&world, self.me).and_then(|()| run(&mut world, self.me));
        drop(world);
        Pending::ready(result)
    }

    /// Touches the world without an answer; nothing happens on a closed handle.
    pub(super) fn touch<T>(&self, run: impl FnOnce(&mut World, ProcessId) -> T) -> Option<T> {
        let mut world = self.home.enter();
        open(&world, self.me).ok()?;
        Some(run(&mut world, self.me))
    }

    /// Runs an append whose follow-up `then` is to run in commit order, and rings.
    pub(super) fn append_verb(
        &self,
        then: Option<crate::store::log::OnCommit>,
        run: impl FnOnce(&mut World) -> Result<Vec<Appended>, Error>,
    ) -> Pending<Vec<Appended>> {
        let (answer, pending) = match then {
            Some(then) => Pending::channel_then(then),
            None => Pending::channel(),
        };
        let mut world = self.home.enter();
        let result = open(&world, self.me).and_then(|()| run(&mut world));
        let appended = result.is_ok();
        answer.fill(result);
        // Queued under the world's lock, so that the queue's order is the order of the commits.
        self.courier().waiting.push_back(answer);
        drop(world);
        if appended {
            self.home.ring();
        }
        self.deliver();
        pending
    }

    pub(super) fn ring_all(&self) {
        self.home.ring();
    }

    pub(super) fn leave(&self) {
        let mut world = self.home.enter();
        if open(&world, self.me).is_ok() {
            world.leave(self.me);
        }
        drop(world);
        self.home.ring();
    }

    pub(super) fn wait_bell(&self, seen: u64, at_most: Duration) -> u64 {
        let world = self
            .home
            .world
            .wait_while(&*self.home.clock, at_most, |world| {
                world.bell == seen && open(world, self.me).is_ok()
            });
        world.bell
    }

    /// Runs follow-ups until none is left. One thread at a time; the others leave theirs to it, as
    /// does a follow-up that appends: it would otherwise run inside itself.
    fn deliver(&self) {
        {
            let mut courier = self.courier();
            if courier.running {
                return;
            }
            courier.running = true;
        }
        let _stop = Stop(self);
        loop {
            let answer = {
                let mut courier = self.courier();
                let Some(answer) = courier.waiting.pop_front() else {
                    // Under the same lock as the look at the queue: an answer added from now on
                    // finds nobody running.
                    courier.running = false;
                    return;
                };
                answer
            };
            answer.wake();
        }
    }

    fn courier(&self) -> MutexGuard<'_, Courier> {
        self.courier.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets others run follow-ups again when one panicked.
struct Stop<'a>(&'a MemoryStore);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.courier().running = false;
        }
    }
}

fn open(world: &World, me: ProcessId) -> Result<(), Error> {
    let member = world.members.get(&me).filter(|m| m.life == Life::Alive);
    member.map(|_| ()).ok_or_else(|| {
        Error::new(
            ErrorCode::Closed,
            format!("the store handle of process {me} is closed"),
        )
    })
}
