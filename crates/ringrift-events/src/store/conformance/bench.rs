//! What promises are tried with: events, definitions, outcomes.

use std::sync::Arc;
use std::time::Duration;

use super::harness::{Broken, Harness};
use crate::clock::{Clock as _, ManualClock, Time};
use crate::event::{Event, EventId, EventType, Payload, Seq, TraceId};
use crate::store::deliveries::{Claim, ClaimToken, Grows, Redelivery, Settle, Settlement, Want};
use crate::store::log::{Appended, Batch, Draft, Durability, TypeSet};
use crate::store::registry::{Recent, Running, Slot};
use crate::store::subscriptions::{Definition, Kind, Start, SubscriptionId, SubscriptionState};
use crate::store::upkeep::{SweepRules, Tally};
use crate::store::{Error, Store};
use crate::verdict::{Code, Effort, Failure, FailureKind, Outcome, RetryWish};

/// One process of a harness with what it needs to publish and to handle.
pub struct Bench {
    /// Its handle.
    pub store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
}

/// Rules under which nothing goes by age.
#[must_use]
pub fn rules() -> SweepRules {
    let long = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    SweepRules {
        poison_deaths: 2,
        keep_settled: long,
        keep_facts: long,
        keep_deleted: long,
        keep_orphaned: long,
        keep_orphaned_letters: long,
        keep_pages: long,
        log_events_max: u64::MAX,
        log_bytes_max: u64::MAX,
        rows_max: 10_000,
    }
}

/// The settlement of one event with this outcome; a failed one is due again at once.
#[must_use]
pub fn at_once(seq: Seq, outcome: Outcome, now: Time) -> Settlement {
    Settlement {
        seq,
        outcome,
        took: Duration::from_millis(1),
        retry_at: Some(now),
        dedup_key: None,
        held: false,
    }
}

impl Bench {
    /// A new process of the harness.
    #[must_use]
    pub fn new(harness: &dyn Harness) -> Bench {
        Bench {
            store: harness.open(),
            clock: Arc::clone(harness.clock()),
        }
    }

    /// The wall clock.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// An event that this process might publish.
    #[must_use]
    pub fn event(&self, event_type: &str, payload: &str) -> Event {
        let trace = uuid::Uuid::from_u64_pair(self.clock.random(), self.clock.random());
        Event {
            id: EventId::new(&*self.clock),
            event_type: EventType::from_canonical(event_type),
            payload: Payload::from_checked(payload),
            source: "conformance".to_owned(),
            key: None,
            published_at: self.clock.now(),
            trace_id: TraceId(trace),
            parent_id: None,
            depth: 0,
            origin: self.store.process(),
            stage: None,
            seq: None,
        }
    }

    /// The same with a key.
    #[must_use]
    pub fn keyed(&self, event_type: &str, key: &str) -> Event {
        Event {
            key: Some(key.to_owned()),
            ..self.event(event_type, "{}")
        }
    }

    /// Appends events in one batch.
    ///
    /// # Errors
    /// The store's.
    pub fn append(&self, events: Vec<Event>) -> Result<Vec<Appended>, Error> {
        let drafts = events.into_iter().map(|event| (event, None)).collect();
        self.append_drafts(drafts)
    }

    /// Appends events with idempotency keys.
    ///
    /// # Errors
    /// The store's.
    pub fn append_drafts(
        &self,
        drafts: Vec<(Event, Option<&str>)>,
    ) -> Result<Vec<Appended>, Error> {
        let drafts = drafts.into_iter().map(|(event, key)| Draft {
            event: Arc::new(event),
            idempotency_key: key.map(str::to_owned),
            call_site: None,
        });
        let batch = Batch {
            drafts: drafts.collect(),
            durability: Durability::Process,
        };
        self.store.append(batch, None).wait()
    }

    /// Publishes `count` events of type `a`; answers their places.
    ///
    /// # Errors
    /// The store's.
    pub fn publish(&self, count: usize) -> Result<Vec<Seq>, Error> {
        let events = (0..count).map(|n| self.event("a", &format!(r#"{{"n":{n}}}"#)));
        let appended = self.append(events.collect())?;
        Ok(appended.iter().map(|a| a.seq).collect())
    }

    /// Publishes one event of type `a` with each key, in order.
    ///
    /// # Errors
    /// The store's.
    pub fn publish_keyed(&self, keys: &[&str]) -> Result<Vec<Seq>, Error> {
        let events = keys.iter().map(|key| self.keyed("a", key)).collect();
        Ok(self.append(events)?.iter().map(|a| a.seq).collect())
    }

    /// A durable definition for type `a`.
    #[must_use]
    pub fn durable(name: &str) -> Definition {
        Definition {
            name: name.to_owned(),
            kind: Kind::Durable,
            types: TypeSet::only([EventType::from_canonical("a")]),
            filter: None,
            start: Start::Now,
            dedup: Vec::new(),
            ordered_by_key: false,
        }
    }

    /// The same, ordered by key.
    #[must_use]
    pub fn ordered(name: &str) -> Definition {
        Definition {
            ordered_by_key: true,
            ..Bench::durable(name)
        }
    }

    /// A live definition for type `a`.
    #[must_use]
    pub fn live(name: &str) -> Definition {
        Definition {
            kind: Kind::Live,
            ..Bench::durable(name)
        }
    }

    /// Subscribes; answers the id.
    ///
    /// # Errors
    /// The store's.
    pub fn subscribe(&self, definition: Definition) -> Result<SubscriptionId, Error> {
        Ok(self.store.subscribe(definition, false).wait()?.id)
    }

    /// Claims at most `max` events.
    ///
    /// # Errors
    /// The store's.
    pub fn claim(&self, id: SubscriptionId, max: usize) -> Result<Option<Claim>, Error> {
        let want = Want {
            subscription: id,
            max,
            likely: max.is_multiple_of(2),
            grows: None,
        };
        self.store.claim(want).wait()
    }

    /// Claims at most `max` events more for a claim that is to grow, where there must be something.
    ///
    /// # Errors
    /// The store's, or that there was nothing.
    pub fn grown(&self, claim: &Claim, max: usize) -> Result<Claim, Broken> {
        let want = Want {
            subscription: claim.subscription,
            max,
            likely: max.is_multiple_of(2),
            grows: Some(grows(claim)),
        };
        let grown = self.store.claim(want).wait()?;
        grown.ok_or_else(|| Broken::new("there was nothing to claim"))
    }

    /// Claims, where there must be something.
    ///
    /// # Errors
    /// The store's, or that there was nothing.
    pub fn claimed(&self, id: SubscriptionId, max: usize) -> Result<Claim, Broken> {
        self.claim(id, max)?
            .ok_or_else(|| Broken::new("there was nothing to claim"))
    }

    /// The places claimed with at most `max`; empty for none.
    ///
    /// # Errors
    /// The store's.
    pub fn take(&self, id: SubscriptionId, max: usize) -> Result<Vec<Seq>, Error> {
        Ok(self
            .claim(id, max)?
            .map_or_else(Vec::new, |claim| places(&claim)))
    }

    /// Settles a claim up to `to` with these results.
    ///
    /// # Errors
    /// The store's.
    pub fn settle(
        &self,
        token: ClaimToken,
        to: Seq,
        results: Vec<Settlement>,
    ) -> Result<bool, Error> {
        let settle = Settle {
            token,
            settled_to: to,
            results,
            done: 0,
        };
        self.store.settle(settle).wait()
    }

    /// Settles a whole claim as done.
    ///
    /// # Errors
    /// The store's.
    pub fn finish(&self, claim: &Claim) -> Result<bool, Error> {
        self.settle(claim.token, last(claim), Vec::new())
    }

    /// Claims everything there is and settles it as done; answers the places.
    ///
    /// # Errors
    /// The store's.
    pub fn drain(&self, id: SubscriptionId) -> Result<Vec<Seq>, Error> {
        let mut all = Vec::new();
        // Bounded: a store that gives the same events for ever must not hang the suite.
        for _ in 0..1_000 {
            let Some(claim) = self.claim(id, 100)? else {
                break;
            };
            all.extend(places(&claim));
            self.finish(&claim)?;
        }
        Ok(all)
    }

    /// A failed outcome.
    #[must_use]
    pub fn failed(message: &str) -> Outcome {
        Outcome::Failed(Bench::failure(message))
    }

    /// A failure.
    #[must_use]
    pub fn failure(message: &str) -> Failure {
        Failure {
            kind: FailureKind::Error,
            message: message.to_owned(),
            took: Duration::from_millis(1),
            step: None,
            wish: RetryWish::Policy,
            circumstances: None,
        }
    }

    /// A settlement with this outcome; a failed one is due again at once.
    #[must_use]
    pub fn result(&self, seq: Seq, outcome: Outcome) -> Settlement {
        at_once(seq, outcome, self.now())
    }

    /// A failed settlement that is dead at once.
    #[must_use]
    pub fn dead(&self, seq: Seq) -> Settlement {
        Settlement {
            retry_at: None,
            ..self.result(seq, Bench::failed("broke"))
        }
    }

    /// Due redeliveries of one subscription.
    ///
    /// # Errors
    /// The store's.
    pub fn due(&self, id: SubscriptionId) -> Result<Vec<Redelivery>, Error> {
        self.store.claim_due(vec![id], 100).wait()
    }

    /// Settles a redelivery as done.
    ///
    /// # Errors
    /// The store's.
    pub fn finish_due(&self, again: &Redelivery) -> Result<bool, Error> {
        let seq = again.event.seq.unwrap_or_default();
        let result = self.result(seq, Outcome::Done);
        self.store.settle_due(again.id, again.fence, result).wait()
    }

    /// Notes that a handler starts with an event.
    #[must_use]
    pub fn start(&self, id: SubscriptionId, event: &Event) -> Option<Slot> {
        self.store.started(Running {
            subscription: id,
            event: event.id,
            seq: event.seq,
            since: self.now(),
            step: None,
            step_since: None,
            abandoned: false,
            effort: Effort::default(),
        })
    }

    /// Notes that it ended well.
    pub fn stop(&self, id: SubscriptionId, event: &Event, slot: Option<Slot>) {
        let recent = Recent {
            subscription: id,
            event: event.id,
            code: Code::HnOk,
            took_us: 5,
            at: self.now(),
        };
        self.store.ended(slot, recent);
    }

    /// The state of one subscription.
    ///
    /// # Errors
    /// The store's, or that it is not listed.
    pub fn state(&self, id: SubscriptionId) -> Result<SubscriptionState, Broken> {
        let states = self.store.subscriptions().wait()?;
        let state = states.into_iter().find(|state| state.id == id);
        state.ok_or_else(|| Broken::new(format!("subscription {} is not listed", id.0)))
    }

    /// The sums of one subscription, checked to add up.
    ///
    /// # Errors
    /// The store's, or that they do not add up.
    pub fn tally(&self, id: SubscriptionId) -> Result<Tally, Broken> {
        let tallies = self.store.tallies().wait()?;
        let tally = tallies.into_iter().find(|tally| tally.subscription == id);
        let tally = tally.ok_or_else(|| Broken::new(format!("no tally of {}", id.0)))?;
        let sum = [
            tally.waiting,
            tally.claimed,
            tally.done,
            tally.retrying,
            tally.dead,
            tally.discarded,
            tally.expired,
        ];
        if sum.iter().sum::<u64>() == tally.matching {
            return Ok(tally);
        }
        Err(Broken::new(format!("the states do not add up: {tally:?}")))
    }
}

/// The places of a claim's events.
pub(super) fn places(claim: &Claim) -> Vec<Seq> {
    claim.events.iter().filter_map(|event| event.seq).collect()
}

/// A claim as one that is to grow.
pub(in crate::store) fn grows(claim: &Claim) -> Grows {
    Grows {
        token: claim.token,
        last: last(claim),
    }
}

/// The place of a claim's last event.
pub(super) fn last(claim: &Claim) -> Seq {
    places(claim).last().copied().unwrap_or_default()
}
