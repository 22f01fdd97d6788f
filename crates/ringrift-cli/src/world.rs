//! A small world for tests: a store in memory with a few processes, subscriptions, events and
//! dead letters, in which every time and id is always the same.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Parser;
use ringrift_events::catalog::{Catalog, DeclaredIn, TypeDeclaration};
use ringrift_events::clock::{Clock, ManualClock, SharedClock, SystemClock, Time};
use ringrift_events::config::{Config, Home};
use ringrift_events::event::{Event, EventId, EventType, Payload, ProcessId, Seq, TraceId};
use ringrift_events::store::Store;
use ringrift_events::store::deliveries::{Settle, Settlement, Want};
use ringrift_events::store::log::{Batch, Draft, Durability, TypeSet};
use ringrift_events::store::memory::MemoryHub;
use ringrift_events::store::records::{Refusal, Unbridged};
use ringrift_events::store::registry::{Counters, DeclaredType, ProcessIdentity};
use ringrift_events::store::subscriptions::{Definition, Kind, Start, SubscriptionId};
use ringrift_events::system::System;
use ringrift_events::verdict::{Failure, FailureKind, Outcome, RetryWish};

use crate::Line;
use crate::call::Call;
use crate::cli::Cli;
use crate::failure::Stop;
use crate::output::Sink;

/// When the world begins: 2023-11-14 22:13:20 UTC.
const START: Time = Time(1_700_000_000_000_000);

/// A command line of these words.
fn line_of(words: &[&str]) -> Line {
    Line {
        program: "ringrift".into(),
        // What guards commands here: it reads until its input ends, and takes no verb.
        itself: "cat".into(),
        words: words.iter().map(Into::into).collect(),
    }
}

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

    /// A durable `evaluator` that is silent: nothing of its type came for three hours. Somebody
    /// publishes a type with a similar name, somebody else was refused, and a third one keeps its
    /// events to itself.
    pub(crate) fn silent() -> World {
        let world = World::empty();
        world.durable("evaluator", &["training_completed"], None);
        let payload = r#"{"config_key":"hex8_2p"}"#;
        world.publish("training_completed", "hex8_2p", payload);
        world.advance(Duration::from_secs(3 * 3_600));
        let catalog = Catalog::ringrift();
        let similar = TypeDeclaration::new("TRAINING_COMPLETE");
        catalog
            .declare(&similar, DeclaredIn::Code)
            .expect("declares");
        let declared = catalog.declared().into_iter();
        let types = declared.map(|(value, declaration)| DeclaredType { value, declaration });
        let told = world.trainer.declare_types(types.collect());
        told.wait().expect("declares");
        for _ in 0..4 {
            world.publish("training_complete", "hex8_2p", payload);
        }
        let (now, process) = (world.clock.now(), world.trainer.process());
        let refusal = Refusal {
            process,
            verb: "publish".to_owned(),
            name: "TRAINING_COMPLETD".to_owned(),
            code: "TYPE_UNKNOWN".to_owned(),
            subscription: String::new(),
            nearest: Some("training_completed".to_owned()),
            call_site: Some("src/train.rs:88".to_owned()),
            count: 12,
            first_at: now,
            last_at: now,
        };
        let kept = world.trainer.keep_refusals(vec![refusal]);
        kept.wait().expect("keeps");
        let stayed = Unbridged {
            process,
            event_type: EventType::from_canonical("training_completed"),
            count: 2,
            last: Some((EventId::new(&*world.clock), now)),
        };
        let counted = world.trainer.count_unbridged(vec![stayed]);
        counted.wait().expect("counts");
        world
    }

    /// Two events for a live `monitor`, whose process is gone; it had read the first.
    pub(crate) fn forgotten() -> World {
        let world = World::empty();
        let definition = Definition {
            name: "monitor".to_owned(),
            kind: Kind::Live,
            types: TypeSet::only([EventType::from_canonical("training_completed")]),
            filter: None,
            start: Start::Now,
            dedup: Vec::new(),
            ordered_by_key: false,
        };
        let other: Arc<dyn Store> = world
            .hub
            .open(process(&world.clock, 4712, "monitor --live"));
        other
            .subscribe(definition, false)
            .wait()
            .expect("subscribes");
        world.publish("training_completed", "hex8_2p", "{}");
        world.publish("training_completed", "hex8_2p", "{}");
        other.beat(Counters::default(), Seq(1));
        world.advance(Duration::from_secs(1));
        other.close();
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
                call_site: None,
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
                likely: false,
                grows: None,
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
                    circumstances: None,
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

    /// Claims all, gives the second back in the middle of its run, settles the others, and leaves
    /// the subscription without a host.
    pub(crate) fn hand_back_second(&self, id: SubscriptionId) {
        let want = Want {
            subscription: id,
            max: 256,
            likely: false,
            grows: None,
        };
        let claim = self.trainer.claim(want).wait().expect("claims");
        let claim = claim.expect("something to claim");
        let place = |at: usize| claim.events[at].seq.unwrap_or(Seq::START);
        let given_up = self.trainer.give_up(claim.token, place(1), true);
        given_up.wait().expect("gives up");
        let settle = Settle {
            token: claim.token,
            settled_to: place(claim.events.len() - 1),
            results: Vec::new(),
            done: claim.events.len() as u64 - 1,
        };
        self.trainer.settle(settle).wait().expect("settles");
        let unsubscribed = self.trainer.unsubscribe(id, None);
        unsubscribed.wait().expect("unsubscribes");
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
            line_of(&[]),
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
            line_of(line),
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
