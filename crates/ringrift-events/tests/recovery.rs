//! Past events again, for one subscription alone: at a pace, and resumable, on both stores.

#![cfg(test)]

use std::sync::Arc;

use ringrift_events::clock::{Clock as _, ManualClock, SharedClock, SystemClock, Time};
use ringrift_events::event::{Event, EventId, EventType, Payload, ProcessId, Seq, TraceId};
use ringrift_events::recovery::{Question, Replay, Reply, Request, Selection, ask, count};
use ringrift_events::store::Store;
use ringrift_events::store::log::{Batch, Draft, Durability, TypeSet};
use ringrift_events::store::memory::MemoryHub;
use ringrift_events::store::registry::ProcessIdentity;
use ringrift_events::store::sqlite::{OpenOptions, SqliteStore};
use ringrift_events::store::subscriptions::{Definition, Kind, Start, SubscriptionState};

struct Bench {
    clock: SharedClock,
    store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
}

fn identity(clock: &SharedClock) -> ProcessIdentity {
    ProcessIdentity {
        id: ProcessId::new(&**clock),
        host: "node-1".to_owned(),
        pid: std::process::id(),
        command: "test".to_owned(),
        started_at: clock.now(),
        catalog_hash: 0,
        version: "0".to_owned(),
    }
}

impl Bench {
    /// One in memory and one on a disk.
    fn both() -> [Bench; 2] {
        let manual: SharedClock = Arc::new(ManualClock::new(Time(1_700_000_000_000_000), 7));
        let real: SharedClock = Arc::new(SystemClock);
        let folder = tempfile::tempdir().unwrap();
        let mut options =
            OpenOptions::new(folder.path().to_owned(), identity(&real), Arc::clone(&real));
        options.disk_free_min_percent = 0;
        options.create = true;
        [
            Bench {
                store: MemoryHub::new(Arc::clone(&manual)).open(identity(&manual)),
                clock: manual,
                _folder: tempfile::tempdir().unwrap(),
            },
            Bench {
                store: SqliteStore::open(options).unwrap(),
                clock: real,
                _folder: folder,
            },
        ]
    }

    fn publish(&self, event_type: &str, n: u64) {
        let event = Event {
            id: EventId::new(&*self.clock),
            event_type: EventType::from_canonical(event_type),
            payload: Payload::from_checked(format!("{{\"n\":{n}}}")),
            source: "test".to_owned(),
            key: None,
            published_at: self.clock.now(),
            trace_id: TraceId(uuid::Uuid::from_u128(1)),
            parent_id: None,
            depth: 0,
            origin: self.store.process(),
            stage: None,
            seq: None,
        };
        let batch = Batch {
            drafts: vec![Draft {
                event: Arc::new(event),
                idempotency_key: None,
                call_site: None,
            }],
            durability: Durability::Process,
        };
        self.store.append(batch, None).wait().unwrap();
    }

    /// A subscription to two types from the beginning, with a filter, and another one.
    fn subscribed(&self) -> SubscriptionState {
        for n in 0..30 {
            self.publish(["a", "b", "c"][n as usize % 3], n);
        }
        for name in ["reader", "other"] {
            let definition = Definition {
                name: name.to_owned(),
                kind: Kind::Durable,
                types: TypeSet::only(["a", "b"].map(EventType::from_canonical)),
                filter: Some("n__lt = 27".to_owned()),
                start: Start::Now,
                dedup: Vec::new(),
                ordered_by_key: false,
            };
            self.store.subscribe(definition, false).wait().unwrap();
        }
        let states = self.store.subscriptions().wait().unwrap();
        states
            .into_iter()
            .find(|state| state.current().name == "reader")
            .unwrap()
    }

    fn replay(&self, state: &SubscriptionState, request: Request) -> Replay {
        Replay::new(&*self.store, &*self.clock, state, request).unwrap()
    }

    /// The places of what waits for each subscription by way of a replay, in log order.
    fn due(&self, state: &SubscriptionState) -> Vec<i64> {
        let due = self.store.claim_due(vec![state.id], 1_000).wait().unwrap();
        let mut places: Vec<i64> = due
            .iter()
            .filter_map(|one| one.event.seq.map(|s| s.0))
            .collect();
        places.sort_unstable();
        places
    }
}

#[test]
fn a_replay_reaches_its_subscription_alone_and_is_counted_before() {
    for bench in Bench::both() {
        let state = bench.subscribed();
        let replay = bench.replay(
            &state,
            Request {
                filter: Some("n__gte = 10".to_owned()),
                ..Request::default()
            },
        );
        let counted = replay.preview(&*bench.store, &state).unwrap();
        let by_type: Vec<(&str, u64)> = counted
            .by_type
            .iter()
            .map(|(of, n)| (of.as_str(), *n))
            .collect();
        // a: 12, 15, 18, 21, 24; b: 10, 13, 16, 19, 22, 25.
        assert_eq!((counted.events, by_type), (11, vec![("b", 6), ("a", 5)]));
        replay.begin(&*bench.store, &*bench.clock, "ann").unwrap();
        let done = replay
            .run(&*bench.store, &*bench.clock, &state, "ann", |_| true)
            .unwrap();
        assert_eq!(done.replayed, 11);
        let states = bench.store.subscriptions().wait().unwrap();
        let other = states
            .iter()
            .find(|one| one.current().name == "other")
            .unwrap();
        assert_eq!(bench.due(other), Vec::<i64>::new());
        let expected: Vec<i64> = (10..27).filter(|n| n % 3 != 2).map(|n| n + 1).collect();
        assert_eq!(bench.due(&state), expected);
        bench.store.close();
    }
}

#[test]
fn an_interrupted_replay_goes_on_where_it_stood_and_repeats_nothing() {
    for bench in Bench::both() {
        let state = bench.subscribed();
        let replay = bench.replay(&state, Request::default());
        replay.begin(&*bench.store, &*bench.clock, "ann").unwrap();
        let mut steps = 0;
        let first = replay.run(&*bench.store, &*bench.clock, &state, "ann", |_| {
            steps += 1;
            steps < 7
        });
        assert_eq!(first.unwrap().replayed, 7);
        // Another run of the same subscription does not confuse it.
        let between = bench.replay(
            &state,
            Request {
                filter: Some("n = 24".to_owned()),
                ..Request::default()
            },
        );
        between.begin(&*bench.store, &*bench.clock, "bob").unwrap();
        between
            .run(&*bench.store, &*bench.clock, &state, "bob", |_| true)
            .unwrap();

        let again = Replay::resume(&*bench.store, &replay.run).unwrap();
        assert_eq!(again.preview(&*bench.store, &state).unwrap().events, 11);
        let rest = again
            .run(&*bench.store, &*bench.clock, &state, "ann", |_| true)
            .unwrap();
        assert_eq!(rest.replayed, 11);
        let over = Replay::resume(&*bench.store, &replay.run).unwrap();
        assert_eq!(over.preview(&*bench.store, &state).unwrap().events, 0);
        let mut expected: Vec<i64> = (0..27).filter(|n| n % 3 != 2).map(|n| n + 1).collect();
        expected.push(25);
        expected.sort_unstable();
        assert_eq!(bench.due(&state), expected);
        let error = Replay::resume(&*bench.store, "nobody").unwrap_err();
        assert!(error.to_string().contains("no replay goes by"), "{error}");
        bench.store.close();
    }
}

#[test]
fn a_replay_keeps_its_pace() {
    let [_, bench] = Bench::both();
    let state = bench.subscribed();
    let replay = bench.replay(
        &state,
        Request {
            per_second: Some(50),
            ..Request::default()
        },
    );
    let began = bench.clock.monotonic();
    let done = replay
        .run(&*bench.store, &*bench.clock, &state, "ann", |_| true)
        .unwrap();
    let took = bench.clock.monotonic() - began;
    assert_eq!(done.replayed, 18);
    // The eighteenth is due 17 / 50 s after the first.
    assert!(took.as_millis() >= 340, "{took:?}");
    bench.store.close();
}

#[test]
fn what_a_seek_would_skip_is_counted_by_type() {
    for bench in Bench::both() {
        let state = bench.subscribed();
        let selection = Selection::new(&state, Vec::new(), None).unwrap();
        let counted = count(&*bench.store, &selection, (Seq(3), Seq(9))).unwrap();
        let by_type: Vec<(&str, u64)> = counted
            .by_type
            .iter()
            .map(|(of, n)| (of.as_str(), *n))
            .collect();
        assert_eq!(by_type, [("a", 2), ("b", 2)]);
        assert_eq!(
            count(&*bench.store, &selection, (Seq(9), Seq(3)))
                .unwrap()
                .events,
            0
        );
        bench.store.close();
    }
}

#[test]
fn who_did_it_who_refused_and_who_said_nothing_are_told_in_the_order_of_the_questions() {
    let clock: SharedClock = Arc::new(SystemClock);
    let hub = MemoryHub::new(Arc::clone(&clock));
    let [own, silent, able]: [Arc<dyn Store>; 3] =
        [(); 3].map(|()| hub.open(identity(&clock)) as _);
    let question = |process: &Arc<dyn Store>, verb: &str| Question {
        process: process.process(),
        verb: verb.to_owned(),
        arguments: serde_json::json!({ "name": "SWEEPER" }),
    };
    let questions = [
        question(&silent, "daemon.start"),
        question(&able, "daemon.start"),
        question(&able, "daemon.fly"),
    ];
    let answering = std::thread::spawn(move || {
        let mut left = 2;
        let began = SystemClock.monotonic();
        while left > 0 {
            // Whoever asked has given up long ago.
            let waited = SystemClock.monotonic().saturating_sub(began);
            assert!(waited < std::time::Duration::from_secs(20));
            for command in able.take_commands().wait().unwrap() {
                assert_eq!(command.args, "{\"name\":\"SWEEPER\"}");
                assert_eq!(command.by, "ann");
                let answer = match command.verb.as_str() {
                    "daemon.start" => "ok started",
                    _ => "error unknown command",
                };
                able.answer(command.id, answer.to_owned()).wait().unwrap();
                left -= 1;
            }
            able.wait_for_news(0, std::time::Duration::from_millis(5));
        }
    });
    let within = std::time::Duration::from_secs(3);
    let replies = ask(&*own, &*clock, &questions, "ann", within).unwrap();
    answering.join().unwrap();
    let expected = [
        Reply::Silent,
        Reply::Done("ok started".to_owned()),
        Reply::Refused("error unknown command".to_owned()),
    ];
    assert_eq!(replies, expected);
}
