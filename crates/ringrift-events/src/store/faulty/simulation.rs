//! Publish, crash, receive, retry over stores that fail: nothing accepted is lost, and every
//! delivery is in exactly one state all the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{FaultPlan, FaultyStore};
use crate::clock::Clock as _;
use crate::event::{EventId, Seq};
use crate::store::Error;
use crate::store::conformance::{Bench, Harness as _, grows, rules};
use crate::store::deliveries::{Claim, Redelivery, Settle, Settlement, Want};
use crate::store::letters::LetterFilter;
use crate::store::log::{Batch, Draft, Durability};
use crate::store::memory::harness::InMemory;
use crate::store::registry::{Running, Slot};
use crate::store::subscriptions::SubscriptionId;
use crate::store::upkeep::Tally;
use crate::verdict::{Effort, Outcome};

const PROCESSES: usize = 3;
const STEPS: usize = 400;
const SEEDS: u64 = 40;

const PLAN: FaultPlan = FaultPlan {
    refused: 40,
    lost: 60,
    late: 20,
    busy: 40,
    full: 10,
    delay: Duration::from_micros(50),
};

/// One process and what it has in its hands.
struct Process {
    bench: Bench,
    store: Arc<FaultyStore>,
    claims: Vec<(Claim, usize)>,
    again: Vec<Redelivery>,
    slots: Vec<Slot>,
}

struct Simulation {
    harness: InMemory,
    watcher: Bench,
    processes: Vec<Process>,
    subscriptions: Vec<SubscriptionId>,
    accepted: BTreeSet<EventId>,
    handled: BTreeMap<(SubscriptionId, EventId), u32>,
    seed: u64,
    next_seed: u64,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        let harness = InMemory::new(seed);
        let watcher = Bench::new(&harness);
        let plain = watcher.subscribe(Bench::durable("plain")).unwrap();
        let ordered = watcher.subscribe(Bench::ordered("ordered")).unwrap();
        let mut simulation = Simulation {
            harness,
            watcher,
            processes: Vec::new(),
            subscriptions: vec![plain, ordered],
            accepted: BTreeSet::new(),
            handled: BTreeMap::new(),
            seed,
            next_seed: seed.wrapping_mul(1_000),
        };
        for _ in 0..PROCESSES {
            let process = simulation.start();
            simulation.processes.push(process);
        }
        simulation
    }

    fn start(&mut self) -> Process {
        self.next_seed += 1;
        let bench = Bench::new(&self.harness);
        bench.subscribe(Bench::durable("plain")).unwrap();
        bench.subscribe(Bench::ordered("ordered")).unwrap();
        let inner = Arc::clone(&bench.store);
        Process {
            bench,
            store: Arc::new(FaultyStore::new(inner, self.next_seed, PLAN)),
            claims: Vec::new(),
            again: Vec::new(),
            slots: Vec::new(),
        }
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.harness.clock.random() % bound as u64).unwrap()
    }

    fn step(&mut self) {
        let at = self.below(PROCESSES);
        let subscription = self.subscriptions[self.below(2)];
        match self.below(20) {
            0..=3 => self.publish(at),
            4..=7 => self.claim(at, subscription),
            8..=11 => self.settle(at),
            12 | 13 => self.take_due(at),
            14 | 15 => self.settle_due(at),
            16 => self.hand_back(at),
            17 => self.crash(at),
            18 => self.take_over(at),
            _ => self.harness.clock.advance(Duration::from_secs(2)),
        }
    }

    /// Publishes until the outcome is known: the same id again is safe.
    fn publish(&mut self, at: usize) {
        let process = &self.processes[at];
        let key = ["x", "y", "z"][self.below(3)];
        let event = Arc::new(process.bench.keyed("a", key));
        for _ in 0..50 {
            let batch = Batch {
                drafts: vec![Draft {
                    event: Arc::clone(&event),
                    idempotency_key: None,
                    call_site: None,
                }],
                durability: Durability::Process,
            };
            if crate::store::Log::append(&*process.store, batch, None)
                .wait()
                .is_ok()
            {
                self.accepted.insert(event.id);
                return;
            }
        }
        panic!("seed {}: 50 publishes failed in a row", self.seed);
    }

    fn claim(&mut self, at: usize, subscription: SubscriptionId) {
        let max = 1 + self.below(5);
        let process = &mut self.processes[at];
        let mut held = process.claims.iter().rev();
        let newest = held.find(|(claim, _)| claim.subscription == subscription);
        let want = Want {
            subscription,
            max,
            likely: max.is_multiple_of(2),
            grows: newest.map(|(claim, _)| grows(claim)),
        };
        // An answer that is lost leaves a claim, or the end of one, nobody knows of; only its process's
        // end frees it.
        if let Ok(Some(claim)) = crate::store::Deliveries::claim(&*process.store, want).wait() {
            let mut held = process.claims.iter_mut();
            match held.find(|(one, _)| one.token == claim.token) {
                Some((grown, _)) => {
                    let new = claim.events.iter().cloned();
                    Arc::make_mut(&mut grown.events).extend(new);
                }
                None => process.claims.push((claim, 0)),
            }
        }
    }

    /// Handles the next events of one claim and says what came of them.
    fn settle(&mut self, at: usize) {
        let (many, fails) = (1 + self.below(3), self.below(4) == 0);
        let dies = self.below(30) == 0;
        let now = self.harness.clock.now();
        let process = &mut self.processes[at];
        let Some((claim, done)) = process.claims.first().cloned() else {
            return;
        };
        let until = (done + many).min(claim.events.len());
        let mut results = Vec::new();
        let mut settled_to = Seq(0);
        for event in &claim.events[done..until] {
            settled_to = event.seq.unwrap();
            process.slots.extend(process.bench.store.started(Running {
                subscription: claim.subscription,
                event: event.id,
                seq: event.seq,
                since: now,
                step: None,
                step_since: None,
                abandoned: false,
                effort: Effort::default(),
            }));
            if fails {
                let retry_at = (!dies).then(|| now.after(Duration::from_secs(1)));
                results.push(Settlement {
                    retry_at,
                    ..process.bench.result(settled_to, Bench::failed("x"))
                });
            } else {
                *self
                    .handled
                    .entry((claim.subscription, event.id))
                    .or_default() += 1;
            }
        }
        let settle = Settle {
            token: claim.token,
            settled_to,
            results,
            done: 0,
        };
        let answer = crate::store::Deliveries::settle(&*process.store, settle).wait();
        process.end_runs();
        match answer {
            Ok(_) if until < claim.events.len() => process.claims[0].1 = until,
            Ok(_) => drop(process.claims.remove(0)),
            Err(error) => process.keep_or_drop(&error),
        }
    }

    fn take_due(&mut self, at: usize) {
        let subscriptions = self.subscriptions.clone();
        let process = &mut self.processes[at];
        let due = crate::store::Deliveries::claim_due(&*process.store, subscriptions, 3).wait();
        process.again.extend(due.unwrap_or_default());
    }

    fn settle_due(&mut self, at: usize) {
        let fails = self.below(4) == 0;
        let now = self.harness.clock.now();
        let process = &mut self.processes[at];
        let Some(again) = process.again.pop() else {
            return;
        };
        let outcome = if fails {
            Bench::failed("again")
        } else {
            *self
                .handled
                .entry((again.subscription, again.event.id))
                .or_default() += 1;
            Outcome::Done
        };
        let result = Settlement {
            retry_at: (again.attempts < 6).then(|| now.after(Duration::from_secs(1))),
            ..process
                .bench
                .result(again.event.seq.unwrap_or_default(), outcome)
        };
        let settled =
            crate::store::Deliveries::settle_due(&*process.store, again.id, again.fence, result);
        if settled
            .wait()
            .is_err_and(|error| error.code != crate::store::ErrorCode::LeaseLost)
        {
            // It may have been applied or not: asking again answers false if it was.
            process.again.push(again);
        }
    }

    fn hand_back(&mut self, at: usize) {
        let process = &mut self.processes[at];
        let Some((claim, done)) = process.claims.pop() else {
            return;
        };
        let kept = done
            .checked_sub(1)
            .map_or(Seq(0), |last| claim.events[last].seq.unwrap());
        let back = crate::store::Deliveries::hand_back(&*process.store, claim.token, kept).wait();
        if back.is_err_and(|error| error.code != crate::store::ErrorCode::LeaseLost) {
            process.claims.push((claim, done));
        }
    }

    fn crash(&mut self, at: usize) {
        let fresh = self.start();
        let dead = std::mem::replace(&mut self.processes[at], fresh);
        self.harness.kill(&dead.bench.store);
    }

    fn take_over(&mut self, at: usize) {
        let store = &self.processes[at].store;
        // Refused or lost: the next sweep does it.
        drop(crate::store::Upkeep::take_over(&**store, rules()).wait());
        let counters = crate::store::registry::Counters::default();
        for process in &self.processes {
            process.bench.store.beat(counters, Seq(0));
        }
        self.watcher.store.beat(counters, Seq(0));
    }

    fn check(&self) -> Vec<Tally> {
        let tally = |id: &SubscriptionId| match self.watcher.tally(*id) {
            Ok(tally) => tally,
            Err(broken) => panic!("seed {}: {broken}", self.seed),
        };
        self.subscriptions.iter().map(tally).collect()
    }

    /// Every process dies; one that never fails takes over and finishes the work.
    fn finish(&mut self) {
        for process in std::mem::take(&mut self.processes) {
            self.harness.kill(&process.bench.store);
        }
        let last = Bench::new(&self.harness);
        last.subscribe(Bench::durable("plain")).unwrap();
        last.subscribe(Bench::ordered("ordered")).unwrap();
        last.store.take_over(rules()).wait().unwrap();
        for _ in 0..1_000 {
            self.harness.clock.advance(Duration::from_secs(5));
            let mut idle = true;
            for id in self.subscriptions.clone() {
                while let Some(claim) = last.claim(id, 10).unwrap() {
                    idle = false;
                    for event in claim.events.iter() {
                        *self.handled.entry((id, event.id)).or_default() += 1;
                    }
                    last.finish(&claim).unwrap();
                }
                for again in last.due(id).unwrap() {
                    idle = false;
                    *self.handled.entry((id, again.event.id)).or_default() += 1;
                    last.finish_due(&again).unwrap();
                }
            }
            if idle {
                return;
            }
        }
        panic!("seed {}: the work does not come to an end", self.seed);
    }

    fn settle_accounts(&self) {
        let tallies = self.check();
        for tally in &tallies {
            let open = tally.waiting + tally.claimed + tally.retrying;
            assert_eq!(open, 0, "seed {}: nothing is open: {tally:?}", self.seed);
            let accepted = self.accepted.len() as u64;
            assert_eq!(tally.matching, accepted, "seed {}: {tally:?}", self.seed);
        }
        let letters = self.watcher.store.letters(LetterFilter {
            limit: 10_000,
            ..LetterFilter::default()
        });
        let letters = letters.wait().unwrap();
        let dead: BTreeSet<_> = letters
            .iter()
            .map(|l| (l.subscription, l.event.id))
            .collect();
        for id in &self.subscriptions {
            for event in &self.accepted {
                let known =
                    self.handled.contains_key(&(*id, *event)) || dead.contains(&(*id, *event));
                assert!(known, "seed {}: {event} of {id:?} was lost", self.seed);
            }
        }
    }
}

impl Process {
    fn end_runs(&mut self) {
        for slot in self.slots.drain(..) {
            let recent = crate::store::registry::Recent {
                subscription: SubscriptionId(1),
                event: EventId(uuid::Uuid::nil()),
                code: crate::verdict::Code::HnOk,
                took_us: 1,
                at: crate::clock::Time(0),
            };
            self.bench.store.ended(Some(slot), recent);
        }
    }

    /// A lost claim is dropped; any other error is tried again with the same words.
    fn keep_or_drop(&mut self, error: &Error) {
        if error.code == crate::store::ErrorCode::LeaseLost {
            self.claims.remove(0);
        }
    }
}

fn simulate(seed: u64) -> u64 {
    let mut simulation = Simulation::new(seed);
    for step in 0..STEPS {
        simulation.step();
        if step % 20 == 0 {
            simulation.check();
        }
    }
    let struck = simulation
        .processes
        .iter()
        .map(|process| process.store.struck())
        .sum();
    simulation.finish();
    simulation.settle_accounts();
    struck
}

/// Replay one seed with `RINGRIFT_SEED=n cargo test -p ringrift-events --lib simulation`.
#[test]
fn nothing_accepted_is_lost_whatever_fails() {
    if let Ok(seed) = std::env::var("RINGRIFT_SEED") {
        simulate(seed.parse().unwrap());
        return;
    }
    let struck: u64 = (1..=SEEDS).map(simulate).sum();
    assert!(
        struck > 100,
        "only {struck} faults struck: nothing was tried"
    );
}
