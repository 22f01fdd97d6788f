//! What a page says of a busy host, by a table.

use super::known::Known;
use super::scene::{Line, at, check, claimed, event_id, live, recent, scene, standing};
use crate::event::{EventType, Seq};
use crate::store::records::{Ends, HostState, PolicyInForce, Stall, StallClass};
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::Code;

const SHOW: &str = "ringrift subs show d";

fn host(known: &mut Known, waits_for: Option<Code>) -> &mut HostState {
    let process = &mut known.scene().processes[0];
    process.load.in_flight = 256;
    process.load.in_flight_max = 256;
    process.hosts.push(HostState {
        subscription: SubscriptionId(1),
        in_flight: 1,
        waiting: 7,
        abandoned: 0,
        waits_for: waits_for.map(|code| (code, at(980))),
        lagging_after: None,
        lagging_since: None,
        ends: Ends::default(),
        window: Ends::default(),
        window_since: at(900),
        policy: PolicyInForce {
            concurrency: 1,
            rate: Some((5, 1_000)),
            ..PolicyInForce::default()
        },
    });
    &mut process.hosts[0]
}

fn stall(known: &mut Known, handler: &str, event: u128) {
    known.scene().processes[0].stalls.push(Stall {
        subscription: None,
        handler: handler.to_owned(),
        event: event_id(event),
        seq: Some(Seq(4)),
        event_type: EventType::from_canonical("a"),
        since: at(995),
        held_ms: 5_000,
        class: StallClass::Io,
        cpu_ms: Some(3),
        thread: "rr-handler".to_owned(),
        tid: 77,
        state: Some('S'),
        syscall: Some("read".to_owned()),
        object: Some("/tmp/fifo".to_owned()),
        place: Some("evaluate.py:41 in on_event".to_owned()),
    });
}

const BUSY: &[Line] = &[
    (
        |k| {
            host(k, Some(Code::WtConcurrency));
        },
        Code::WtConcurrency,
        "pid 11: 1 of 1 run, 7 wait, since 1970-01-01 00:16:20.000 UTC; its position is 2",
        SHOW,
    ),
    (
        |k| {
            claimed(k);
            host(k, Some(Code::WtConcurrency));
        },
        Code::WtConcurrency,
        "taken by pid 11",
        SHOW,
    ),
    (
        |k| host(k, Some(Code::WtConcurrency)).abandoned = 1,
        Code::WtConcurrency,
        "1 of 1 slots",
        SHOW,
    ),
    (
        |k| {
            host(k, Some(Code::WtProcessLimit));
        },
        Code::WtProcessLimit,
        "256 of 256 run",
        "ringrift processes show 11",
    ),
    (
        |k| {
            host(k, Some(Code::WtRate));
        },
        Code::WtRate,
        "5 events in 1000 ms",
        SHOW,
    ),
    (
        |k| stall(k, "d", 4),
        Code::WtLoopBlocked,
        "d holds thread rr-handler with event 4 since 1970-01-01 00:16:35.000 UTC (5000 ms, 3 ms of \
         them computing, in read of /tmp/fifo, at evaluate.py:41 in on_event; class io)",
        "ringrift processes show 11",
    ),
    // Another handler's stall says nothing of this one.
    (
        |k| stall(k, "other", 4),
        Code::WtPending,
        "its position is 2",
        SHOW,
    ),
    // It claims nothing that it cannot begin with, so nothing waits there.
    (
        |k| host(k, None).waiting = 0,
        Code::WtConcurrency,
        "1 of 1 run, 0 wait",
        SHOW,
    ),
    (
        |k| host(k, None).in_flight = 0,
        Code::WtProcessLimit,
        "256 of 256 run",
        "ringrift processes show 11",
    ),
    (
        |k| {
            host(k, None).in_flight = 0;
            k.scene().processes[0].load.in_flight = 255;
        },
        Code::WtPending,
        "its position is 2",
        SHOW,
    ),
    (
        |k| {
            live(k);
            host(k, None).lagging_after = Some(Seq(3));
        },
        Code::WtLagging,
        "pid 11: has come to 3, 7 wait",
        SHOW,
    ),
    (
        |k| {
            live(k);
            k.scene().subscriptions[0].cursor = Seq(9);
            host(k, Some(Code::WtConcurrency));
        },
        Code::WtConcurrency,
        "pid 11 has read up to 9",
        SHOW,
    ),
    // Nothing waits there: it was handled, and its end is gone or not written yet.
    (
        |k| {
            live(k);
            k.scene().subscriptions[0].cursor = Seq(9);
            host(k, Some(Code::WtConcurrency)).waiting = 0;
        },
        Code::HnNoRecord,
        "none of those is this event",
        "ringrift processes show 11",
    ),
    // The page may have let its end go.
    (
        |k| {
            live(k);
            k.scene().subscriptions[0].cursor = Seq(9);
            host(k, Some(Code::WtConcurrency));
            let mut other = recent(Code::HnOk, at(500));
            other.event = event_id(6);
            k.scene().processes[0].recent = vec![other; 256];
        },
        Code::HnNoRecord,
        "none of those is this event",
        "ringrift processes show 11",
    ),
];

#[test]
fn what_keeps_a_busy_host_is_told_from_its_page() {
    check(BUSY);
}

#[test]
fn a_host_that_has_room_is_waited_for_whatever_another_one_says() {
    let mut known = scene();
    host(&mut known, Some(Code::WtConcurrency));
    let second = super::scene::process_id(12);
    known.scene().subscriptions[0].hosts.insert(second, 1);
    assert_eq!(standing(&known).verdict.code, Code::WtPending);
}
