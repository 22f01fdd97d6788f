//! Who would get an event, and who would not, without publishing it.

use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use super::judge::Case;
use super::known::{Known, Scenery};
use super::standing::Verdict;
use super::{Error, bridge};
use super::{judge, route, wait};
use crate::catalog::{self, Catalog};
use crate::clock::Time;
use crate::coded::quoted;
use crate::event::{
    Event, EventId, EventType, PAYLOAD_BYTES_MAX, Payload, ProcessId, Seq, TraceId,
};
use crate::store::Store;
use crate::store::log::Logged;
use crate::store::subscriptions::{Kind, SubscriptionId, SubscriptionState};
use crate::store::trail::Trail;
use crate::verdict::Code;

/// An event that might be published.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Its type: constant or canonical value.
    pub event_type: String,
    /// Its payload: the text of one JSON object.
    pub payload: Vec<u8>,
    /// Its key, if the publisher would give one.
    pub key: Option<String>,
    /// The process that would publish it; none for a process of its own, such as the command's.
    pub process: Option<ProcessId>,
}

/// What publishing would come to at this moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The type.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// The key it would have.
    pub key: Option<String>,
    /// Whether it would go to the log.
    pub publication: Verdict,
    /// Required fields that its payload lacks, where the type only warns of them.
    pub missing: Vec<String>,
    /// Every subscription that stands: those that would get it first, then by name.
    pub routes: Vec<Foreseen>,
    /// How many would get it.
    pub reached: usize,
}

/// What one subscription would make of the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Foreseen {
    /// The subscription's number.
    pub id: SubscriptionId,
    /// Its name.
    pub subscription: String,
    /// Durable or live.
    pub kind: Kind,
    /// Whether it would get it, now or once nothing is in the way.
    pub takes: bool,
    /// `RT_MATCHED`, or why it would not get it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What the event would wait for first, if anything but its turn.
    pub then: Option<Verdict>,
}

impl Prediction {
    /// Judges the draft by this catalog and the subscriptions that stand. Blocks for a few reads;
    /// writes nothing.
    ///
    /// # Errors
    /// What the door refuses, and the store's.
    pub fn of(
        store: &dyn Store,
        catalog: &Catalog,
        draft: &Draft,
        now: Time,
    ) -> Result<Prediction, Error> {
        let entry = catalog.resolve(&draft.event_type)?;
        let payload = catalog::payload::check_within(&draft.payload, PAYLOAD_BYTES_MAX)?;
        let missing = Catalog::enforce_required(&entry, &payload)?;
        let key = catalog::key_of(&entry, &payload, draft.key.as_deref());
        let bridged = match draft.process.filter(|id| *id != store.process()) {
            Some(other) => bridge::now(store, other, &entry.event_type)?.map(|rule| rule.bridged),
            None => None,
        };
        let bridged = bridged.unwrap_or(entry.bridged);
        let event = made_up(&entry.event_type, payload, key, draft.process, now);
        let seq = store.head().wait()?.seq.next();
        let scenery = Arc::new(Scenery::read(store, now)?.by(catalog));
        let known = supposed(event, seq, scenery);
        let mut routes: Vec<Foreseen> = known
            .scenery
            .subscriptions
            .iter()
            .filter_map(|state| foreseen(&known, state, bridged, draft.process))
            .collect();
        routes.sort_by_key(|one| !one.takes);
        Ok(Prediction {
            event_type: entry.event_type.clone(),
            publication: publication(&known, bridged),
            key: known.logged.event.key.clone(),
            missing,
            reached: routes.iter().filter(|one| one.takes).count(),
            routes,
        })
    }
}

fn made_up(
    event_type: &EventType,
    payload: Payload,
    key: Option<String>,
    process: Option<ProcessId>,
    now: Time,
) -> Event {
    Event {
        id: EventId(Uuid::nil()),
        event_type: event_type.clone(),
        payload,
        source: String::new(),
        key,
        published_at: now,
        trace_id: TraceId(Uuid::nil()),
        parent_id: None,
        depth: 0,
        origin: process.unwrap_or(ProcessId(Uuid::nil())),
        stage: None,
        seq: None,
    }
}

/// The event at the log's next place, of which nothing is recorded.
fn supposed(event: Event, seq: Seq, scenery: Arc<Scenery>) -> Known {
    Known {
        logged: Logged {
            committed_at: event.published_at,
            event: Arc::new(Event {
                seq: Some(seq),
                ..event
            }),
            deleted_at: None,
            call_site: None,
        },
        scenery,
        facts: Vec::new(),
        trail: Trail::default(),
        edits: Vec::new(),
    }
}

fn publication(known: &Known, bridged: bool) -> Verdict {
    let event = &known.logged.event;
    let name = event.event_type.as_str();
    let (code, sentence) = match bridged {
        true => (
            Code::PubAccepted,
            "It would be committed to the log, for every process.",
        ),
        false => (
            Code::PubVolatile,
            "Its type is volatile: it would stay in the process that publishes it.",
        ),
    };
    Verdict::about(code, event.id, sentence).next(format!("ringrift types show {}", quoted(name)))
}

/// What a subscription that stands would make of it.
fn foreseen(
    known: &Known,
    state: &SubscriptionState,
    bridged: bool,
    process: Option<ProcessId>,
) -> Option<Foreseen> {
    let case = judge::next_case(known, state)?;
    let answer = |takes, verdict, then| {
        Some(Foreseen {
            id: state.id,
            subscription: state.current().name.clone(),
            kind: state.current().kind,
            takes,
            verdict,
            then,
        })
    };
    if let Some((_, verdict)) = mismatch(&case) {
        return answer(false, verdict, None);
    }
    if let Some(verdict) = route::of(&case) {
        return answer(false, verdict, None);
    }
    let here = state.process.is_some() && state.process == process;
    if !bridged && !here {
        return answer(false, route::not_bridged(&case), None);
    }
    let matched = Verdict::new(
        Code::RtMatched,
        &case,
        "It names the type, and its filter is true.",
    )
    .next(format!(
        "ringrift subs show {}",
        quoted(&state.current().name)
    ));
    if let Some(verdict) = route::ended_with_its_process(&case) {
        return answer(false, verdict, None);
    }
    let then = match here && state.current().kind == Kind::Live {
        true => None,
        false => wait::obstacle(&case),
    };
    answer(true, matched, then)
}

/// What would be in the way of an event of this type that reached the log now: that it is none of
/// the subscription's, that it stays where it is published (`volatile_in`), or what it would wait
/// for. Its filter is not asked.
pub(super) fn obstacle(
    scenery: &Arc<Scenery>,
    state: &SubscriptionState,
    event_type: &EventType,
    key: Option<String>,
    volatile_in: Option<&str>,
) -> Vec<Verdict> {
    let empty = Payload::from_checked("{}");
    let event = made_up(event_type, empty, key, None, scenery.now);
    let begins = state.versions.last().map(|last| last.valid_from);
    let seq = begins.unwrap_or_default().max(state.cursor.next());
    let known = supposed(event, seq, Arc::clone(scenery));
    let case = match judge::next_case(&known, state) {
        Some(case) => case,
        None => return vec![route::ended(&known, state)],
    };
    if let Some((_, verdict)) = mismatch(&case) {
        return vec![verdict];
    }
    if let Some(verdict) = route::ended_with_its_process(&case) {
        return vec![verdict];
    }
    let stays = volatile_in.map(|place| {
        route::not_bridged(&case).actual(format!("{event_type} is volatile in {place}"))
    });
    wait::obstacle(&case).into_iter().chain(stays).collect()
}

fn mismatch(case: &Case<'_>) -> Option<(bool, Verdict)> {
    let types = &case.version()?.definition.types;
    match types.takes(&case.event.event_type) {
        true => None,
        false => route::other_types(case),
    }
}
