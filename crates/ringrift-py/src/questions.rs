//! What a program may ask of its system; every answer is the library's own, as JSON.

use std::time::Duration;

use pyo3::prelude::*;
use ringrift_events::event::EventId;
use ringrift_events::explain;
use ringrift_events::metrics::{self, Ask, By};
use ringrift_events::store::letters::{Letter, LetterFilter, LetterState};
use ringrift_events::store::subscriptions::{Kind, SubscriptionState};
use ringrift_events::system::System;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::core::Core;
use crate::fault::{Fault, OrRaise as _};

/// Most letters of one answer: what somebody reads; older ones come by `below`.
const LETTERS_MAX: usize = 100_000;

impl Core {
    /// Asks without the interpreter's lock.
    pub(crate) fn ask<T: Serialize + Send>(
        &self,
        py: Python<'_>,
        attempted: &str,
        question: impl FnOnce(&System) -> Result<T, Fault> + Send,
    ) -> PyResult<String> {
        let system = self.system(py, attempted)?;
        let answer = py.detach(|| {
            let answer = question(system)?;
            serde_json::to_string(&answer).map_err(|error| Fault::refused("BUG", error.to_string()))
        });
        answer.or_raise(py)
    }
}

/// Seconds back from now.
fn back(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}

#[pymethods]
impl Core {
    /// What became of one event.
    fn explain(&self, py: Python<'_>, name: &str) -> PyResult<String> {
        self.ask(py, "explain", |system| Ok(system.explain(name)?))
    }

    /// Why a handler is silent, since so many seconds.
    fn why_not(
        &self,
        py: Python<'_>,
        subscription: String,
        event_type: Option<String>,
        key: Option<String>,
        seconds: f64,
    ) -> PyResult<String> {
        self.ask(py, "why_not", |system| {
            let since = system.clock().now().before(back(seconds));
            let asked = explain::Asked {
                subscription,
                event_type,
                key,
                since,
            };
            Ok(system.why_not(&asked)?)
        })
    }

    /// Who would get an event; publishes nothing.
    fn route(
        &self,
        py: Python<'_>,
        event_type: String,
        payload: Vec<u8>,
        key: Option<String>,
    ) -> PyResult<String> {
        self.ask(py, "route", |system| {
            let draft = explain::Draft {
                event_type,
                payload,
                key,
                process: None,
            };
            Ok(system.route(&draft)?)
        })
    }

    /// What led to an event and what it led to.
    fn tree(&self, py: Python<'_>, name: &str) -> PyResult<String> {
        self.ask(py, "tree", |system| Ok(system.tree(name)?))
    }

    /// What is wrong with the whole home, looking so many seconds back.
    fn doctor(&self, py: Python<'_>, seconds: f64) -> PyResult<String> {
        self.ask(py, "doctor", |system| Ok(system.doctor(back(seconds))?))
    }

    /// How well the system is.
    fn health(&self, py: Python<'_>) -> PyResult<String> {
        self.ask(py, "health", |system| Ok(system.health()))
    }

    /// Numbers of the home over the last seconds, and of this process.
    fn stats(&self, py: Python<'_>, seconds: f64, slots: u32, by: &str) -> PyResult<String> {
        self.ask(py, "stats", |system| {
            stats(system, back(seconds), slots, by)
        })
    }

    /// How many events wait, as `count_pending()` of the runbook counts them.
    fn count_pending(&self, py: Python<'_>) -> PyResult<String> {
        self.ask(py, "count_pending", |system| {
            Ok(system.queue().count_pending()?)
        })
    }

    /// Every subscription of the home that stands.
    fn subscriptions(&self, py: Python<'_>) -> PyResult<String> {
        self.ask(py, "subscriptions", |system| {
            let all = system.store().subscriptions().wait()?;
            let standing = all.iter().filter(|state| state.ended_at.is_none());
            Ok(standing.map(subscription).collect::<Vec<_>>())
        })
    }

    /// What failed and has not recovered, newest first.
    fn dead_letters(
        &self,
        py: Python<'_>,
        handler: Option<String>,
        event: Option<&str>,
        states: Vec<String>,
        limit: usize,
    ) -> PyResult<String> {
        self.ask(py, "dead_letters", |system| {
            let filter = LetterFilter {
                handler,
                event: event.map(event_id).transpose()?,
                states: states
                    .iter()
                    .map(|text| state(text))
                    .collect::<Result<_, _>>()?,
                limit: limit.min(LETTERS_MAX),
                ..LetterFilter::default()
            };
            let letters = system.dead_letters().list(filter)?;
            Ok(letters.iter().map(letter).collect::<Vec<_>>())
        })
    }

    /// Retries (`retry`) or discards (`discard`) the letters of these ids; says how many changed.
    fn act_on_letters(
        &self,
        py: Python<'_>,
        act: &str,
        ids: Vec<i64>,
        by: &str,
    ) -> PyResult<String> {
        self.ask(py, act, |system| {
            let letters = system.dead_letters();
            let seen = letters.list(LetterFilter {
                limit: ids.len().max(1),
                ids: ids.into_iter().map(letter_id).collect(),
                ..LetterFilter::default()
            })?;
            let acted = match act {
                "retry" => letters.retry(&seen, by)?,
                "discard" => letters.discard(&seen, by)?,
                other => {
                    let message = format!("{other:?} is neither \"retry\" nor \"discard\"");
                    return Err(Fault::refused("USAGE", message));
                }
            };
            Ok(acted.changed)
        })
    }

    /// The canonical value of a type's name, or the error that names the nearest.
    pub(crate) fn type_of(&self, py: Python<'_>, name: &str) -> PyResult<String> {
        let system = self.system(py, "type_of")?;
        let entry = system.catalog().resolve(name);
        let entry = entry
            .map_err(ringrift_events::router::Error::from)
            .or_raise(py)?;
        Ok(entry.event_type.as_str().to_owned())
    }

    /// The known types: canonical value, and whether it leaves its process.
    fn types(&self, py: Python<'_>) -> PyResult<Vec<(String, bool)>> {
        let system = self.system(py, "types")?;
        let types = system.catalog().types();
        let pair = |entry: &std::sync::Arc<ringrift_events::catalog::TypeEntry>| {
            (entry.event_type.as_str().to_owned(), entry.bridged)
        };
        Ok(types.iter().map(pair).collect())
    }
}

fn letter_id(id: i64) -> ringrift_events::store::deliveries::LetterId {
    ringrift_events::store::deliveries::LetterId(id)
}

fn event_id(text: &str) -> Result<EventId, Fault> {
    Uuid::parse_str(text)
        .map(EventId)
        .map_err(|_| Fault::refused("USAGE", format!("{text:?} is no event's id")))
}

fn state(text: &str) -> Result<LetterState, Fault> {
    LetterState::parse(text).ok_or_else(|| {
        let known = LetterState::ALL.map(LetterState::as_str).join(", ");
        Fault::refused(
            "USAGE",
            format!("{text:?} is no state of a dead letter ({known})"),
        )
    })
}

fn stats(system: &System, back: Duration, slots: u32, by: &str) -> Result<Value, Fault> {
    let by = serde_json::from_value::<By>(json!(by)).map_err(|_| {
        let message = format!("{by:?} is none of all, code, type, subscription, process");
        Fault::refused("USAGE", message)
    })?;
    let (store, clock) = (&**system.store(), &**system.clock());
    let now = clock.now();
    let ask = Ask::new(now.before(back), now, slots.max(1), by);
    let local = system.router().local_stats();
    Ok(json!({
        "this_process": {
            "process": store.process().to_string(),
            "counters": local.counters,
            "subscriptions": local.subscriptions,
            "in_flight": local.in_flight,
            "running": local.running,
            "stuck": local.stuck,
        },
        "throughput": metrics::throughput(store, clock, &ask)?,
        "failures": metrics::failures(store, clock, &ask)?,
        "depth": metrics::depth(store, clock, &ask)?,
        "lag": metrics::lag(store, clock, &ask)?,
    }))
}

fn subscription(state: &SubscriptionState) -> Value {
    let current = state.current();
    json!({
        "id": state.id.0,
        "name": current.name,
        "kind": match current.kind { Kind::Live => "live", Kind::Durable => "durable" },
        "types": current.types,
        "filter": current.filter,
        "dedup": current.dedup,
        "process": state.process.map(|process| process.to_string()),
        "hosts": state.hosts.keys().map(ToString::to_string).collect::<Vec<_>>(),
        "paused_by": state.paused.as_ref().map(|(_, by)| by),
        "cursor": state.cursor.0,
        "settled": state.settled.0,
        "claimed": state.claimed,
        "retrying": state.retrying,
        "dead": state.dead,
    })
}

fn letter(letter: &Letter) -> Value {
    json!({
        "id": letter.id.0,
        "event_id": letter.event.id.to_string(),
        "event_type": letter.event.event_type.as_str(),
        "payload": letter.event.payload.fields(),
        "source": letter.event.source,
        "handler": letter.handler,
        "state": letter.state.as_str(),
        "error": letter.error,
        "error_kind": letter.error_kind.as_str(),
        "step": letter.step,
        "attempts": letter.attempts,
        "attempts_total": letter.attempts_total,
        "deaths": letter.deaths,
        "created_us": letter.created_at.0,
        "last_attempt_us": letter.last_attempt_at.0,
        "next_retry_us": letter.next_retry_at.map(|time| time.0),
        "linked": letter.linked.map(|id| id.to_string()),
    })
}
