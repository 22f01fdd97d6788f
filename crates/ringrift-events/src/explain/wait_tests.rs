//! What an event waits for, by a table: what is recorded, and what must be said of it.

use super::known::Known;
use super::scene::{
    Line, at, check, claimed, dead, event_id, letter, passed, process_id, row, run, scene,
    standing, stopped, waiting,
};
use crate::event::Seq;
use crate::store::deliveries::Why;
use crate::store::letters::LetterState;
use crate::store::registry::Liveness;
use crate::store::trail::Again;
use crate::store::trail::Place;
use crate::verdict::Code;

const START: &str = "ringrift daemons start CROSS_PROCESS_POLLER";

const WAITS: &[Line] = &[
    (
        |_| {},
        Code::WtPending,
        "its position is 2, at most 2 events come first",
        "ringrift subs show d",
    ),
    // A name is one word of the command, whatever it holds.
    (
        |k| {
            let version = &mut k.scene().subscriptions[0].versions[0];
            version.definition.name = "app.<locals>.on".to_owned();
        },
        Code::WtPending,
        "its position is 2, at most 2 events come first",
        "ringrift subs show 'app.<locals>.on'",
    ),
    (
        |k| k.scene().subscriptions[0].paused = Some((at(300), "ann".to_owned())),
        Code::RtPaused,
        "by ann since 1970-01-01 00:05:00.000 UTC",
        "ringrift subs resume d",
    ),
    (
        |k| k.scene().subscriptions[0].hosts.clear(),
        Code::WtNoProcess,
        "its position is 2",
        "ringrift processes ls --all",
    ),
    // Replaced before the event, and its only host subscribes by what stood before.
    (
        |k| {
            let state = &mut k.scene().subscriptions[0];
            let mut second = state.versions[0].clone();
            state.versions[0].valid_to = Some(Seq(4));
            (second.number, second.valid_from) = (2, Seq(4));
            state.versions.push(second);
        },
        Code::WtNoProcess,
        "pid 11 by version 1; its position is 2",
        "ringrift processes ls",
    ),
    // One that died between the two looks.
    (
        dead,
        Code::WtNoProcess,
        "its position is 2",
        "ringrift processes ls --all",
    ),
    (
        |k| stopped(k, 0),
        Code::WtPollerStopped,
        "pid 11: stopped since 1970-01-01 00:03:20.000 UTC, by ann; its position is 2",
        START,
    ),
    (
        |k| {
            k.scene().daemons[0].state = "failed".to_owned();
            k.scene().daemons[0].error = Some("no such column".to_owned());
        },
        Code::WtPollerStopped,
        "failed since 1970-01-01 00:01:30.000 UTC: no such column",
        START,
    ),
    (
        |k| {
            k.scene().daemons.remove(0);
        },
        Code::WtPollerStopped,
        "pid 11 does not run it",
        START,
    ),
    // One poller of two is enough.
    (
        |k| {
            stopped(k, 0);
            k.scene().subscriptions[0].hosts.insert(process_id(12), 1);
            let mut other = k.scene().daemons[1].clone();
            other.process = process_id(12);
            other.name = "CROSS_PROCESS_POLLER".to_owned();
            k.scene().daemons.push(other);
        },
        Code::WtPending,
        "its position is 2",
        "ringrift subs show d",
    ),
    // A process that has just started has not said yet what it runs.
    (
        |k| {
            k.scene().daemons.clear();
            k.scene().processes[0].process.started_at = at(998);
        },
        Code::WtPending,
        "its position is 2",
        "ringrift subs show d",
    ),
    (
        |k| k.scene().processes[0].blocked_by = Some((77, "sqlite3".to_owned(), at(990))),
        Code::WtStoreBusy,
        "pid 77 (sqlite3), for 10 s",
        "ringrift status",
    ),
    (
        |k| k.scene().processes[0].liveness = Liveness::Hung,
        Code::WtPending,
        "pid 11 has not beaten since 1970-01-01 00:16:39.000 UTC; its position is 2",
        "ringrift processes show 11",
    ),
    // Stopped before its poller was up: that it hangs is what is in the way.
    (
        |k| {
            k.scene().processes[0].liveness = Liveness::Hung;
            k.scene().daemons.clear();
        },
        Code::WtPending,
        "pid 11 has not beaten since 1970-01-01 00:16:39.000 UTC; its position is 2",
        "ringrift processes show 11",
    ),
];

#[test]
fn what_an_event_waits_for_is_told_from_its_hosts() {
    check(WAITS);
}

fn ahead(known: &mut Known, failed: bool) {
    let earlier = Again {
        seq: Some(Seq(3)),
        event: event_id(3),
        failed,
        due: Some(at(2_000)),
        ..row(1, LetterState::Retrying)
    };
    known.trail.ahead = vec![earlier];
}

const KEYS: &[Line] = &[
    (
        |k| ahead(k, true),
        Code::WtKeyBlocked,
        "event 3 is retrying, due at 1970-01-01 00:33:20.000 UTC",
        "ringrift dlq show 7",
    ),
    (
        |k| {
            ahead(k, false);
            letter(k, waiting(Why::KeyBlocked));
        },
        Code::WtKeyBlocked,
        "event 3 is retrying",
        "ringrift explain 00000000-0000-0000-0000-000000000003",
    ),
    (
        |k| letter(k, waiting(Why::KeyBlocked)),
        Code::WtPending,
        "redelivery 7",
        "ringrift subs show d",
    ),
];

#[test]
fn a_process_that_blocks_itself_is_told_so() {
    let mut known = scene();
    known.scene().processes[0].blocked_by = Some((11, "trainer".to_owned(), at(990)));
    let verdict = standing(&known).verdict;
    assert_eq!(verdict.code, Code::WtStoreBusy);
    assert!(verdict.sentence.contains("itself"), "{verdict:?}");
}

#[test]
fn an_event_waits_behind_an_earlier_one_of_its_key() {
    check(KEYS);
}

const HELD: &[Line] = &[
    (
        claimed,
        Code::WtPending,
        "taken by pid 11, not settled; it runs 0 others",
        "ringrift processes show 11",
    ),
    (
        |k| {
            claimed(k);
            k.scene().processes[0].running = vec![run(at(200))];
        },
        Code::HnRunning,
        "by pid 11 since 1970-01-01 00:03:20.000 UTC, in db:load",
        "ringrift processes show 11",
    ),
    (
        |k| {
            claimed(k);
            k.scene().processes[0].running = vec![run(at(200))];
            k.scene().processes[0].running[0].abandoned = true;
        },
        Code::HnTimeout,
        "by pid 11 since",
        "ringrift processes show 11",
    ),
    (
        |k| {
            claimed(k);
            dead(k);
            k.scene().processes[0].running = vec![run(at(200))];
        },
        Code::HnLeaseLost,
        "pid 11 ended with it, in db:load",
        "ringrift processes ls --all",
    ),
    (
        |k| {
            claimed(k);
            k.scene().processes[0].blocked_by = Some((77, "sqlite3".to_owned(), at(990)));
        },
        Code::WtStoreBusy,
        "taken by pid 11",
        "ringrift status",
    ),
    (
        |k| k.trail.passages[0].place = Place::Claimed { by: None },
        Code::WtPending,
        "gave it back",
        "ringrift subs show d",
    ),
    (
        |k| {
            k.trail.passages[0].place = Place::Claimed { by: None };
            stopped(k, 0);
        },
        Code::WtPollerStopped,
        "pid 11: stopped",
        "ringrift daemons start CROSS_PROCESS_POLLER",
    ),
    // The page of a dead process shows its last run for a day: another has handled it since.
    (
        |k| {
            passed(k);
            k.scene().processes[1].liveness = Liveness::Dead;
            k.scene().processes[1].running = vec![run(at(200))];
        },
        Code::HnOk,
        "by pid 11; everything up to event 9 is handled",
        "ringrift explain 00000000-0000-0000-0000-000000000005",
    ),
];

#[test]
fn what_a_process_holds_is_told_from_its_page() {
    check(HELD);
}
