//! One run of a handler, however its event came: policies, accounts, and what follows from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Shared;
use super::hosted::{Hosted, Way};
use crate::audit::Hop;
use crate::clock::{Time, within};
use crate::event::{Event, EventId};
use crate::handler::dedup::MissingField;
use crate::handler::{self, Admission, DEDUP_TTL, Delivery, LateEnd, Ran, Ticket};
use crate::store::deliveries::{Redelivery, Reserved, Settlement};
use crate::store::registry::Fact;
use crate::verdict::{Code, Failure, FailureKind, Outcome};

/// How long an event waits before it asks again whether its dedup key is free.
const KEY_WAIT: Duration = Duration::from_millis(50);

/// How long a suspect event waits for the other handlers of this process to end, so that a death
/// while it runs is its own.
const ALONE_PATIENCE: Duration = Duration::from_millis(250);

/// How long the others wait for a suspect event; what kills its process does so soon, and a long
/// run must not stop its neighbours.
const ALONE_FOR: Duration = Duration::from_secs(1);

/// Whether a run may have company.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    /// Other handlers of this process run beside it.
    Welcome,
    /// The gate is closed for the others already.
    None,
}

/// What the dedup step came to.
enum Dedup {
    /// The handler has no dedup, or the event lacks a key field.
    Free,
    /// The key is reserved for this event.
    Held(String),
    /// It ran already.
    Duplicate(Outcome),
    /// The subscription ended while it waited for the key.
    Ended,
}

/// A delivery that did not start, since its subscription ended: it goes back, with the key it held.
pub(super) struct NotStarted(Option<String>);

impl Shared {
    /// Runs one event whose slot is taken, and accounts for it; `None` when the subscription has
    /// ended, and nothing was called. `called`: see [`Hosted::start_call`].
    pub(super) async fn run(
        &self,
        hosted: &Arc<Hosted>,
        event: &Arc<Event>,
        attempt: u32,
        ticket: Ticket,
        company: Company,
        called: &AtomicBool,
    ) -> Option<Ran> {
        let _together = match company {
            Company::Welcome => Some(self.alone.read().await),
            Company::None => None,
        };
        if let Some(waited) = ticket.waited() {
            self.note_wait(hosted, event, waited);
        }
        let ticket = ticket.with_guard(hosted.start_call(called)?);
        self.counters.delivered.fetch_add(1, Ordering::Relaxed);
        let delivery = Delivery {
            event: Arc::clone(event),
            subscription: hosted.id,
            attempt,
        };
        let ran = hosted.handler.run(delivery, ticket).await;
        if ran.not_begun {
            self.counters.delivered.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        self.account(hosted, event, &ran);
        Some(ran)
    }

    /// Runs one event of a durable subscription: reserves its dedup key in the store, waits for a
    /// slot, runs, and says what the store is to keep of it.
    pub(super) async fn run_stored(
        self: &Arc<Self>,
        hosted: &Arc<Hosted>,
        event: &Arc<Event>,
        attempt: u32,
        company: Company,
        called: &AtomicBool,
    ) -> Result<Settlement, NotStarted> {
        let dedup_key = match self.reserve(hosted, event).await {
            Dedup::Free => None,
            Dedup::Held(key) => Some(key),
            Dedup::Duplicate(outcome) => {
                hosted.handler.count_duplicate();
                self.duplicate(hosted, event, &outcome);
                return Ok(plain(event, outcome, Duration::ZERO));
            }
            Dedup::Ended => return Err(NotStarted(None)),
        };
        let turn = tokio::select! {
            biased;
            () = hosted.until_ended() => None,
            ticket = hosted.handler.turn() => Some(ticket),
        };
        let ran = match turn {
            Some(ticket) => {
                self.run(hosted, event, attempt, ticket, company, called)
                    .await
            }
            None => None,
        };
        let Some(ran) = ran else {
            return Err(NotStarted(dedup_key));
        };
        Ok(Settlement {
            dedup_key,
            ..self.settlement(hosted, event, attempt, ran)
        })
    }

    /// Runs a retry or another redelivery, for its own handler alone, and settles it.
    pub(super) async fn redeliver(self: Arc<Self>, hosted: Arc<Hosted>, redelivery: Redelivery) {
        let event = Arc::clone(&redelivery.event);
        let gate = if redelivery.deaths > 0 {
            self.close_gate().await
        } else {
            None
        };
        let company = if gate.is_some() {
            Company::None
        } else {
            Company::Welcome
        };
        let attempt = redelivery.attempts + 1;
        let called = AtomicBool::new(false);
        let settlement = match hosted.way {
            Way::Durable => {
                self.run_stored(&hosted, &event, attempt, company, &called)
                    .await
            }
            Way::Live { .. } => self.run_again_live(&hosted, &event, attempt, company).await,
        };
        if let Some(gate) = gate {
            gate.abort();
        }
        let (id, fence) = (redelivery.id, redelivery.fence);
        let settled = self.until_taken("settling a retry", || match &settlement {
            Ok(settlement) => self.store.settle_due(id, fence, settlement.clone()),
            Err(NotStarted(key)) => self.store.hand_back_due(id, fence, key.clone()),
        });
        // What was refused for good is in the log, and belongs to whoever took it over.
        drop(settled.await);
        hosted.tell_news();
    }

    async fn run_again_live(
        self: &Arc<Self>,
        hosted: &Arc<Hosted>,
        event: &Arc<Event>,
        attempt: u32,
        company: Company,
    ) -> Result<Settlement, NotStarted> {
        let admission = tokio::select! {
            biased;
            () = hosted.until_ended() => return Err(NotStarted(None)),
            admission = hosted.handler.admit(event) => admission,
        };
        match admission {
            Admission::Run(ticket) => {
                let called = AtomicBool::new(false);
                let ran = self.run(hosted, event, attempt, ticket, company, &called);
                let ran = ran.await.ok_or(NotStarted(None))?;
                Ok(self.settlement(hosted, event, attempt, ran))
            }
            Admission::Duplicate(outcome) => {
                self.duplicate(hosted, event, &outcome);
                Ok(plain(event, outcome, Duration::ZERO))
            }
        }
    }

    /// Keeps the other handlers of this process from starting, for a while; `None` when they did
    /// not end in time.
    async fn close_gate(&self) -> Option<tokio::task::JoinHandle<()>> {
        let closing = Arc::clone(&self.alone).write_owned();
        let gate = tokio::time::timeout(ALONE_PATIENCE, closing).await.ok()?;
        Some(self.runtime.spawn(async move {
            // The time-out is the purpose: a long run must not stop its neighbours.
            drop(tokio::time::timeout(ALONE_FOR, std::future::pending::<()>()).await);
            drop(gate);
        }))
    }

    /// The dedup step of durable subscriptions: their keys live in the store, shared by all hosts.
    async fn reserve(&self, hosted: &Hosted, event: &Arc<Event>) -> Dedup {
        let fields = &hosted.definition.dedup;
        if fields.is_empty() {
            return Dedup::Free;
        }
        let key = match handler::dedup::key(event, fields) {
            Ok(key) => key,
            Err(missing) => {
                self.field_missing(hosted, event, &missing);
                return Dedup::Free;
            }
        };
        let ttl = hosted
            .handler
            .policy()
            .dedup
            .as_ref()
            .map_or(DEDUP_TTL, |dedup| dedup.ttl);
        loop {
            let asked = self
                .store
                .reserve(hosted.id, vec![(key.clone(), event.id)], ttl)
                .await;
            match asked.map(|answers| answers.into_iter().next()) {
                Ok(Some(Reserved::Yes)) => return Dedup::Held(key),
                Ok(Some(Reserved::AfterWindow { original, ended_at })) => {
                    self.dedup_expired(hosted, event, original, ended_at);
                    return Dedup::Held(key);
                }
                Ok(Some(Reserved::Duplicate {
                    original,
                    window_ends_at,
                })) => {
                    return Dedup::Duplicate(Outcome::Duplicate {
                        original,
                        key,
                        window_ends_at,
                    });
                }
                Ok(Some(Reserved::Wait { .. }) | None) => {}
                Err(error) => self.log.store_failed("reserving a dedup key", &error),
            }
            // The holder may run in another process: ask again in a moment.
            if within(&*self.clock, KEY_WAIT, hosted.until_ended())
                .await
                .is_some()
            {
                return Dedup::Ended;
            }
        }
    }

    /// An event without a field of the key counts as no duplicate: told, and counted by field.
    fn field_missing(&self, hosted: &Hosted, event: &Event, missing: &MissingField) {
        self.log.dedup_field_missing(&hosted.name, event, missing);
        self.note_missing_field(hosted.id, event, &missing.field);
    }

    /// Keeps the fact that a key ran again after its window: how "TTL too short" is told.
    fn dedup_expired(&self, hosted: &Hosted, event: &Event, original: EventId, ended_at: Time) {
        let now = self.clock.now();
        let fact = Fact {
            at: now,
            code: Some(Code::HnDedupExpired),
            event: Some(event.id),
            seq: event.seq,
            seq_to: None,
            event_type: Some(event.event_type.clone()),
            subscription: Some(hosted.id),
            process: Some(self.process),
            act: None,
            generation: None,
            evidence: serde_json::json!({
                "original": original,
                "window_ended_ms_ago": now.since(ended_at).as_millis(),
                "ttl_ms": hosted.handler.dedup().map_or(0, |dedup| {
                    u64::try_from(dedup.ttl.as_millis()).unwrap_or(u64::MAX)
                }),
            })
            .to_string(),
        };
        self.store.record(vec![fact]).forget();
    }

    pub(super) fn settlement(
        self: &Arc<Self>,
        hosted: &Arc<Hosted>,
        event: &Arc<Event>,
        attempt: u32,
        ran: Ran,
    ) -> Settlement {
        let retry_at = match &ran.outcome {
            Outcome::Failed(failure) => self.retry_at(hosted, attempt, failure),
            Outcome::Done | Outcome::Skipped { .. } | Outcome::Duplicate { .. } => None,
        };
        let held = ran.late.is_some();
        self.follow_late(hosted, event, ran.late);
        Settlement {
            retry_at,
            held,
            ..plain(event, ran.outcome, ran.took)
        }
    }

    /// Waits, beside everything else, for the end of a run that was given up, and tells the store.
    pub(super) fn follow_late(
        self: &Arc<Self>,
        hosted: &Arc<Hosted>,
        event: &Arc<Event>,
        late: Option<LateEnd>,
    ) {
        let Some(late) = late else { return };
        let (shared, hosted, event) = (Arc::clone(self), Arc::clone(hosted), Arc::clone(event));
        self.runtime.spawn(async move {
            let Some(late) = late.await else { return };
            shared
                .log
                .handler_ended_late(&hosted.name, &event, late.took, late.outcome.code());
            let told = shared.until_taken("telling how a given-up run ended", || {
                shared.store.late(hosted.id, event.id, late.outcome.clone())
            });
            drop(told.await);
            // Its slot is free again.
            hosted.tell_news();
        });
    }

    /// Accounts for a delivery that was a duplicate; the handler has counted it if it knew.
    pub(super) fn duplicate(&self, hosted: &Hosted, event: &Event, outcome: &Outcome) {
        self.counters.delivered.fetch_add(1, Ordering::Relaxed);
        self.counters.deduplicated.fetch_add(1, Ordering::Relaxed);
        self.hop(hosted, event, outcome.code());
        self.log.duplicate(&hosted.name, event);
    }

    /// When a failed delivery is next due; `None` when its attempts are used up.
    pub(super) fn retry_at(
        &self,
        hosted: &Hosted,
        attempt: u32,
        failure: &Failure,
    ) -> Option<Time> {
        let policy = &hosted.handler.policy().retry;
        let wait = handler::retry::next(policy, attempt, failure.wish, self.clock.random())?;
        Some(self.clock.now().after(wait))
    }

    /// Counters, log and audit of one run.
    pub(super) fn account(&self, hosted: &Hosted, event: &Event, ran: &Ran) {
        let counter = match &ran.outcome {
            Outcome::Done => &self.counters.done,
            Outcome::Skipped { .. } => &self.counters.skipped,
            Outcome::Duplicate { .. } => &self.counters.deduplicated,
            Outcome::Failed(_) => &self.counters.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.hop(hosted, event, ran.outcome.code());
        self.note_own_dedup(hosted);
        let policy = hosted.handler.policy();
        match &ran.outcome {
            Outcome::Failed(failure) if failure.kind == FailureKind::Timeout => {
                self.log.handler_timeout(
                    &hosted.name,
                    event,
                    policy.time_limit,
                    ran.late.is_some(),
                );
            }
            Outcome::Failed(failure) => self.log.handler_failed(&hosted.name, event, failure),
            Outcome::Done | Outcome::Skipped { .. } | Outcome::Duplicate { .. } => {}
        }
        if let Some(missing) = &ran.missing_field {
            self.field_missing(hosted, event, missing);
        }
        if let Some(before) = &ran.ran_before {
            self.dedup_expired(hosted, event, before.original, before.ended_at);
        }
        let notable = ran.slow || matches!(ran.outcome, Outcome::Failed(_));
        self.log
            .handler_took(&hosted.name, event, ran.took, notable);
    }

    /// The same for a success that told nothing else; the counters are the caller's.
    pub(super) fn account_plain(&self, hosted: &Hosted, event: &Event, took: Duration) {
        self.hop(hosted, event, Code::HnOk);
        self.note_own_dedup(hosted);
        self.log.handler_took(&hosted.name, event, took, false);
    }

    /// Keeps what the function told of a dedup of its own, when that has changed.
    fn note_own_dedup(&self, hosted: &Hosted) {
        if hosted.handler.has_new_dedup() {
            self.keep_policy(hosted);
        }
    }
}

impl Shared {
    /// One line of the audit's ring, if it is switched on.
    fn hop(&self, hosted: &Hosted, event: &Event, code: Code) {
        self.audit.push(|| Hop {
            at: self.clock.now(),
            event_type: event.event_type.clone(),
            event: event.id,
            place: hosted.name.to_string().into(),
            result: code.as_str().into(),
        });
    }
}

fn plain(event: &Event, outcome: Outcome, took: Duration) -> Settlement {
    Settlement {
        seq: event.seq.unwrap_or_default(),
        outcome,
        took,
        retry_at: None,
        dedup_key: None,
        held: false,
    }
}
