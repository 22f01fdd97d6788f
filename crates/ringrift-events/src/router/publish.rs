//! Publish: the door, the route, the commit, and then the bus.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::in_flight::Room;
use super::publishing::{Awaited, Publishing, PublishingMany, Routed, Sent};
use super::receipt::{Receipt, Route};
use super::{Error, Router, Shared};
use crate::catalog::TypeEntry;
use crate::event::{Event, EventId, KEY_BYTES_MAX, Payload, SOURCE_BYTES_MAX, TraceId};
use crate::queue::CrossProcessEventQueue;
use crate::stages::STAGE_FIELD;
use crate::store::Pending;
use crate::store::log::{Appended, CallSite, Draft, OnCommit};
use crate::{catalog, store, trace};

/// Most events of one [`Router::publish_many`]: one transaction must stay short.
pub const PUBLISH_MANY_MAX: usize = 10_000;

/// One event to publish. Nothing happens until it is given to [`Router::publish`].
#[derive(Clone, Debug)]
pub struct Publish {
    name: String,
    payload: Vec<u8>,
    source: String,
    key: Option<String>,
    idempotency_key: Option<String>,
    id: Option<EventId>,
    parent: Option<trace::Context>,
    wait_handlers: Option<Wait>,
    call_site: Option<CallSite>,
    /// No line of this program is worth knowing.
    is_placeless: bool,
}

/// How long a receipt waits for local handlers.
#[derive(Clone, Copy, Debug)]
enum Wait {
    Configured,
    AtMost(Duration),
}

impl Publish {
    /// An event of type `name` (constant or canonical value) that carries `payload`, the text of
    /// one JSON object.
    #[must_use]
    pub fn new(name: impl Into<String>, payload: impl Into<Vec<u8>>) -> Publish {
        Publish {
            name: name.into(),
            payload: payload.into(),
            source: String::new(),
            key: None,
            idempotency_key: None,
            id: None,
            parent: None,
            wait_handlers: None,
            call_site: None,
            is_placeless: false,
        }
    }

    /// Says that no line of this program is worth knowing: it publishes what its user says.
    #[must_use]
    pub fn without_call_site(mut self) -> Publish {
        self.is_placeless = true;
        self
    }

    /// Says where the program publishes it; the default is the line that calls
    /// [`Router::publish`] or its like. For programs in other languages.
    #[must_use]
    pub fn call_site(mut self, call_site: CallSite) -> Publish {
        self.call_site = Some(call_site);
        self
    }

    /// Says who publishes, in the publisher's words: at most [`SOURCE_BYTES_MAX`] bytes.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> Publish {
        self.source = source.into();
        self
    }

    /// Gives the key that orders and groups it: at most [`KEY_BYTES_MAX`] bytes.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Publish {
        self.key = Some(key.into());
        self
    }

    /// Gives the idempotency key: within 24 hours the same key publishes nothing new, and the
    /// receipt names the original. At most [`KEY_BYTES_MAX`] bytes.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Publish {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Gives the event's id, to publish again what an earlier error left unknown.
    #[must_use]
    pub fn id(mut self, id: EventId) -> Publish {
        self.id = Some(id);
        self
    }

    /// Gives the trace context; the default is that of the running handler, if any.
    #[must_use]
    pub fn context(mut self, context: trace::Context) -> Publish {
        self.parent = Some(context);
        self
    }

    /// Makes the receipt wait for this process's live handlers, their first outcome, at most
    /// `at_most`. Inside a handler it has no effect: a handler never waits for itself.
    #[must_use]
    pub fn wait_handlers(mut self, at_most: Duration) -> Publish {
        self.wait_handlers = Some(Wait::AtMost(at_most));
        self
    }

    /// The same for the configured time (`publish.wait`).
    #[must_use]
    pub fn wait_for_handlers(mut self) -> Publish {
        self.wait_handlers = Some(Wait::Configured);
        self
    }
}

/// How the queue is asked to commit.
type AppendTo = fn(&CrossProcessEventQueue, Vec<Draft>, Option<OnCommit>) -> Pending<Vec<Appended>>;

/// An event that passed the door.
pub(super) struct Accepted {
    pub(super) event: Arc<Event>,
    pub(super) entry: Arc<TypeEntry>,
    pub(super) call_site: Option<CallSite>,
    pub(super) idempotency_key: Option<String>,
    /// Required fields that the payload lacks although it may.
    missing: Vec<String>,
    wait_handlers: Option<Duration>,
}

impl Accepted {
    fn draft(&self) -> Draft {
        Draft {
            event: Arc::clone(&self.event),
            idempotency_key: self.idempotency_key.clone(),
            call_site: self.call_site.clone(),
        }
    }
}

impl Router {
    /// Publishes one event. It takes effect at the call, from any thread, with or without a
    /// runtime; the answer only waits for the commit, and dropping it loses nothing.
    ///
    /// # Errors
    /// What the door refuses, and [`Error::Backpressure`] when too much is in flight:
    /// [`Router::publish_blocking`] and [`Router::publish_async`] wait for room instead.
    #[track_caller]
    pub fn publish(&self, publish: Publish) -> Result<Publishing, Error> {
        self.publish_many(vec![publish]).map(Publishing)
    }

    /// Publishes events in one transaction, all or none: at most [`PUBLISH_MANY_MAX`].
    ///
    /// # Errors
    /// As [`Router::publish`]; one refused event refuses all.
    #[track_caller]
    pub fn publish_many(&self, publishes: Vec<Publish>) -> Result<PublishingMany, Error> {
        let accepted = self.shared.accept_all(publishes, &CallSite::here())?;
        let (count, bytes) = size_of(&accepted);
        let room = self
            .shared
            .in_flight
            .try_take(count, bytes)
            .inspect_err(|error| {
                let shared = &self.shared;
                shared
                    .counters
                    .publish_failed
                    .fetch_add(1, Ordering::Relaxed);
                for one in &accepted {
                    let site = one.call_site.as_ref();
                    shared.note_refused(one.event.event_type.as_str(), error, site);
                }
            })?;
        let append = CrossProcessEventQueue::append;
        Ok(Shared::send(&self.shared, accepted, room, append))
    }

    /// Publishes one event and waits on this thread, for room first and then for the commit.
    /// Never call it on a thread that runs async handlers.
    ///
    /// # Errors
    /// What the door refuses and what the store says.
    #[track_caller]
    pub fn publish_blocking(&self, publish: Publish) -> Result<Receipt, Error> {
        let accepted = self.shared.accept_all(vec![publish], &CallSite::here())?;
        let (count, bytes) = size_of(&accepted);
        let room = self.shared.in_flight.take_blocking(count, bytes);
        let append = CrossProcessEventQueue::append_here;
        Publishing(Shared::send(&self.shared, accepted, room, append)).wait()
    }

    /// Publishes one event, waiting for room first. Safe to drop: before there is room nothing
    /// happened, afterwards the event is published.
    ///
    /// # Errors
    /// As [`Router::publish_blocking`].
    #[track_caller]
    pub fn publish_async(
        &self,
        publish: Publish,
    ) -> impl Future<Output = Result<Receipt, Error>> + Send {
        // An async function would not know its caller's line.
        let (shared, here) = (Arc::clone(&self.shared), CallSite::here());
        async move {
            let accepted = shared.accept_all(vec![publish], &here)?;
            let (count, bytes) = size_of(&accepted);
            let room = shared.in_flight.take_async(count, bytes).await;
            let append = CrossProcessEventQueue::append;
            Publishing(Shared::send(&shared, accepted, room, append)).await
        }
    }
}

/// Refuses a text that would stand in rows, indexes and tables and is longer than `bytes_max`.
fn check_length(what: &str, text: &str, bytes_max: usize) -> Result<(), Error> {
    if text.len() <= bytes_max {
        return Ok(());
    }
    let start = &text[..text.floor_char_boundary(SHOWN_BYTES)];
    Err(Error::Rejected {
        problem: format!(
            "its {what} has {} bytes (at most {bytes_max}); it begins with {start:?}",
            text.len()
        ),
    })
}

/// How much of a text that is too long an error shows, in bytes.
const SHOWN_BYTES: usize = 40;

fn size_of(accepted: &[Accepted]) -> (usize, usize) {
    let bytes = accepted
        .iter()
        .map(|one| one.event.payload.as_str().len())
        .sum();
    (accepted.len(), bytes)
}

impl Shared {
    fn accept_all(&self, publishes: Vec<Publish>, here: &CallSite) -> Result<Vec<Accepted>, Error> {
        self.check_open("publish")?;
        if publishes.len() > PUBLISH_MANY_MAX {
            return Err(Error::Rejected {
                problem: format!(
                    "{} events in one call (at most {PUBLISH_MANY_MAX}); publish them in parts",
                    publishes.len()
                ),
            });
        }
        let accepted: Result<Vec<Accepted>, Error> = publishes
            .into_iter()
            .map(|mut publish| {
                let call_site = publish.call_site.take().unwrap_or_else(|| here.clone());
                let call_site = (!publish.is_placeless).then_some(call_site);
                let accepted = self.accept(&mut publish, call_site.clone());
                accepted.inspect_err(|error| {
                    self.note_refused(&publish.name, error, call_site.as_ref());
                })
            })
            .collect();
        accepted.inspect_err(|error| {
            self.counters.publish_failed.fetch_add(1, Ordering::Relaxed);
            self.log.refused(error);
        })
    }

    /// The door: a pure look-up and checks; nothing is stored.
    fn accept(
        &self,
        publish: &mut Publish,
        call_site: Option<CallSite>,
    ) -> Result<Accepted, Error> {
        let entry = self.catalog.resolve(&publish.name)?;
        let payload = std::mem::take(&mut publish.payload);
        let bytes_max = self.settings.payload_bytes_max;
        let payload = catalog::payload::check_asked(payload, bytes_max, &entry)?;
        let missing = catalog::Catalog::enforce_required(&entry, &payload)?;
        if publish.idempotency_key.as_deref() == Some("") {
            return Err(Error::Rejected {
                problem: "its idempotency key is empty, and would make one of all that have none"
                    .to_owned(),
            });
        }
        let key = catalog::key_of(&entry, &payload, publish.key.as_deref());
        check_length("source", &publish.source, SOURCE_BYTES_MAX)?;
        check_length("key", key.as_deref().unwrap_or_default(), KEY_BYTES_MAX)?;
        check_length(
            "idempotency key",
            publish.idempotency_key.as_deref().unwrap_or_default(),
            KEY_BYTES_MAX,
        )?;
        let context = publish.parent.take().or_else(trace::current);
        let depth = context.as_ref().map_or(0, |context| context.depth);
        if depth > self.settings.depth_max {
            let parent = context.and_then(|context| context.parent);
            return Err(Error::TooDeep {
                event_type: entry.event_type.to_string(),
                depth,
                depth_max: self.settings.depth_max,
                parent: parent.unwrap_or(EventId(uuid::Uuid::nil())),
            });
        }
        let now = self.clock.now();
        let id = publish.id.unwrap_or_else(|| EventId::at(now, &*self.clock));
        if !missing.is_empty() {
            self.log.fields_missing(&entry.event_type, id, &missing);
        }
        let payload = payload.into_payload();
        let stage = self.stage_of(&payload);
        let event = Event {
            id,
            event_type: entry.event_type.clone(),
            key,
            stage,
            payload,
            source: std::mem::take(&mut publish.source),
            published_at: now,
            trace_id: context
                .as_ref()
                .map_or(TraceId(id.0), |context| context.trace_id),
            parent_id: context.and_then(|context| context.parent),
            depth,
            origin: self.process,
            seq: None,
        };
        Ok(Accepted {
            event: Arc::new(event),
            entry,
            call_site,
            idempotency_key: publish.idempotency_key.take(),
            missing,
            wait_handlers: match publish.wait_handlers {
                Some(_) if trace::inside_handler() => None,
                Some(Wait::AtMost(at_most)) => Some(at_most),
                Some(Wait::Configured) => Some(self.settings.publish_wait),
                None => None,
            },
        })
    }

    /// The stage a payload completes: its field `stage`, if it names one. Payloads without the
    /// word are not parsed.
    fn stage_of(&self, payload: &Payload) -> Option<String> {
        if !payload.as_str().contains("\"stage\"") {
            return None;
        }
        let named = payload.fields().get(STAGE_FIELD)?.as_str()?;
        self.catalog
            .stage(named)
            .ok()
            .map(|stage| stage.value.clone())
    }

    /// Commits what is bridged, then delivers all here; or delivers at once if nothing is.
    fn send(
        shared: &Arc<Shared>,
        mut accepted: Vec<Accepted>,
        room: Room,
        append: AppendTo,
    ) -> PublishingMany {
        let ids = accepted.iter().map(|one| one.event.id).collect();
        let each = accepted.iter_mut().map(|one| Sent {
            bridged: one.entry.bridged,
            missing: std::mem::take(&mut one.missing),
            awaited: shared.await_handlers(one),
        });
        let sent = each.collect();
        let bridged = accepted.iter().filter(|one| one.entry.bridged);
        let drafts: Vec<Draft> = bridged.map(Accepted::draft).collect();
        if drafts.is_empty() {
            let routes = shared.deliver_published(&accepted, &[]);
            drop(room);
            return PublishingMany {
                ids,
                sent,
                appended: None,
                routed: Routed::Now(routes),
            };
        }
        let interested = accepted
            .iter()
            .any(|one| shared.bus.has_subscribers(&one.event.event_type));
        let (answer, routes) = Pending::channel();
        let then = {
            let shared = Arc::clone(shared);
            Box::new(move |appended: &Result<Vec<Appended>, store::Error>| {
                let routed = match appended {
                    Ok(appended) => Ok(shared.deliver_published(&accepted, appended)),
                    Err(error) => {
                        shared.publish_failed(&accepted, error);
                        Err(error.clone())
                    }
                };
                drop(room);
                answer.fill(routed);
                answer.wake();
            })
        };
        PublishingMany {
            ids,
            sent,
            appended: Some(append(&shared.queue, drafts, Some(then))),
            // Nobody here wants it: the commit alone answers, and no second wait is needed.
            routed: match interested {
                true => Routed::AtCommit(routes),
                false => Routed::Now(Vec::new()),
            },
        }
    }

    fn await_handlers(&self, accepted: &Accepted) -> Option<Awaited> {
        let at_most = accepted.wait_handlers?;
        Some(Awaited {
            runs: self.waits.begin(accepted.event.id),
            at_most,
        })
    }

    /// After the commit: stages, bus, log. Runs in commit order.
    fn deliver_published(&self, accepted: &[Accepted], appended: &[Appended]) -> Vec<Vec<Route>> {
        let mut committed = appended.iter();
        let each = accepted.iter().map(|one| {
            let place = if one.entry.bridged {
                committed.next()
            } else {
                None
            };
            self.deliver_one(one, place)
        });
        each.collect()
    }

    fn deliver_one(&self, one: &Accepted, place: Option<&Appended>) -> Vec<Route> {
        if let Some((place, original)) = place.and_then(|place| Some((place, place.duplicate_of?)))
        {
            self.note_published_again(one, (original, place));
            self.waits.finish_routing(one.event.id, &[]);
            return Vec::new();
        }
        self.counters.published.fetch_add(1, Ordering::Relaxed);
        if place.is_none() {
            self.counters
                .published_volatile
                .fetch_add(1, Ordering::Relaxed);
            self.note_unbridged(&one.event);
        }
        self.log.emit(&one.event, place.map(|place| place.seq));
        self.stages.note(&one.event);
        let routes = match place {
            None => self.deliver_local(&one.event),
            Some(place) if self.bus.has_subscribers(&one.event.event_type) => {
                self.deliver_local(&Arc::new(Event {
                    seq: Some(place.seq),
                    ..Event::clone(&one.event)
                }))
            }
            Some(_) => Vec::new(),
        };
        self.waits.finish_routing(one.event.id, &routes);
        routes
    }

    fn publish_failed(&self, accepted: &[Accepted], error: &store::Error) {
        self.counters.publish_failed.fetch_add(
            u64::try_from(accepted.len()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
        for one in accepted {
            self.waits.finish_routing(one.event.id, &[]);
            self.log.publish_failed(&one.event, error);
            self.note_not_stored(&one.event, error, one.call_site.as_ref());
        }
    }
}
