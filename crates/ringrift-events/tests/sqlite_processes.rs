//! Processes of one SQLite store as they see each other: lives, commands, news, roles, and who is
//! in the way. The children are this test binary itself, started with a part to play.
#![expect(
    clippy::unwrap_used,
    reason = "a test's parts fails the test by panicking"
)]

#[path = "support/bounded.rs"]
mod bounded;
mod sqlite_support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ringrift_events::clock::{Clock as _, SystemClock, Time};
use ringrift_events::event::{EventId, ProcessId, Seq};
use ringrift_events::store::log::Log as _;
use ringrift_events::store::registry::{
    Counters, Liveness, ProcessState, Recent, Registry as _, Running,
};
use ringrift_events::store::sqlite::SqliteStore;
use ringrift_events::store::subscriptions::SubscriptionId;
use ringrift_events::store::{ErrorCode, Upkeep as _};
use ringrift_events::verdict::{Code, Effort};
use rustix::process::{Pid, Signal, kill_process};
use sqlite_support::{Home, batch, event, options};

const PART: &str = "RINGRIFT_TEST_PART";
const HOME: &str = "RINGRIFT_TEST_HOME";
const AT_MOST: Duration = Duration::from_secs(20);

#[test]
fn a_child_plays_its_part() {
    let (Ok(part), Ok(home)) = (std::env::var(PART), std::env::var(HOME)) else {
        return;
    };
    bounded::bound_this_process();
    let store = SqliteStore::open(options(home.as_ref())).unwrap();
    println!("ready {}", store.process());
    match part.as_str() {
        "runs" => run_handlers(&store),
        "obeys" => obey(&store),
        "hosts" => {
            let won = store.elect("SWEEPER").wait().unwrap();
            println!("won {won}");
            hear_from_parent();
        }
        other => panic!("no part '{other}'"),
    }
}

fn hear_from_parent() {
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

fn run_handlers(store: &SqliteStore) {
    let slot = store.started(running(1)).unwrap();
    store.ended(Some(slot), recent(1));
    let slot = store.started(running(2)).unwrap();
    store.step(slot, "db:load");
    let counters = Counters {
        delivered: 2,
        done: 1,
        ..Counters::default()
    };
    store.beat(counters, Seq(5));
    println!("running");
    hear_from_parent();
    store.close();
    println!("closed");
}

/// Waits for news alone, and answers each command; never asks the database without news.
fn obey(store: &SqliteStore) {
    let mut seen = 0;
    loop {
        for command in store.take_commands().wait().unwrap() {
            let result = format!("ok {} {}", command.verb, command.args);
            store.answer(command.id, result).wait().unwrap();
        }
        seen = store.wait_for_news(seen, Duration::from_secs(5));
    }
}

fn running(n: u64) -> Running {
    Running {
        subscription: SubscriptionId(4),
        event: EventId(uuid::Uuid::from_u64_pair(n, n)),
        seq: Some(Seq(n.cast_signed())),
        since: Time(9),
        step: None,
        step_since: None,
        abandoned: false,
        effort: Effort::default(),
    }
}

fn recent(n: u64) -> Recent {
    Recent {
        subscription: SubscriptionId(4),
        event: EventId(uuid::Uuid::from_u64_pair(n, n)),
        code: Code::HnOk,
        took_us: 1_234,
        at: Time(10),
    }
}

struct Actor {
    child: Child,
    lines: BufReader<ChildStdout>,
    process: ProcessId,
}

impl Actor {
    fn start(part: &str, home: &Home) -> Actor {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_child_plays_its_part", "--nocapture"])
            .env(PART, part)
            .env(HOME, home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let process = ProcessId(uuid::Uuid::nil());
        let mut actor = Actor {
            child,
            lines,
            process,
        };
        actor.process = ProcessId(uuid::Uuid::parse_str(&actor.hear("ready")).unwrap());
        actor
    }

    fn hear(&mut self, word: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let length = self.lines.read_line(&mut line).unwrap();
            assert!(length > 0, "the child ended before it said '{word}'");
            if let Some(at) = line.find(word) {
                return line[at + word.len()..].trim().to_owned();
            }
        }
    }

    fn tell(&mut self) {
        writeln!(self.child.stdin.as_mut().unwrap(), "go").unwrap();
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn state_of(store: &SqliteStore, process: ProcessId) -> ProcessState {
    let all = store.processes().wait().unwrap();
    let found = all.into_iter().find(|state| state.process.id == process);
    found.unwrap()
}

/// Asks until the state is as wanted; answers how long that took.
fn until(
    store: &SqliteStore,
    process: ProcessId,
    wanted: impl Fn(&ProcessState) -> bool,
) -> (ProcessState, Duration) {
    let began = SystemClock.monotonic();
    loop {
        let state = state_of(store, process);
        let took = SystemClock.monotonic().saturating_sub(began);
        if wanted(&state) {
            return (state, took);
        }
        assert!(took < AT_MOST, "still {state:?}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn what_a_process_ran_is_known_while_it_lives_and_after_it_was_killed() {
    let home = Home::new();
    let store = home.open();
    let mut actor = Actor::start("runs", &home);
    actor.hear("running");
    let check = |state: &ProcessState| {
        let mut wanted = running(2);
        wanted.step = Some("db:load".to_owned());
        wanted.step_since = state.running.first().and_then(|run| run.step_since);
        let entered = wanted.step_since.expect("when the step was entered");
        assert!(entered <= SystemClock.now(), "entered at {entered:?}");
        assert_eq!(state.running, [wanted]);
        assert_eq!(state.recent, [recent(1)]);
        assert_eq!((state.counters.done, state.polled_to), (1, Seq(5)));
    };
    let state = state_of(&store, actor.process);
    assert_eq!(state.liveness, Liveness::Alive);
    assert_eq!(state.process.pid, actor.child.id());
    check(&state);
    actor.signal(Signal::KILL);
    let (state, took) = until(&store, actor.process, |s| s.liveness == Liveness::Dead);
    assert!(took < Duration::from_secs(1), "known after {took:?}");
    check(&state);
}

#[test]
fn a_process_that_closed_has_left_and_keeps_its_counters() {
    let home = Home::new();
    let store = home.open();
    let mut actor = Actor::start("runs", &home);
    actor.hear("running");
    actor.tell();
    actor.hear("closed");
    let state = state_of(&store, actor.process);
    assert_eq!(state.liveness, Liveness::Left);
    assert_eq!((state.counters.done, state.polled_to), (1, Seq(5)));
}

#[test]
fn a_stopped_process_hangs_and_takes_no_command() {
    let home = Home::new();
    let mut options = home.options().with_hung_after(Duration::from_millis(200));
    options.busy_timeout = Duration::from_secs(1);
    let store = SqliteStore::open(options).unwrap();
    let mut actor = Actor::start("runs", &home);
    actor.hear("running");
    for _ in 0..10 {
        actor.signal(Signal::STOP);
        until(&store, actor.process, |s| s.liveness == Liveness::Hung);
        let (verb, args) = ("log.level".to_owned(), "{}".to_owned());
        let sent = store.send(actor.process, verb, args, "me".to_owned());
        let refused = sent.wait().unwrap_err().code;
        if refused != ErrorCode::Busy {
            assert_eq!(refused, ErrorCode::WrongState);
            return;
        }
        // It was stopped in the middle of a write, which nothing can break: let it end and try
        // once more.
        actor.signal(Signal::CONT);
        std::thread::park_timeout(Duration::from_millis(300));
    }
    panic!("ten times it was stopped while it held the write lock");
}

#[test]
fn a_command_reaches_another_process_by_the_doorbell_and_comes_back_answered() {
    let home = Home::new();
    let store = home.open();
    let actor = Actor::start("obeys", &home);
    let mut seen = 0;
    for n in 0..5 {
        let began = SystemClock.monotonic();
        let args = format!("{{\"n\":{n}}}");
        let by = "me".to_owned();
        let sent = store.send(actor.process, "audit".to_owned(), args, by);
        let id = sent.wait().unwrap();
        loop {
            let command = store.command(id).wait().unwrap();
            if let Some(result) = command.result {
                assert_eq!(result, format!("ok audit {{\"n\":{n}}}"));
                assert!(command.taken_at.is_some());
                break;
            }
            assert!(SystemClock.monotonic().saturating_sub(began) < AT_MOST);
            seen = store.wait_for_news(seen, Duration::from_secs(1));
        }
    }
}

#[test]
fn an_idle_home_commits_nothing() {
    let home = Home::new();
    let store = home.open();
    let _actor = Actor::start("obeys", &home);
    let wal = home.database().with_extension("db-wal");
    // A commit grows the WAL, and once checkpointed it has changed the file.
    let version = || {
        let length = std::fs::metadata(&wal).unwrap().len();
        (length, std::fs::read(home.database()).unwrap())
    };
    let mut seen = 0;
    let mut pass = |long: Duration| {
        let began = SystemClock.monotonic();
        while SystemClock.monotonic().saturating_sub(began) < long {
            assert!(store.take_commands().wait().unwrap().is_empty());
            store.beat(Counters::default(), Seq(0));
            seen = store.wait_for_news(seen, Duration::from_millis(100));
        }
    };
    // Once what the start wrote was checkpointed, the WAL is empty.
    let began = SystemClock.monotonic();
    while version().0 > 0 {
        assert!(SystemClock.monotonic().saturating_sub(began) < AT_MOST);
        pass(Duration::from_millis(100));
    }
    let before = version();
    pass(Duration::from_millis(3_000));
    assert!(version() == before, "something was committed");
}

#[test]
fn an_append_by_another_handle_ends_the_wait_for_news() {
    let home = Home::new();
    let (here, there) = (home.open(), home.open());
    let seen = here.wait_for_news(0, Duration::ZERO);
    let waiting = Arc::clone(&here);
    let waiter = std::thread::spawn(move || {
        let mut seen = seen;
        let began = SystemClock.monotonic();
        while waiting.head().wait().unwrap().seq == Seq(0) {
            assert!(SystemClock.monotonic().saturating_sub(began) < AT_MOST);
            seen = waiting.wait_for_news(seen, AT_MOST);
        }
    });
    let one = event(&there, "training_completed", "{}");
    there.append(batch([one]), None).wait().unwrap();
    waiter.join().unwrap();
}

#[test]
fn a_foreign_writer_that_rings_no_bell_is_noticed() {
    let home = Home::new();
    let store =
        SqliteStore::open(home.options().with_foreign_poll(Duration::from_millis(50))).unwrap();
    let mut seen = 0;
    // Each reader's connection is asked once before it can tell a change.
    for _ in 0..10 {
        seen = store.wait_for_news(seen, Duration::from_millis(100));
    }
    let sql =
        "INSERT INTO commands (process, verb, args, asked_by, at_us) VALUES (1, 'x', '', '', 0)";
    sqlite_support::shell(&home.database(), sql).unwrap();
    let news = store.wait_for_news(seen, AT_MOST);
    assert_ne!(news, seen);
    let began = SystemClock.monotonic();
    loop {
        let taken = store.take_commands().wait().unwrap();
        if taken.len() == 1 {
            break;
        }
        assert!(SystemClock.monotonic().saturating_sub(began) < AT_MOST);
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn a_role_goes_to_another_process_when_its_host_is_killed() {
    let home = Home::new();
    let store = home.open();
    let mut actor = Actor::start("hosts", &home);
    assert_eq!(actor.hear("won"), "true");
    assert!(!store.elect("SWEEPER").wait().unwrap());
    assert_eq!(
        store.elected("SWEEPER").wait().unwrap(),
        Some(actor.process)
    );
    actor.signal(Signal::KILL);
    let began = SystemClock.monotonic();
    while !store.elect("SWEEPER").wait().unwrap() {
        assert!(SystemClock.monotonic().saturating_sub(began) < AT_MOST);
    }
    assert_eq!(
        store.elected("SWEEPER").wait().unwrap(),
        Some(store.process())
    );
    store.resign("SWEEPER").wait().unwrap();
    assert_eq!(store.elected("SWEEPER").wait().unwrap(), None);
}

/// A shell that is in the middle of a transaction.
struct Shell(Child);

impl Shell {
    fn hold(home: &Home) -> Shell {
        let mut child = Command::new("sqlite3")
            .arg(home.database())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.as_mut().unwrap();
        writeln!(
            stdin,
            "PRAGMA busy_timeout = 9000;\nBEGIN IMMEDIATE;\nSELECT 'held';"
        )
        .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "held"));
        Shell(child)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn whoever_keeps_writers_waiting_is_named_while_they_wait() {
    let home = Home::new();
    let store = home.open();
    let shell = Shell::hold(&home);
    let pending = store.append(batch([event(&store, "training_completed", "{}")]), None);
    let (state, took) = until(&store, store.process(), |s| s.blocked_by.is_some());
    assert!(took < Duration::from_secs(5), "named after {took:?}");
    let (pid, command, since) = state.blocked_by.unwrap();
    assert_eq!(pid, shell.0.id());
    assert!(command.starts_with("sqlite3 "), "{command}");
    assert!(since <= SystemClock.now());
    drop(shell);
    pending.wait().unwrap();
    assert_eq!(state_of(&store, store.process()).blocked_by, None);
}

#[test]
fn a_store_that_cannot_be_joined_names_the_holder_and_so_do_the_figures_meanwhile() {
    let home = Home::new();
    let looker = home.open();
    let shell = Shell::hold(&home);
    let named = format!("process {} (sqlite3 ", shell.0.id());
    let notes = looker.figures().wait().unwrap().notes.join("\n");
    assert!(
        notes.contains(&named) && notes.contains(" UTC or before"),
        "{notes}"
    );
    assert!(!notes.contains("waits for it"), "{notes}");
    let mut options = home.options();
    options.busy_timeout = Duration::from_secs(3);
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| SqliteStore::open(options).map(drop).unwrap_err());
        let waits = format!("; process {} waits for it", std::process::id());
        let end = SystemClock.monotonic() + Duration::from_secs(20);
        let mut notes = String::new();
        while !notes.contains(&waits) {
            assert!(SystemClock.monotonic() < end, "{notes}");
            notes = looker.figures().wait().unwrap().notes.join("\n");
        }
        assert!(notes.contains(&named), "{notes}");
        let error = opening.join().unwrap();
        assert_eq!(error.code, ErrorCode::Busy);
        assert!(error.message.contains(&named), "{error}");
    });
    drop(shell);
    assert_eq!(looker.figures().wait().unwrap().notes.join("\n"), "");
}

#[test]
fn a_write_that_waited_too_long_names_the_holder_and_changes_nothing() {
    let home = Home::new();
    let mut options = home.options();
    options.busy_timeout = Duration::from_millis(300);
    let store = SqliteStore::open(options).unwrap();
    let shell = Shell::hold(&home);
    let one = batch([event(&store, "training_completed", "{}")]);
    let error = store.append(one, None).wait().unwrap_err();
    assert_eq!(error.code, ErrorCode::Busy);
    assert!(!error.may_have_applied && error.is_retryable());
    let named = format!("process {} (sqlite3 ", shell.0.id());
    assert!(error.message.contains(&named), "{error}");
    drop(shell);
    let one = batch([event(&store, "training_completed", "{}")]);
    store.append(one, None).wait().unwrap();
}
