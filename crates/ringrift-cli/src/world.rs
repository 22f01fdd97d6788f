//! A small world for tests: a store in memory with a few processes, subscriptions, events and
//! dead letters, in which every time and id is always the same.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Parser;
use ringrift_events::clock::{Clock, ManualClock, SharedClock, SystemClock, Time};
use ringrift_events::config::{Config, Home};
use ringrift_events::event::{Event, EventId, EventType, Payload, ProcessId, Seq, TraceId};
use ringrift_events::store::Store;
use ringrift_events::store::deliveries::{Settle, Settlement, Want};
use ringrift_events::store::log::{Batch, Draft, Durability, TypeSet};
use ringrift_events::store::memory::MemoryHub;
use ringrift_events::store::registry::ProcessIdentity;
use ringrift_events::store::subscriptions::{Definition, Kind, Start, SubscriptionId};
use ringrift_events::system::System;
use ringrift_events::verdict::{Failure, FailureKind, Outcome, RetryWish};

use crate::call::Call;
use crate::cli::Cli;
use crate::failure::Stop;
use crate::output::Sink;

/// When the world begins: 2023-11-14 22:13:20 UTC.
const START: Time = Time(1_700_000_000_000_000);

/// What one command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit code.
    pub(crate) exit: u8,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

/// The world.
pub(crate) struct World {
    clock: Arc<ManualClock>,
    hub: MemoryHub,
    /// The process that publishes and hosts `evaluator`.
    pub(crate) trainer: Arc<dyn Store>,
}

impl World {
    /// A store with nothing in it but one process.
    pub(crate) fn empty() -> World {
        let clock = Arc::new(ManualClock::new(START, 7));
        let shared: SharedClock = Arc::clone(&clock) as SharedClock;
        let hub = MemoryHub::new(shared);
        let trainer = hub.open(process(&clock, 4711, "trainer --gpu 0"));
        World {
            clock,
            hub,
            trainer,
        }
    }

    /// A durable `evaluator` with three events, of which the second is a dead letter and the third
    /// waits.
    pub(crate) fn busy() -> World {
        let world = World::empty();
        let evaluator = world.durable("evaluator", &["training_completed"], Some("elo__gte=1500"));
        world.publish(
            "training_completed",
            "hex8_2p",
            r#"{"config_key":"hex8_2p","elo":1650}"#,
        );
        world.publish(
            "training_completed",
            "sq8_2p",
            r#"{"config_key":"sq8_2p","elo":1720}"#,
        );
        world.publish(
            "new_games_available",
            "hex8_2p",
            r#"{"config_key":"hex8_2p","games":412}"#,
        );
        world.handle(evaluator, "cannot load model.pt: no such file", None);
        world.publish(
            "training_completed",
            "sq8_2p",
            r#"{"config_key":"sq8_2p","elo":1735}"#,
        );
        world
    }

    /// Lets time pass.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Makes a durable subscription hosted by the trainer.
    pub(crate) fn durable(
        &self,
        name: &str,
        types: &[&str],
        filter: Option<&str>,
    ) -> SubscriptionId {
        let definition = Definition {
            name: name.to_owned(),
            kind: Kind::Durable,
            types: TypeSet::only(types.iter().map(|value| EventType::from_canonical(value))),
            filter: filter.map(str::to_owned),
            start: Start::Now,
            dedup: Vec::new(),
            ordered_by_key: false,
        };
        let subscribed = self.trainer.subscribe(definition, false).wait();
        subscribed.expect("subscribes").id
    }

    /// Publishes one event, a second later than the last.
    pub(crate) fn publish(&self, event_type: &str, key: &str, payload: &str) -> EventId {
        self.advance(Duration::from_secs(1));
        let event = Event {
            id: EventId::new(&*self.clock),
            event_type: EventType::from_canonical(event_type),
            payload: Payload::from_checked(payload),
            source: "trainer".to_owned(),
            key: Some(key.to_owned()),
            published_at: self.clock.now(),
            trace_id: TraceId(uuid::Uuid::from_u128(0xabc)),
            parent_id: None,
            depth: 0,
            origin: self.trainer.process(),
            stage: None,
            seq: None,
        };
        let id = event.id;
        let batch = Batch {
            drafts: vec![Draft {
                event: Arc::new(event),
                idempotency_key: None,
            }],
            durability: Durability::Process,
        };
        self.trainer.append(batch, None).wait().expect("appends");
        id
    }

    /// Handles what waits: everything succeeds but the last event, which fails.
    pub(crate) fn handle(&self, id: SubscriptionId, error: &str, retry_at: Option<Time>) {
        while let Some(claim) = self
            .trainer
            .claim(Want {
                subscription: id,
                max: 256,
            })
            .wait()
            .expect("claims")
        {
            let last = claim.events.last().and_then(|event| event.seq);
            let last = last.unwrap_or(Seq::START);
            let failed = Settlement {
                seq: last,
                outcome: Outcome::Failed(Failure {
                    kind: FailureKind::Error,
                    message: error.to_owned(),
                    took: Duration::from_millis(40),
                    step: Some("disk:load model".to_owned()),
                    wish: RetryWish::Never,
                }),
                took: Duration::from_millis(40),
                retry_at,
                held: false,
                dedup_key: None,
            };
            let settle = Settle {
                token: claim.token,
                settled_to: last,
                results: vec![failed],
                done: claim.events.len() as u64 - 1,
            };
            self.trainer.settle(settle).wait().expect("settles");
        }
    }

    /// A call that answers into memory, and a system of its own on this world's store.
    pub(crate) fn system(&self, line: &[&str]) -> (Cli, Call, System) {
        let words = std::iter::once("ringrift").chain(line.iter().copied());
        let cli = Cli::try_parse_from(words).expect("the grammar takes it");
        let store = self.hub.open(process(&self.clock, 6000, "ringrift"));
        let clock: SharedClock = Arc::new(SystemClock);
        let opener = |_: &Call, _| -> Result<Arc<dyn Store>, Stop> { unreachable!("not opened") };
        let call = Call::for_test(
            cli.global.clone(),
            Arc::clone(&clock),
            Box::new(opener),
            Vec::new(),
            Sink::to(Memory::default()),
            Sink::to(Memory::default()),
        );
        let config = Config::defaults(Home::at(&std::env::temp_dir()));
        let system = System::over(config, store, clock).expect("a system");
        (cli, call, system)
    }

    /// Runs one command line in this world.
    pub(crate) fn run(&self, line: &[&str]) -> Ran {
        let (out, err) = (Memory::default(), Memory::default());
        let words = std::iter::once("ringrift").chain(line.iter().copied());
        let cli = Cli::try_parse_from(words).expect("the grammar takes it");
        let hub = self.hub.clone();
        let clock = Arc::clone(&self.clock);
        let opener = move |_: &Call, _| -> Result<Arc<dyn Store>, Stop> {
            Ok(hub.open(process(&clock, 5000, "ringrift")))
        };
        let call = Call::for_test(
            cli.global.clone(),
            Arc::clone(&self.clock) as SharedClock,
            Box::new(opener),
            line.iter().map(|word| (*word).to_owned()).collect(),
            Sink::to(out.clone()),
            Sink::to(err.clone()),
        );
        let exit = match cli.command.run(&call) {
            Ok(exit) => exit.code(),
            Err(Stop::ReaderGone) => 0,
            Err(Stop::Failed(failure)) => {
                call.fail(&failure);
                failure.exit.code()
            }
        };
        Ran {
            exit,
            stdout: out.text(),
            stderr: err.text(),
        }
    }
}

fn process(clock: &ManualClock, pid: u32, command: &str) -> ProcessIdentity {
    ProcessIdentity {
        id: ProcessId::new(clock),
        host: "node-1".to_owned(),
        pid,
        command: command.to_owned(),
        started_at: clock.now(),
        catalog_hash: 0,
        version: "0.1.0".to_owned(),
    }
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
