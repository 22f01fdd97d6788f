//! The registry's verbs against a real file, with pages beside it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::*;
use crate::clock::{Clock, SharedClock, SystemClock, Time};
use crate::event::{EventType, ProcessId, Seq};
use crate::store::ErrorCode;
use crate::store::pages::Bells;
use crate::store::pages::Side;
use crate::store::records::Unbridged;
use crate::store::registry::{
    Counters, DaemonState, DeclaredType, Fact, FactFilter, Liveness, ProcessIdentity,
};
use crate::store::sqlite::connection::{Use, connect};
use crate::store::sqlite::lookout::Lookout;
use crate::store::sqlite::presence::{CommandsDue, Presence, PresenceSettings};
use crate::store::sqlite::records::CountUnbridged;
use crate::store::sqlite::testing::TestDatabase;
use crate::store::sqlite::verbs::upkeep::Depart;
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::Code;

/// A database, and this process joined to it.
struct Stage {
    db: TestDatabase,
    presence: Arc<Presence>,
}

fn process(id: ProcessId) -> ProcessIdentity {
    ProcessIdentity {
        id,
        host: "here".to_owned(),
        pid: std::process::id(),
        command: "test".to_owned(),
        started_at: Time(1_767_225_600_000_123),
        catalog_hash: u64::MAX - 3,
        version: "0.1.0".to_owned(),
    }
}

fn presence(db: &TestDatabase, id: ProcessId) -> Arc<Presence> {
    let clock: SharedClock = Arc::clone(&db.clock) as SharedClock;
    let side = Side::of(&db.path(), true).unwrap();
    Presence::open(side, id, clock, PresenceSettings::default()).unwrap()
}

impl Stage {
    fn new() -> Stage {
        let mut db = TestDatabase::new();
        let presence = presence(&db, db.process);
        let info = process(db.process);
        db.process_row = db.write(Join { process: info }).unwrap();
        Stage { db, presence }
    }

    fn processes(&self) -> Vec<crate::store::registry::ProcessState> {
        let presence = Arc::clone(&self.presence);
        self.db.read(Processes { presence }).unwrap()
    }

    fn send(&self, to: ProcessId) -> Result<i64, crate::store::Error> {
        self.db.write(SendCommand {
            presence: Arc::clone(&self.presence),
            process: to,
            verb: "daemon.stop".to_owned(),
            args: "{}".to_owned(),
            by: "me".to_owned(),
        })
    }
}

#[test]
fn a_process_is_told_from_its_page_and_after_it_left_from_its_row() {
    let stage = Stage::new();
    let counters = Counters {
        published: 5,
        failed: 2,
        ..Counters::default()
    };
    stage.presence.beat(counters, Seq(9));
    let told = &stage.processes()[0];
    assert_eq!(told.process, process(stage.db.process));
    assert_eq!(told.liveness, Liveness::Alive);
    assert_eq!((told.counters, told.polled_to), (counters, Seq(9)));
    stage.db.clock.advance(Duration::from_secs(11));
    assert_eq!(stage.processes()[0].liveness, Liveness::Hung);
    let presence = Arc::clone(&stage.presence);
    stage.db.write(Depart { presence }).unwrap();
    stage.presence.close();
    stage.presence.side().unlink(stage.db.process).unwrap();
    let told = &stage.processes()[0];
    assert_eq!(told.liveness, Liveness::Left);
    assert_eq!((told.counters, told.polled_to), (counters, Seq(9)));
}

#[test]
fn a_row_without_a_page_is_a_dead_process_and_comes_after_the_living() {
    let stage = Stage::new();
    // Its id sorts first.
    let dead = ProcessId(uuid::Uuid::from_u64_pair(1, 1));
    let info = process(dead);
    stage.db.write(Join { process: info }).unwrap();
    let told = stage.processes();
    assert_eq!(told[0].process.id, stage.db.process);
    assert_eq!(
        (told[1].process.id, told[1].liveness),
        (dead, Liveness::Dead)
    );
}

#[test]
fn joining_twice_keeps_the_row() {
    let stage = Stage::new();
    let info = process(stage.db.process);
    let again = stage.db.write(Join { process: info }).unwrap();
    assert_eq!(again, stage.db.process_row);
    assert_eq!(stage.processes().len(), 1);
}

#[test]
fn a_command_is_taken_once_and_its_answer_shown() {
    let stage = Stage::new();
    let found = Arc::new(AtomicBool::new(false));
    assert!(matches!(
        stage.presence.may_have_commands(),
        CommandsDue::Take
    ));
    assert!(matches!(
        stage.presence.may_have_commands(),
        CommandsDue::Look(_)
    ));
    assert!(matches!(
        stage.presence.may_have_commands(),
        CommandsDue::No
    ));
    let id = stage.send(stage.db.process).unwrap();
    assert!(matches!(
        stage.presence.may_have_commands(),
        CommandsDue::Take
    ));
    assert!(
        stage
            .db
            .read(HasCommands {
                found: Arc::clone(&found)
            })
            .unwrap()
    );
    let taken = stage.db.write(TakeCommands).unwrap();
    assert_eq!((taken.len(), taken[0].id), (1, id));
    assert_eq!(taken[0].taken_at, Some(stage.db.clock.now()));
    assert!(stage.db.write(TakeCommands).unwrap().is_empty());
    assert!(
        !stage
            .db
            .read(HasCommands {
                found: Arc::clone(&found)
            })
            .unwrap()
    );
    let result = "ok stopped".to_owned();
    stage.db.write(AnswerCommand { id, result }).unwrap();
    let shown = stage.db.read(ShowCommand { id }).unwrap();
    assert_eq!(shown.result.as_deref(), Some("ok stopped"));
    assert_eq!((shown.process, shown.by.as_str()), (stage.db.process, "me"));
    let missing = stage.db.read(ShowCommand { id: id + 1 }).unwrap_err();
    assert_eq!(missing.code, ErrorCode::NotFound);
}

#[test]
fn a_dead_a_hung_and_an_unknown_process_take_no_command() {
    let stage = Stage::new();
    let stranger = ProcessId(uuid::Uuid::from_u64_pair(2, 2));
    assert_eq!(stage.send(stranger).unwrap_err().code, ErrorCode::NotFound);
    let info = process(stranger);
    stage.db.write(Join { process: info }).unwrap();
    assert_eq!(
        stage.send(stranger).unwrap_err().code,
        ErrorCode::WrongState
    );
    let page = presence(&stage.db, stranger);
    stage.send(stranger).unwrap();
    stage.db.clock.advance(Duration::from_secs(11));
    assert_eq!(
        stage.send(stranger).unwrap_err().code,
        ErrorCode::WrongState
    );
    page.touch();
    stage.send(stranger).unwrap();
    page.close();
    let error = stage.send(stranger).unwrap_err();
    assert_eq!(error.code, ErrorCode::WrongState);
    assert!(error.message.contains("has ended"), "{error}");
}

#[test]
fn daemons_stand_as_they_were_last_reported() {
    let stage = Stage::new();
    let mut state = DaemonState {
        process: stage.db.process,
        name: "SWEEPER".to_owned(),
        state: "running".to_owned(),
        stopped_by: None,
        restarts: 0,
        error: None,
        cycle_at: None,
        since: Time(1),
    };
    let states = vec![state.clone()];
    stage.db.write(ReportDaemons { states }).unwrap();
    state.state = "failed".to_owned();
    state.restarts = 5;
    state.error = Some("no".to_owned());
    state.cycle_at = Some(Time(7));
    let states = vec![state.clone()];
    stage.db.write(ReportDaemons { states }).unwrap();
    assert_eq!(stage.db.read(Daemons).unwrap(), [state]);
}

#[test]
fn another_declaration_of_a_type_is_refused_with_both_and_adds_nothing() {
    let stage = Stage::new();
    let declared = |value: &str, declaration: &str| DeclaredType {
        value: value.to_owned(),
        declaration: declaration.to_owned(),
    };
    let types = vec![declared("b", "{1}"), declared("a", "{2}")];
    stage
        .db
        .write(DeclareTypes {
            types: types.clone(),
        })
        .unwrap();
    stage.db.write(DeclareTypes { types }).unwrap();
    let types = vec![declared("c", "{3}"), declared("a", "{4}")];
    let error = stage.db.write(DeclareTypes { types }).unwrap_err();
    assert_eq!(error.code, ErrorCode::TypeDiffers);
    assert!(error.message.contains("{2}") && error.message.contains("{4}"));
    let known = stage.db.read(DeclaredTypes).unwrap();
    assert_eq!(known, [declared("a", "{2}"), declared("b", "{1}")]);
}

fn fact(stage: &Stage, at: i64, code: Option<Code>) -> Fact {
    Fact {
        at: Time(at),
        code,
        event: None,
        seq: None,
        seq_to: None,
        event_type: Some(EventType::from_canonical("training_completed")),
        subscription: Some(SubscriptionId(3)),
        process: Some(stage.db.process),
        act: None,
        generation: None,
        evidence: r#"{"n":1}"#.to_owned(),
    }
}

#[test]
fn facts_come_newest_first_and_each_part_of_the_filter_narrows() {
    let stage = Stage::new();
    let event = stage.db.event("training_completed", "{}");
    let seq = insert(&stage, &event);
    let mut about = fact(&stage, 1, Some(Code::HnError));
    about.event = Some(event.id);
    let mut range = fact(&stage, 2, Some(Code::StSkippedBySeek));
    (range.seq, range.seq_to) = (Some(Seq(seq)), Some(Seq(seq + 5)));
    let mut beyond = range.clone();
    (beyond.seq, beyond.seq_to) = (Some(Seq(seq + 1)), Some(Seq(seq + 5)));
    let mut act = fact(&stage, 4, None);
    act.act = Some(("me".to_owned(), "dlq.retry".to_owned()));
    act.subscription = None;
    let facts = vec![about.clone(), range.clone(), beyond.clone(), act.clone()];
    stage.db.write(Record { facts }).unwrap();
    let ask = |filter: FactFilter| stage.db.read(Facts { filter }).unwrap();
    let all = FactFilter {
        limit: 10,
        ..FactFilter::default()
    };
    assert_eq!(
        ask(all.clone()),
        [act.clone(), beyond.clone(), range.clone(), about.clone()]
    );
    assert_eq!(
        ask(FactFilter {
            limit: 1,
            ..all.clone()
        }),
        [act.clone()]
    );
    let of = FactFilter {
        event: Some(event.id),
        ..all.clone()
    };
    assert_eq!(ask(of), [range.clone(), about.clone()]);
    let of = FactFilter {
        acts_only: true,
        ..all.clone()
    };
    assert_eq!(ask(of), [act.clone()]);
    let of = FactFilter {
        codes: vec![Code::HnError],
        ..all.clone()
    };
    assert_eq!(ask(of), [about]);
    let of = FactFilter {
        since: Some(Time(2)),
        subscription: Some(SubscriptionId(3)),
        ..all
    };
    assert_eq!(ask(of), [beyond, range]);
}

fn insert(stage: &Stage, event: &crate::event::Event) -> i64 {
    stage
        .db
        .conn()
        .execute(
            "INSERT INTO events (id, event_type, payload, source, published_at, created_at,
                 trace_id, depth, origin)
             VALUES (?1, 't', '{}', 's', 0, '2026-01-01 00:00:00.000', '00', 0, 1)",
            [event.id],
        )
        .unwrap();
    stage.db.conn().last_insert_rowid()
}

#[test]
fn people_read_ids_and_times_with_debians_sqlite3() {
    let stage = Stage::new();
    let facts = vec![fact(&stage, 1_767_225_600_123_456, Some(Code::HnError))];
    stage.db.write(Record { facts }).unwrap();
    let unbridged = |count| Unbridged {
        process: stage.db.process,
        event_type: EventType::from_canonical("x"),
        count,
        last: None,
    };
    let counts = vec![unbridged(2), unbridged(3)];
    stage.db.write(CountUnbridged { counts }).unwrap();
    let output = std::process::Command::new("sqlite3")
        .arg(stage.db.path())
        .arg(
            "SELECT process_id, started_at FROM processes;
             SELECT code, created_at, process_id FROM verdicts WHERE created_at < datetime('now');
             SELECT action FROM audit_log; SELECT events FROM unbridged;
             SELECT count(*) FROM daemons; SELECT count(*) FROM commands;",
        )
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let id = stage.db.process;
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!(
            "{id}|2026-01-01 00:00:00.000\nHN_ERROR|2026-01-01 00:00:00.123|{id}\nHN_ERROR\n5\n0\n0\n"
        )
    );
}

#[test]
fn the_lookout_tells_of_changes_and_wakes_who_waits_where_nobody_rang() {
    let stage = Stage::new();
    let conn = connect(&stage.db.path(), Use::Read, Duration::from_secs(5)).unwrap();
    let mut lookout = Lookout::begin(conn, Arc::clone(&stage.presence));
    let foreign = rusqlite::Connection::open(stage.db.path()).unwrap();
    let mut seen = 0;
    assert_ne!(
        stage.presence.news(Bells::NONE),
        seen,
        "what came before is news"
    );
    seen = stage.presence.news(Bells::NONE);
    let mut looks = |name: &str| {
        if !name.is_empty() {
            let row = format!(
                "INSERT INTO unbridged (process, event_type, events) VALUES (1, '{name}', 1)"
            );
            foreign.execute_batch(&row).unwrap();
        }
        lookout.look();
        let news = stage.presence.news(Bells::NONE);
        news != std::mem::replace(&mut seen, news)
    };
    assert!(!looks(""), "nothing changed");
    assert!(looks("x"));
    assert!(!looks(""));
    stage.presence.ring(Bells::WORK);
    assert!(!looks(""), "a ring changes nothing");
    stage.presence.ring(Bells::WORK);
    assert!(looks("y"), "beside a ring it counts too");
    let (presence, long) = (Arc::clone(&stage.presence), Duration::from_secs(20));
    let waiter = std::thread::spawn(move || {
        let seen = presence.news(Bells::WORK);
        let news = presence.wait_for_news(Bells::WORK, seen, long);
        assert_ne!(news, seen);
        SystemClock.monotonic()
    });
    let began = SystemClock.monotonic();
    let mut names = 0..;
    while !waiter.is_finished() {
        looks(&format!("z{}", names.next().unwrap()));
    }
    let woken = waiter.join().unwrap().saturating_sub(began);
    assert!(
        woken < PresenceSettings::default().foreign_poll,
        "{woken:?}"
    );
}

#[test]
fn waiting_for_news_ends_with_a_ring_or_the_time_and_where_nobody_looks_with_a_guess() {
    let stage = Stage::new();
    let settings = PresenceSettings {
        foreign_poll: Duration::from_millis(20),
        ..PresenceSettings::default()
    };
    let other = ProcessId(uuid::Uuid::from_u64_pair(5, 5));
    let clock: SharedClock = Arc::clone(&stage.db.clock) as SharedClock;
    let side = Side::of(&stage.db.path(), true).unwrap();
    let presence = Presence::open(side, other, clock, settings).unwrap();
    let long = Duration::from_secs(20);
    let guessed = presence.wait_for_news(Bells::ALL, 0, long);
    assert_ne!(guessed, 0, "nobody looks, so it may have changed");
    presence.begin_looking();
    let looked = presence.news(Bells::ALL);
    assert_ne!(looked, guessed);
    let seen = presence.wait_for_news(Bells::ALL, looked, Duration::from_millis(100));
    assert_eq!(seen, looked, "the time passed");
    stage.presence.ring(Bells::WORK);
    let rung = presence.wait_for_news(Bells::ALL, seen, long);
    assert_ne!(rung, seen);
}
