//! The wall clock jumps back.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use ringrift_events::clock::{Clock, SharedClock, SystemClock, Time};
use ringrift_events::config::{Config, Home};
use ringrift_events::handler::{Function, NotDone, Policy, RetryPolicy};
use ringrift_events::router::{Publish, Subscribe};
use ringrift_events::store::log::Page;
use ringrift_events::store::sqlite::{OpenOptions, SqliteStore};
use ringrift_events::system::{System, this_process};

use crate::ground::{Ground, Works, until};

const HOUR: Duration = Duration::from_secs(3_600);

/// The system's clock, its wall set wrong by an administrator.
#[derive(Debug, Default)]
struct Wall {
    off_us: AtomicI64,
}

impl Wall {
    fn back(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap();
        self.off_us.fetch_sub(by, Ordering::SeqCst);
    }
}

impl Clock for Wall {
    fn now(&self) -> Time {
        Time(SystemClock.now().0 + self.off_us.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }

    fn random(&self) -> u64 {
        SystemClock.random()
    }
}

fn open(ground: &Ground, wall: &Arc<Wall>) -> System {
    let clock: SharedClock = Arc::clone(wall) as SharedClock;
    let home = Home::create(&ground.home()).unwrap().home;
    let mut config = Config::defaults(home.clone());
    config.settings.store.disk_free_min_percent = 0;
    let process = this_process(&*clock);
    let options = OpenOptions::new(home.root().to_owned(), process, Arc::clone(&clock));
    let mut options = config.settings.store_options(options);
    options.create = true;
    let store = SqliteStore::open(options).unwrap();
    System::over(config, store, clock).unwrap()
}

#[test]
fn a_wall_clock_that_jumps_back_an_hour_changes_no_order_and_loses_nothing() {
    let ground = Ground::new();
    let wall = Arc::new(Wall::default());
    let works = Works::over(open(&ground, &wall));
    let mut published = Vec::new();
    for _ in 0..3 {
        for _ in 0..10 {
            published.push(works.publish("{}").unwrap());
        }
        wall.back(HOUR);
    }
    works.stands_at(30);
    let page = Page {
        limit: 100,
        ..Page::default()
    };
    let log = works.system.store().list(page).wait().unwrap();
    let order: Vec<_> = log.iter().map(|logged| logged.event.id).collect();
    let by_publish: Vec<_> = published.iter().map(|receipt| receipt.id).collect();
    assert_eq!(order, by_publish, "the log's order is that of the commits");
    works.close();
}

#[test]
fn a_failed_delivery_is_kept_while_the_clock_is_back_and_retried_when_it_is_right() {
    let ground = Ground::new();
    let wall = Arc::new(Wall::default());
    let system = open(&ground, &wall);
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let function = Function::blocking(move |_| {
        if counted.fetch_add(1, Ordering::SeqCst) == 0 {
            return Err(NotDone::failed("the first time"));
        }
        Ok(())
    });
    let policy = Policy {
        retry: RetryPolicy {
            first: Duration::from_millis(500),
            ..RetryPolicy::default()
        },
        ..Policy::default()
    };
    let subscribe = Subscribe::durable("again")
        .to(["TRAINING_COMPLETED"])
        .policy(policy);
    system.router().subscribe(subscribe, function).unwrap();
    let publish = Publish::new("TRAINING_COMPLETED", "{}");
    system.router().publish_blocking(publish).unwrap();
    until("it failed once", || {
        system.dead_letters().count().unwrap() == 1
    });
    wall.back(HOUR);
    // Its time lies an hour ahead now: it is kept, and comes when the clock gets there.
    assert_eq!(system.dead_letters().count().unwrap(), 1);
    wall.off_us.store(0, Ordering::SeqCst);
    until("it was retried", || runs.load(Ordering::SeqCst) == 2);
    until("its letter has left", || {
        system.dead_letters().count().unwrap() == 0
    });
    system.close();
}
