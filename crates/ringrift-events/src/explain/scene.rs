//! A small recorded world for the tests: one event at place 5, one durable subscription, two
//! processes.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::known::{Known, Scenery};
use super::standing::Standing;
use crate::clock::Time;
use crate::event::{Event, EventId, EventType, Payload, ProcessId, Seq, TraceId};
use crate::store::deliveries::{LetterId, Why};
use crate::store::letters::LetterState;
use crate::store::log::{Logged, TypeSet};
use crate::store::records::Load;
use crate::store::registry::{
    Counters, DaemonState, Fact, Liveness, ProcessIdentity, ProcessState, Recent, Running,
};
use crate::store::subscriptions::{
    Definition, Generation, Kind, Start, SubscriptionId, SubscriptionState, Version,
};
use crate::store::trail::{Again, Passage, Place, Trail};
use crate::verdict::{Code, Effort, FailureKind};

/// A second of the world's time: generation 1 begins at 100, the event is committed at 150, and it
/// is 1,000 now.
pub(super) fn at(second: i64) -> Time {
    Time(second * 1_000_000)
}

pub(super) fn process_id(number: u128) -> ProcessId {
    ProcessId(Uuid::from_u128(number))
}

pub(super) fn event_id(number: u128) -> EventId {
    EventId(Uuid::from_u128(number))
}

/// The event's place.
pub(super) const SEQ: Seq = Seq(5);

const ID: SubscriptionId = SubscriptionId(1);

/// The subscription `d` waits for the event; pid 11 hosts it and runs its daemons, pid 12 published
/// the event.
pub(super) fn scene() -> Known {
    let daemon = |name: &str| DaemonState {
        process: process_id(11),
        name: name.to_owned(),
        state: "running".to_owned(),
        stopped_by: None,
        restarts: 0,
        error: None,
        cycle_at: None,
        since: at(90),
    };
    Known {
        logged: Logged {
            event: Arc::new(event()),
            committed_at: at(150),
            deleted_at: None,
            call_site: None,
        },
        scenery: Arc::new(Scenery {
            now: at(1_000),
            subscriptions: vec![subscription()],
            processes: vec![process(11), process(12)],
            daemons: vec![daemon("CROSS_PROCESS_POLLER"), daemon("DLQ_RETRY")],
            hosted: Vec::new(),
            near_names: crate::catalog::NearNames::default(),
        }),
        facts: Vec::new(),
        trail: Trail {
            passages: vec![passage(1, Place::Ahead)],
            ..Trail::default()
        },
        edits: Vec::new(),
    }
}

/// Where the event stands with `d`.
pub(super) fn standing(known: &Known) -> Standing {
    let mut all = known.standings();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn event() -> Event {
    Event {
        id: event_id(5),
        event_type: EventType::from_canonical("a"),
        payload: Payload::from_checked(r#"{"elo":1500}"#),
        source: "test".to_owned(),
        key: Some("k".to_owned()),
        published_at: at(150),
        trace_id: TraceId(Uuid::from_u128(9)),
        parent_id: None,
        depth: 0,
        origin: process_id(12),
        stage: None,
        seq: Some(SEQ),
    }
}

fn subscription() -> SubscriptionState {
    SubscriptionState {
        id: ID,
        versions: vec![Version {
            number: 1,
            definition: Definition {
                name: "d".to_owned(),
                kind: Kind::Durable,
                types: TypeSet::only([EventType::from_canonical("a")]),
                filter: None,
                start: Start::Now,
                dedup: Vec::new(),
                ordered_by_key: false,
            },
            valid_from: Seq(1),
            valid_to: None,
            created_at: at(100),
        }],
        process: None,
        generation: Generation(1),
        paused: None,
        cursor: Seq(2),
        settled: Seq(2),
        claimed: 0,
        retrying: 0,
        dead: 0,
        again: 0,
        owed_after: Seq::START,
        ended_at: None,
        hosts: BTreeMap::from([(process_id(11), 1)]),
    }
}

/// What a process of this pid says of itself.
pub(super) fn identity(number: u32) -> ProcessIdentity {
    ProcessIdentity {
        id: process_id(u128::from(number)),
        host: "node-1".to_owned(),
        pid: number,
        command: "trainer".to_owned(),
        started_at: at(90),
        catalog_hash: 0,
        version: "0.1.0".to_owned(),
    }
}

fn process(number: u32) -> ProcessState {
    ProcessState {
        process: identity(number),
        liveness: Liveness::Alive,
        beat_at: at(999),
        counters: Counters::default(),
        running: Vec::new(),
        recent: Vec::new(),
        polled_to: SEQ,
        blocked_by: None,
        hosts: Vec::new(),
        stalls: Vec::new(),
        load: Load::default(),
        cycles: Vec::new(),
    }
}

/// A generation that began at 100 × its number.
pub(super) fn passage(generation: i64, place: Place) -> Passage {
    Passage {
        subscription: ID,
        generation: Generation(generation),
        began_at: at(100 * generation),
        ended_at: None,
        place,
    }
}

/// A redelivery of the event that failed once.
pub(super) fn row(generation: i64, state: LetterState) -> Again {
    Again {
        id: LetterId(7),
        subscription: ID,
        generation: Generation(generation),
        event: event_id(5),
        seq: Some(SEQ),
        why: Why::Retry,
        state,
        failed: true,
        attempts: 2,
        attempts_total: 2,
        deaths: 0,
        error: Some("out of memory".to_owned()),
        error_kind: Some(FailureKind::Error),
        due: None,
        held: false,
        owner: None,
        linked: None,
    }
}

/// The same, which never failed and waits.
pub(super) fn waiting(why: Why) -> Again {
    Again {
        why,
        failed: false,
        error: None,
        error_kind: None,
        due: Some(at(900)),
        ..row(1, LetterState::Retrying)
    }
}

pub(super) fn run(since: Time) -> Running {
    Running {
        subscription: ID,
        event: event_id(5),
        seq: Some(SEQ),
        since,
        step: Some("db:load".to_owned()),
        step_since: None,
        abandoned: false,
        effort: Effort::default(),
    }
}

pub(super) fn recent(code: Code, when: Time) -> Recent {
    Recent {
        subscription: ID,
        event: event_id(5),
        code,
        took_us: 1_500,
        at: when,
    }
}

/// A fact about the event and `d`.
pub(super) fn fact(code: Code, when: Time, evidence: &str) -> Fact {
    Fact {
        at: when,
        code: Some(code),
        event: Some(event_id(5)),
        seq: Some(SEQ),
        seq_to: None,
        event_type: None,
        subscription: Some(ID),
        process: None,
        act: None,
        generation: None,
        evidence: evidence.to_owned(),
    }
}

/// A fact about places 3 to 9 and `d`.
pub(super) fn range(code: Code, when: Time) -> Fact {
    Fact {
        event: None,
        seq: Some(Seq(3)),
        seq_to: Some(Seq(9)),
        act: Some(("ann".to_owned(), "an.act".to_owned())),
        ..fact(code, when, "{}")
    }
}

/// What is changed in the scene; the code; a part of what is; the next command.
pub(super) type Line = (fn(&mut Known), Code, &'static str, &'static str);

pub(super) fn check(table: &[Line]) {
    for (place, (change, code, actual, next)) in table.iter().enumerate() {
        let mut known = scene();
        change(&mut known);
        let verdict = standing(&known).verdict;
        assert_eq!(verdict.code, *code, "line {place}: {verdict:?}");
        assert!(verdict.actual.contains(actual), "line {place}: {verdict:?}");
        assert_eq!(verdict.next, *next, "line {place}: {verdict:?}");
        assert!(!verdict.sentence.is_empty(), "line {place}");
    }
}

pub(super) fn passed(known: &mut Known) {
    let by = Some(process_id(11));
    known.trail.passages = vec![passage(1, Place::Passed { by })];
    known.scene().subscriptions[0].cursor = Seq(9);
    known.scene().subscriptions[0].settled = Seq(9);
}

pub(super) fn claimed(known: &mut Known) {
    let by = Some(process_id(11));
    known.trail.passages = vec![passage(1, Place::Claimed { by })];
}

pub(super) fn dead(known: &mut Known) {
    known.scene().processes[0].liveness = Liveness::Dead;
}

pub(super) fn stopped(known: &mut Known, daemon: usize) {
    known.scene().daemons[daemon].state = "stopped".to_owned();
    known.scene().daemons[daemon].stopped_by = Some("ann".to_owned());
    known.scene().daemons[daemon].since = at(200);
}

pub(super) fn letter(known: &mut Known, row: Again) {
    passed(known);
    known.trail.again = vec![row];
}

pub(super) fn live(known: &mut Known) {
    known.scene().subscriptions[0].versions[0].definition.kind = Kind::Live;
    known.scene().subscriptions[0].process = Some(process_id(11));
    known.trail.passages.clear();
}
