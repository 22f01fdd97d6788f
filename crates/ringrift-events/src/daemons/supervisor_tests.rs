use std::sync::Condvar;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::clock::{Clock, SystemClock};

/// What daemons of these tests tell: facts in order, waited for with a bound.
#[derive(Clone, Default)]
struct Told(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Told {
    fn say(&self, fact: impl Into<String>) {
        self.0.0.lock().expect("no panic").push(fact.into());
        self.0.1.notify_all();
    }

    fn all(&self) -> Vec<String> {
        self.0.0.lock().expect("no panic").clone()
    }

    /// Waits until `fact` was told `times`.
    #[track_caller]
    fn wait_for(&self, fact: &str, times: usize) {
        let count = |all: &Vec<String>| all.iter().filter(|told| *told == fact).count();
        let guard = self.0.0.lock().expect("no panic");
        let (all, _) = self
            .0
            .1
            .wait_timeout_while(guard, Duration::from_secs(20), |all| count(all) < times)
            .expect("no panic");
        assert!(count(&all) >= times, "{fact} not {times} times in {all:?}");
    }
}

/// How a daemon of these tests runs.
#[derive(Clone)]
enum Way {
    /// Until it is stopped.
    Well,
    /// Fails at once, the first so many times.
    Fails(usize),
    Panics,
    Returns,
    CannotStart,
}

struct Scripted {
    name: &'static str,
    way: Way,
    starts: Arc<AtomicUsize>,
    told: Told,
}

impl Daemon for Scripted {
    fn prepare(&mut self) -> Result<(), String> {
        match self.way {
            Way::CannotStart => Err("no store".to_owned()),
            Way::Well | Way::Fails(_) | Way::Panics | Way::Returns => Ok(()),
        }
    }

    fn run(&mut self, context: &DaemonContext) -> Result<(), String> {
        let start = self.starts.fetch_add(1, Ordering::SeqCst);
        self.told.say(format!("{} runs", self.name));
        match self.way {
            Way::Fails(times) if start < times => return Err(format!("failure {start}")),
            Way::Panics => panic!("a daemon's panic"),
            Way::Returns => return Ok(()),
            Way::Well | Way::Fails(_) | Way::CannotStart => {}
        }
        while context.wait(Duration::from_secs(60)) {}
        Ok(())
    }

    fn stopped(&mut self) {
        self.told.say(format!("{} stopped", self.name));
    }
}

fn rules() -> RestartRules {
    RestartRules {
        first: Duration::from_millis(1),
        most: Duration::from_millis(4),
        restarts: 3,
        window: Duration::from_secs(600),
        breaker: 100,
        breaker_window: Duration::from_secs(600),
    }
}

fn supervisor(rules: RestartRules, told: &Told) -> Supervisor {
    let failed = told.clone();
    let on_failed = move |name: &'static str, error: &str| {
        failed.say(format!("{name} failed for good: {error}"));
        failed.say(format!("{name} failed for good"));
    };
    Supervisor::new(Arc::new(SystemClock), rules, Box::new(on_failed))
}

fn register(
    supervisor: &Supervisor,
    told: &Told,
    name: &'static str,
    needs: &'static [&'static str],
    way: Way,
) {
    let (told, starts) = (told.clone(), Arc::new(AtomicUsize::new(0)));
    supervisor.register(DaemonSpec {
        name,
        needs,
        internal: name == "INTERNAL",
        make: Box::new(move || {
            Box::new(Scripted {
                name,
                way: way.clone(),
                starts: Arc::clone(&starts),
                told: told.clone(),
            })
        }),
        wake: Box::new(|| ()),
    });
}

fn state(supervisor: &Supervisor, name: &str) -> RunState {
    supervisor.status(name).expect("registered").state
}

#[test]
fn a_failing_daemon_is_restarted_until_it_runs() {
    let told = Told::default();
    let supervisor = supervisor(rules(), &told);
    register(&supervisor, &told, "A", &[], Way::Fails(3));
    supervisor.start("A").expect("it starts");
    told.wait_for("A runs", 4);
    let status = supervisor.status("A").expect("registered");
    assert_eq!((status.state, status.restarts), (RunState::Running, 3));
    assert_eq!(status.error.as_deref(), Some("failure 2"));
    supervisor.shutdown();
    assert_eq!(state(&supervisor, "A"), RunState::Stopped);
    assert!(!told.all().contains(&"A failed for good".to_owned()));
}

#[test]
fn restarts_that_do_not_help_end_in_one_permanent_failure() {
    for (way, word) in [
        (Way::Fails(100), "failure 3"),
        (Way::Panics, "it panicked: a daemon's panic"),
        (Way::Returns, "it returned although nobody had stopped it"),
    ] {
        let told = Told::default();
        let supervisor = supervisor(rules(), &told);
        register(&supervisor, &told, "A", &[], way);
        supervisor.start("A").expect("it starts");
        told.wait_for("A stopped", 1);
        assert_eq!(state(&supervisor, "A"), RunState::Failed);
        let all = told.all();
        let times = |fact: &str| all.iter().filter(|told| *told == fact).count();
        assert_eq!((times("A runs"), times("A failed for good")), (4, 1));
        assert_eq!(times(&format!("A failed for good: {word}")), 1, "{all:?}");
        // Started by hand it gets all its restarts again.
        supervisor.start("A").expect("it starts");
        told.wait_for("A stopped", 2);
        told.wait_for("A failed for good", if word == "failure 3" { 1 } else { 2 });
        supervisor.shutdown();
    }
}

#[test]
fn pauses_grow_before_each_restart() {
    let told = Told::default();
    let slow = RestartRules {
        first: Duration::from_millis(40),
        most: Duration::from_millis(80),
        ..rules()
    };
    let supervisor = supervisor(slow, &told);
    register(&supervisor, &told, "A", &[], Way::Fails(3));
    let clock = SystemClock;
    let from = clock.monotonic();
    supervisor.start("A").expect("it starts");
    told.wait_for("A runs", 4);
    let took = clock.monotonic() - from;
    assert!(took >= Duration::from_millis(40 + 80 + 80), "only {took:?}");
    supervisor.shutdown();
}

#[test]
fn a_stop_ends_the_pause_before_a_restart() {
    let told = Told::default();
    let patient = RestartRules {
        first: Duration::from_secs(600),
        most: Duration::from_secs(600),
        ..rules()
    };
    let supervisor = supervisor(patient, &told);
    register(&supervisor, &told, "A", &[], Way::Fails(1));
    supervisor.start("A").expect("it starts");
    told.wait_for("A runs", 1);
    supervisor.stop("A", "test").expect("it stops");
    assert_eq!(state(&supervisor, "A"), RunState::Stopped);
    // A start does not wait for the pause either.
    supervisor.start("A").expect("it starts");
    told.wait_for("A runs", 2);
    assert_eq!(state(&supervisor, "A"), RunState::Running);
    supervisor.shutdown();
}

#[test]
fn many_restarts_of_all_daemons_open_the_breaker() {
    let told = Told::default();
    let brittle = RestartRules {
        restarts: 1_000,
        breaker: 10,
        ..rules()
    };
    let supervisor = supervisor(brittle, &told);
    for name in ["A", "B", "C"] {
        register(&supervisor, &told, name, &[], Way::Fails(1_000));
    }
    register(&supervisor, &told, "D", &[], Way::Well);
    supervisor.start_all().expect("they start");
    for name in ["A", "B", "C"] {
        told.wait_for(&format!("{name} failed for good"), 1);
    }
    assert_eq!(state(&supervisor, "D"), RunState::Running);
    let all = told.all();
    let runs = all.iter().filter(|told| told.ends_with(" runs")).count();
    assert_eq!(runs, 1 + 3 + 10, "three starts and ten restarts: {all:?}");
    supervisor.shutdown();
}

#[test]
fn what_a_daemon_needs_starts_before_it_and_stops_after_it() {
    let told = Told::default();
    let supervisor = supervisor(rules(), &told);
    register(&supervisor, &told, "A", &["B"], Way::Well);
    register(&supervisor, &told, "B", &["C"], Way::Well);
    register(&supervisor, &told, "C", &[], Way::Well);
    for round in 1..=3 {
        supervisor.start("A").expect("it starts");
        for name in ["A", "B", "C"] {
            assert_eq!(state(&supervisor, name), RunState::Running);
            told.wait_for(&format!("{name} runs"), round);
        }
        supervisor.stop("C", "test").expect("it stops");
        for name in ["A", "B", "C"] {
            let status = supervisor.status(name).expect("registered");
            assert_eq!(status.state, RunState::Stopped);
            assert_eq!(status.stopped_by.as_deref(), Some("test"));
        }
    }
    let all = told.all();
    let stops: Vec<&str> = all
        .iter()
        .filter(|told| told.ends_with(" stopped"))
        .map(String::as_str)
        .collect();
    let once = ["A stopped", "B stopped", "C stopped"];
    assert_eq!(stops, [once, once, once].concat());
}

#[test]
fn starts_and_stops_may_be_repeated_and_refusals_name_the_daemon() {
    let told = Told::default();
    let supervisor = supervisor(rules(), &told);
    register(&supervisor, &told, "A", &[], Way::Well);
    register(&supervisor, &told, "INTERNAL", &[], Way::Well);
    register(&supervisor, &told, "BROKEN", &["A"], Way::CannotStart);
    supervisor.stop("A", "test").expect("nothing to stop");
    for _ in 0..3 {
        supervisor.start("A").expect("it runs");
        supervisor.start("INTERNAL").expect("it runs");
    }
    told.wait_for("A runs", 1);
    told.wait_for("INTERNAL runs", 1);
    assert_eq!(told.all().len(), 2, "a second start began a second run");
    let unknown = supervisor.start("NOBODY").expect_err("unknown");
    assert!(unknown.to_string().contains("INTERNAL"), "{unknown}");
    let internal = supervisor.stop("INTERNAL", "test").expect_err("internal");
    assert!(matches!(internal, Error::Internal { .. }));
    let broken = supervisor.start("BROKEN").expect_err("it cannot");
    assert!(broken.to_string().contains("no store"), "{broken}");
    assert_eq!(state(&supervisor, "BROKEN"), RunState::Stopped);
    assert!(supervisor.start_all().is_err());
    assert_eq!(state(&supervisor, "A"), RunState::Running);
    supervisor.stop_all("test");
    assert_eq!(state(&supervisor, "A"), RunState::Stopped);
    assert_eq!(state(&supervisor, "INTERNAL"), RunState::Running);
    supervisor.shutdown();
    supervisor.shutdown();
    assert_eq!(state(&supervisor, "INTERNAL"), RunState::Stopped);
}

#[test]
fn starts_and_stops_from_many_threads_leave_one_run_or_none() {
    let told = Told::default();
    let supervisor = supervisor(rules(), &told);
    register(&supervisor, &told, "A", &["B"], Way::Well);
    register(&supervisor, &told, "B", &[], Way::Well);
    std::thread::scope(|scope| {
        for number in 0..4 {
            let supervisor = &supervisor;
            scope.spawn(move || {
                for _ in 0..20 {
                    match number {
                        0 => supervisor.start("A").expect("it starts"),
                        1 => supervisor.stop("B", "test").expect("it stops"),
                        2 => supervisor.restart("A", "test").expect("it restarts"),
                        _ => drop(supervisor.list()),
                    }
                }
            });
        }
    });
    supervisor.shutdown();
    let all = told.all();
    let times = |fact: &str| all.iter().filter(|told| *told == fact).count();
    assert_eq!(times("A runs"), times("A stopped"));
    assert_eq!(times("B runs"), times("B stopped"));
    assert!(supervisor.downgrade().get().is_some());
    let weak = supervisor.downgrade();
    drop(supervisor);
    assert!(weak.get().is_none(), "something keeps the supervisor");
}
