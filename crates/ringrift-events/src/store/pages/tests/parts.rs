//! What children do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{AT_MOST, listen_to, system_clock};
use crate::clock::{Clock, SystemClock, Time};
use crate::event::{EventId, ProcessId, Seq};
use crate::store::pages::Bells;
use crate::store::pages::{OwnPage, Rides, Roles, SharedPage, Side, Turnstile, futex};
use crate::store::records::{Ends, HostState, PolicyInForce, Present};
use crate::store::registry::{Counters, Recent, Running};
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::{Code, Effort};

pub(super) fn play(part: &str, database: &Path) {
    let side = Side::of(database, true).unwrap();
    let me = ProcessId::new(&SystemClock);
    match part {
        "runs a handler" => run_a_handler(&side, me),
        "starts a program" => start_a_program(&side, me),
        "hammers its page" => hammer(&side, me),
        "listens" => listen(&side, me),
        "takes turns" => take_turns(&side, me, database),
        "keeps the turn" => keep_the_turn(&side, me),
        "waits in line" => wait_in_line(&side, me),
        "rides" => ride(&side, me),
        "drives" => drive(&side, me),
        "hosts a role" => host_a_role(&side, me),
        "has no room" => have_no_room(&side, me),
        "holds the write lock" => hold_the_write_lock(database),
        other => panic!("no part '{other}'"),
    }
}

fn page(side: &Side, me: ProcessId) -> OwnPage {
    OwnPage::create(side, me, system_clock(), Duration::from_secs(30)).unwrap()
}

/// Blocks until the parent says something, or is gone.
fn wait_for_word() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    line
}

pub(super) fn running(n: u64) -> Running {
    Running {
        subscription: SubscriptionId(n.cast_signed()),
        event: EventId(Uuid::from_u64_pair(n, n)),
        seq: Some(Seq(n.cast_signed())),
        since: Time(n.cast_signed()),
        step: Some(format!("{n}-").repeat(4)),
        step_since: None,
        abandoned: false,
        effort: Effort::default(),
    }
}

pub(super) fn recent(n: u64) -> Recent {
    Recent {
        subscription: SubscriptionId(n.cast_signed()),
        event: EventId(Uuid::from_u64_pair(n, n)),
        code: Code::ALL[usize::try_from(n).unwrap() % Code::ALL.len()],
        took_us: n,
        at: Time(n.cast_signed()),
    }
}

pub(super) fn host(n: u64) -> HostState {
    let ends = Ends {
        done: n,
        failed: n,
        skipped: n,
        duplicates: n,
    };
    HostState {
        subscription: SubscriptionId(n.cast_signed()),
        in_flight: 1,
        waiting: n,
        abandoned: 0,
        waits_for: Some((Code::WtConcurrency, Time(n.cast_signed()))),
        lagging_after: Some(Seq(n.cast_signed())),
        lagging_since: Some(Time(n.cast_signed())),
        ends,
        window: ends,
        window_since: Time(n.cast_signed()),
        policy: PolicyInForce {
            dedup_fields: vec![format!("{n}.").repeat(4)],
            dedup_ttl_ms: n,
            ..PolicyInForce::default()
        },
    }
}

/// Beats each 20 ms with one handler running, until told to go on.
fn run_a_handler(side: &Side, me: ProcessId) {
    let own = page(side, me);
    own.started(&running(7)).unwrap();
    println!("ready {me}");
    for published in 0.. {
        let counters = Counters {
            published,
            ..Counters::default()
        };
        own.beat(counters, Seq(41));
        futex::pause(Duration::from_millis(20));
    }
}

/// A program started by the owner of a page lives on after it.
#[expect(
    clippy::zombie_processes,
    reason = "it shall outlive this process; the test that started us ends it"
)]
fn start_a_program(side: &Side, me: ProcessId) {
    let _own = page(side, me);
    let program = std::process::Command::new("sleep")
        .arg("60")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    println!("ready {me} {}", program.id());
    wait_for_word();
}

fn hammer(side: &Side, me: ProcessId) {
    let own = page(side, me);
    println!("ready {me}");
    for n in 1.. {
        let counters = Counters {
            published: n,
            failed: n,
            ..Counters::default()
        };
        if n % 64 == 0 {
            own.beat(counters, Seq(n.cast_signed()));
        }
        if n % 16 == 0 {
            own.show(&Present {
                hosts: vec![host(n)],
                ..Present::default()
            });
        }
        let slot = own.started(&running(n)).unwrap();
        own.step(slot, &format!("{n}+").repeat(4));
        own.ended(Some(slot), &recent(n));
    }
}

/// Echoes every ring.
fn listen(side: &Side, me: ProcessId) {
    let shared = SharedPage::open(side, me).unwrap();
    let mut seen = shared.rings(Bells::ALL);
    println!("ready");
    loop {
        let now = listen_to(&shared, Bells::ALL, seen, Duration::from_secs(5));
        if now != seen {
            seen = now;
            println!("heard {now}");
        }
    }
}

/// Takes turns for half a second and says how many, and how many were real.
fn take_turns(side: &Side, me: ProcessId, database: &Path) {
    let turnstile = Turnstile::new(SharedPage::open(side, me).unwrap());
    let alone = std::fs::File::open(database).unwrap();
    println!("ready");
    wait_for_word();
    let began = SystemClock.monotonic();
    let (mut turns, mut real) = (0u32, 0u32);
    loop {
        if SystemClock.monotonic().saturating_sub(began) > Duration::from_millis(500) {
            break;
        }
        let guard = turnstile.enter(AT_MOST);
        turns += 1;
        if guard.in_turn() {
            real += 1;
            // Two turns at once would meet here.
            alone.try_lock().unwrap();
            for _ in 0..500 {
                std::hint::spin_loop();
            }
            alone.unlock().unwrap();
        }
        if turns.is_multiple_of(2) {
            guard.end_quietly();
        }
    }
    turnstile.rest();
    println!("turns {turns} {real}");
}

fn keep_the_turn(side: &Side, me: ProcessId) {
    let turnstile = Turnstile::new(SharedPage::open(side, me).unwrap());
    let guard = turnstile.enter(Duration::from_secs(5));
    println!("ready {}", guard.in_turn());
    wait_for_word();
}

fn ride(side: &Side, me: ProcessId) {
    let rides = Rides::new(SharedPage::open(side, me).unwrap());
    println!("rides");
    loop {
        rides.ride(b"one");
    }
}

fn drive(side: &Side, me: ProcessId) {
    let shared = SharedPage::open(side, me).unwrap();
    let rides = Rides::new(Arc::clone(&shared));
    let _turn = Turnstile::new(shared).enter(AT_MOST);
    // Who left somebody else's turn.
    drop(rides.take());
    println!("drives");
    let mut taken = Vec::new();
    while taken.is_empty() {
        taken = rides.take();
        std::thread::yield_now();
    }
    println!("has it");
    wait_for_word();
}

fn wait_in_line(side: &Side, me: ProcessId) {
    let turnstile = Turnstile::new(SharedPage::open(side, me).unwrap());
    println!("ready");
    let guard = turnstile.enter(Duration::from_secs(20));
    println!("went {}", guard.in_turn());
}

fn host_a_role(side: &Side, me: ProcessId) {
    let roles = Roles::default();
    let elected = roles.elect(side, me, "SWEEPER").unwrap();
    println!("ready {me} {elected}");
    wait_for_word();
}

/// Started where no file may grow: every mapped file is refused with a code, and nothing stays.
fn have_no_room(side: &Side, me: ProcessId) {
    let own = OwnPage::create(side, me, system_clock(), Duration::from_secs(30));
    let shared = SharedPage::open(side, me);
    let role = Roles::default().elect(side, me, "SWEEPER");
    println!(
        "codes {:?} {:?} {:?} {}",
        own.err().map(|e| e.code),
        shared.err().map(|e| e.code),
        role.err().map(|e| e.code),
        side.pages().unwrap().len()
    );
}

fn hold_the_write_lock(database: &Path) {
    let conn = rusqlite::Connection::open(database).unwrap();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    println!("ready");
    wait_for_word();
}
