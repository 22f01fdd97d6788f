//! A home with a system that works, and the proof that a refusal left it as it was.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ringrift_events::clock::{Clock as _, SystemClock};
use ringrift_events::config::{Config, ConfigSources, Home};
use ringrift_events::event::EventId;
use ringrift_events::handler::Function;
use ringrift_events::router::{Error, Publish, Receipt, Subscribe};
use ringrift_events::store::log::Page;
use ringrift_events::system::{self, System};

/// Opens the system of a home as a process would.
pub(crate) fn open(home: &Path) -> Result<System, system::Error> {
    open_with(home, &[])
}

/// The same with settings of its own.
pub(crate) fn open_with(home: &Path, settings: &[&str]) -> Result<System, system::Error> {
    let mut sources = ConfigSources::of_process(Home::at(home));
    let ours = [
        "store.disk_free_min_percent=0",
        "store.busy_limit=5s",
        "store.lease=2s",
        "process.hung_after=2s",
        "dlq.backoff_first=50ms",
    ];
    let all = ours.iter().chain(settings);
    sources.flags = all.map(|setting| (*setting).to_owned()).collect();
    System::open(Config::load(sources).map_err(system::Error::from)?)
}

/// A home that goes with the test.
pub(crate) struct Ground(tempfile::TempDir);

impl Ground {
    pub(crate) fn new() -> Ground {
        Ground(tempfile::tempdir().unwrap())
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.0.path().join("home")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn database(&self) -> PathBuf {
        database(&self.home())
    }

    /// A home that was used: so many events are in its log, and its system was closed.
    pub(crate) fn used(events: usize) -> Ground {
        let ground = Ground::new();
        let works = Works::open(&ground.home());
        for _ in 0..events {
            works.publish("{}").unwrap();
        }
        works.close();
        ground
    }
}

pub(crate) fn database(home: &Path) -> PathBuf {
    home.join("data/coordination/coordination.db")
}

/// A system with a durable and a live subscription, and what they have handled.
pub(crate) struct Works {
    pub(crate) system: System,
    durable: Arc<AtomicUsize>,
    live: Arc<AtomicUsize>,
}

fn counting() -> (Arc<AtomicUsize>, Function) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let function = Function::blocking(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    (count, function)
}

impl Works {
    pub(crate) fn open(home: &Path) -> Works {
        Works::over(open(home).unwrap())
    }

    pub(crate) fn over(system: System) -> Works {
        let (durable, function) = counting();
        let subscribe = Subscribe::durable("every").to(["*"]);
        system.router().subscribe(subscribe, function).unwrap();
        let (live, function) = counting();
        let subscribe = Subscribe::live("seen").to(["*"]);
        system.router().subscribe(subscribe, function).unwrap();
        Works {
            system,
            durable,
            live,
        }
    }

    pub(crate) fn publish(&self, payload: &str) -> Result<Receipt, Error> {
        let publish = Publish::new("TRAINING_COMPLETED", payload);
        self.system.router().publish_blocking(publish)
    }

    /// The events of the log, oldest first.
    pub(crate) fn log(&self) -> Vec<EventId> {
        let page = Page {
            limit: 10_000,
            ..Page::default()
        };
        let listed = self.system.store().list(page).wait().unwrap();
        listed.iter().map(|logged| logged.event.id).collect()
    }

    /// Exactly these events were published: each is in the log and was handled by both
    /// subscriptions, no other one is or was, and the sums add up.
    #[track_caller]
    pub(crate) fn stands_at(&self, events: usize) {
        let give_up = SystemClock.monotonic() + Duration::from_secs(20);
        while !self.all_handled(events) {
            assert!(
                SystemClock.monotonic() < give_up,
                "of {events} events {} were handled durably and {} live: {:?}",
                self.durable.load(Ordering::SeqCst),
                self.live.load(Ordering::SeqCst),
                self.system.store().tallies().wait()
            );
            std::thread::park_timeout(Duration::from_millis(5));
        }
        assert_eq!(self.durable.load(Ordering::SeqCst), events, "durable");
        assert_eq!(self.live.load(Ordering::SeqCst), events, "live");
        assert_eq!(self.log().len(), events, "in the log");
        let problems = self.system.store().check().wait().unwrap().problems;
        assert!(problems.is_empty(), "{problems:?}");
    }

    fn all_handled(&self, events: usize) -> bool {
        self.durable.load(Ordering::SeqCst) >= events
            && self.live.load(Ordering::SeqCst) >= events
            && self.tally_is(events)
    }

    fn tally_is(&self, events: usize) -> bool {
        let tallies = self.system.store().tallies().wait().unwrap();
        tallies
            .iter()
            .all(|tally| tally.done == events as u64 && tally.matching == tally.done)
    }

    pub(crate) fn close(self) {
        self.system.close();
    }
}

/// Waits for a fact, at most twenty seconds; fails with its name.
#[track_caller]
pub(crate) fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let give_up = SystemClock.monotonic() + Duration::from_secs(20);
    while !fact() {
        assert!(
            SystemClock.monotonic() < give_up,
            "it never came true that {what}"
        );
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
