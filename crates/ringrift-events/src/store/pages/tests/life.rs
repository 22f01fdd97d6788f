//! Whether processes live, and what they run.

use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::{Actor, Home, look_until, process_of, system_clock, watch};
use crate::clock::SystemClock;
use crate::event::{ProcessId, Seq};
use crate::store::pages::memory::Group;
use crate::store::pages::tests::parts::{host, recent, running};
use crate::store::pages::{OwnPage, RING, Roles, SLOTS, elected, look};
use crate::store::registry::Liveness;

const NEVER: Duration = Duration::from_secs(3_600);

fn own_page(home: &Home) -> OwnPage {
    let me = ProcessId::new(&SystemClock);
    OwnPage::create(&home.side(), me, system_clock(), Duration::from_secs(30)).unwrap()
}

#[test]
fn a_killed_process_is_dead_at_once_and_what_it_ran_stays_known() {
    let home = Home::new();
    let mut actor = Actor::start("runs a handler", &home.database());
    let process = process_of(&actor.hear("ready"));
    let side = home.side();
    let (seen, _) = look_until(&side, process, NEVER, |seen| seen.counters.published > 2);
    assert_eq!(seen.liveness, Liveness::Alive);
    assert_eq!(seen.running, Some(vec![running(7)]));
    assert_eq!(seen.polled_to, Seq(41));
    assert!(!seen.lease_ran_out);
    actor.kill();
    let dead = |seen: &super::Seen| seen.liveness == Liveness::Dead;
    let (seen, took) = look_until(&side, process, NEVER, dead);
    assert!(took < Duration::from_secs(10), "known after {took:?}");
    assert_eq!(seen.running, Some(vec![running(7)]));
    assert!(seen.lease_ran_out);
    side.unlink(process).unwrap();
    assert_eq!(look(&side, process, watch(NEVER)).unwrap(), None);
    side.unlink(process).unwrap();
}

#[test]
fn a_stopped_process_hangs_and_lives_again_when_it_is_continued() {
    let home = Home::new();
    let mut actor = Actor::start("runs a handler", &home.database());
    let process = process_of(&actor.hear("ready"));
    let side = home.side();
    let limit = Duration::from_millis(300);
    look_until(&side, process, limit, |seen| {
        seen.liveness == Liveness::Alive
    });
    actor.stop();
    let (seen, took) = look_until(&side, process, limit, |s| s.liveness == Liveness::Hung);
    assert!(took >= Duration::from_millis(200), "hung after {took:?}");
    assert!(!seen.lease_ran_out, "its lease is thirty seconds");
    actor.signal(Signal::CONT);
    look_until(&side, process, limit, |seen| {
        seen.liveness == Liveness::Alive
    });
}

#[test]
fn a_program_that_a_dead_process_started_does_not_keep_it_alive() {
    let home = Home::new();
    let mut actor = Actor::start("starts a program", &home.database());
    let words = actor.hear("ready");
    let (process, program) = words.split_once(' ').unwrap();
    let program = Pid::from_raw(program.parse().unwrap()).unwrap();
    actor.kill();
    look_until(&home.side(), process_of(process), NEVER, |seen| {
        seen.liveness == Liveness::Dead
    });
    // It was still there all the time.
    rustix::process::kill_process(program, Signal::KILL).unwrap();
}

#[test]
fn a_page_that_is_written_all_the_time_is_never_read_torn() {
    let home = Home::new();
    let mut actor = Actor::start("hammers its page", &home.database());
    let process = process_of(&actor.hear("ready"));
    let side = home.side();
    let mut ran = 0;
    for _ in 0..2_000 {
        let seen = look(&side, process, watch(NEVER)).unwrap().unwrap();
        assert_eq!(seen.counters.published, seen.counters.failed);
        for found in seen.running.unwrap() {
            let n = found.subscription.0.cast_unsigned();
            let mut wanted = running(n);
            // Unknown when the writer lost its processor in the middle of it.
            if found.step != wanted.step {
                let later = format!("{n}+").repeat(4);
                wanted.step = found.step.as_ref().map(|_| later);
            }
            // A step is dated by the writer's clock.
            wanted.step_since = found.step_since;
            assert_eq!(found, wanted);
            ran += 1;
        }
        for found in &seen.hosts {
            let n = found.subscription.0.cast_unsigned();
            assert_eq!(found, &host(n));
        }
        for found in seen.recent {
            assert_eq!(found, recent(found.took_us));
        }
    }
    assert!(ran > 0, "no handler was ever seen running");
}

#[test]
fn the_last_deliveries_come_newest_first_and_older_ones_give_way() {
    let home = Home::new();
    let own = own_page(&home);
    let all = RING as u64 + 44;
    for n in 1..=all {
        own.ended(None, &recent(n));
    }
    let seen = look(&home.side(), own.process(), watch(NEVER))
        .unwrap()
        .unwrap();
    let numbers: Vec<u64> = seen.recent.iter().map(|recent| recent.took_us).collect();
    assert_eq!(numbers, (45..=all).rev().collect::<Vec<_>>());
}

#[test]
fn a_slot_that_was_given_back_is_not_written_by_a_late_word() {
    let home = Home::new();
    let own = own_page(&home);
    let first = own.started(&running(1)).unwrap();
    own.ended(Some(first), &recent(1));
    let second = own.started(&running(2)).unwrap();
    own.step(first, "late");
    own.abandoned(first);
    own.ended(Some(first), &recent(3));
    let seen = look(&home.side(), own.process(), watch(NEVER))
        .unwrap()
        .unwrap();
    assert_eq!(seen.running, Some(vec![running(2)]));
    own.abandoned(second);
    let seen = look(&home.side(), own.process(), watch(NEVER))
        .unwrap()
        .unwrap();
    assert!(seen.running.unwrap()[0].abandoned);
}

#[test]
fn more_runs_than_slots_go_on_unseen() {
    let home = Home::new();
    let own = own_page(&home);
    let slots: Vec<_> = (1..=SLOTS as u64)
        .map(|n| own.started(&running(n)))
        .collect();
    assert!(slots.iter().all(Option::is_some));
    assert_eq!(own.started(&running(9_999)), None);
    own.ended(slots[3], &recent(4));
    assert!(own.started(&running(5)).is_some());
}

#[test]
fn a_role_has_one_host_until_that_dies() {
    let home = Home::new();
    let side = home.side();
    let mut actor = Actor::start("hosts a role", &home.database());
    let words = actor.hear("ready");
    let (host, won) = words.split_once(' ').unwrap();
    assert_eq!(won, "true");
    let me = ProcessId::new(&SystemClock);
    let roles = Roles::default();
    assert!(!roles.elect(&side, me, "SWEEPER").unwrap());
    assert_eq!(elected(&side, "SWEEPER").unwrap(), Some(process_of(host)));
    assert!(roles.elect(&side, me, "ALERTS").unwrap());
    actor.kill();
    drop(actor);
    assert_eq!(elected(&side, "SWEEPER").unwrap(), None);
    assert!(roles.elect(&side, me, "SWEEPER").unwrap());
    assert!(roles.elect(&side, me, "SWEEPER").unwrap(), "again is fine");
    assert_eq!(elected(&side, "SWEEPER").unwrap(), Some(me));
    roles.resign("SWEEPER");
    assert_eq!(elected(&side, "SWEEPER").unwrap(), None);
    assert!(roles.elect(&side, me, "../x").is_err());
}

#[test]
fn the_control_group_of_a_process_stays_known_unless_its_path_does_not_fit() {
    let home = Home::new();
    let own = own_page(&home);
    let group = |path: String| Group {
        path,
        inode: 7,
        kills: 2,
    };
    let fits = group(format!("/{}", "a".repeat(200)));
    for shown in [fits.clone(), group(format!("/{}", "b".repeat(300)))] {
        own.show_group(&shown);
        let seen = look(&home.side(), own.process(), watch(NEVER)).unwrap();
        assert_eq!(seen.unwrap().group.as_ref(), Some(&fits));
    }
}

#[test]
fn a_slot_goes_from_run_to_run_and_a_late_word_about_an_ended_one_is_not_taken() {
    let home = Home::new();
    let own = own_page(&home);
    let seen = || {
        look(&home.side(), own.process(), watch(NEVER))
            .unwrap()
            .unwrap()
    };
    let first = own.started(&running(7)).unwrap();
    own.step(first, "db:insert");
    let next = own.next(Some(first), &running(8)).unwrap();
    assert_eq!(seen().running, Some(vec![running(8)]));
    own.step(first, "of the ended one");
    own.abandoned(first);
    own.ended(Some(first), &recent(1));
    assert_eq!(seen().running, Some(vec![running(8)]));
    own.recent(&[recent(2), recent(3)]);
    let numbers: Vec<u64> = seen().recent.iter().map(|one| one.took_us).collect();
    assert_eq!(numbers, [3, 2, 1], "newest first");
    own.ended(Some(next), &recent(4));
    assert_eq!(seen().running, Some(Vec::new()));
    // Where all slots were in use before, it may get one now.
    assert!(own.next(None, &running(9)).is_some());
    assert_eq!(seen().running, Some(vec![running(9)]));
}
