//! Names as people give them: events, subscriptions, processes.

use std::sync::Arc;

use ringrift_events::catalog::{self, filter::Filter};
use ringrift_events::event::{EventId, EventType, ProcessId, Seq};
use ringrift_events::store::Store;
use ringrift_events::store::log::{EventRef, Logged};
use ringrift_events::store::registry::{Liveness, ProcessState};
use ringrift_events::store::subscriptions::{Kind, SubscriptionState};

use crate::call::Call;
use crate::failure::{Error, Stop};
use crate::open;

/// Fewest digits of an id that may stand for it.
const PREFIX_DIGITS_MIN: usize = 4;

/// Most candidates an ambiguous name is answered with.
const CANDIDATES_MAX: usize = 10;

/// What `text` could name, the likeliest first: a whole id; a number in the log; the first digits
/// of an id; an idempotency key (`key:` says so for sure).
fn meanings(text: &str) -> Vec<EventRef> {
    if let Some(key) = text.strip_prefix("key:") {
        return vec![EventRef::IdempotencyKey(key.to_owned())];
    }
    if let Ok(id) = uuid::Uuid::parse_str(text) {
        return vec![EventRef::Id(EventId(id))];
    }
    let mut meanings = Vec::new();
    // Ids begin with their time, so with a zero until the year 4000: no number does.
    let number = text.strip_prefix('#').unwrap_or(text);
    if !number.starts_with('0')
        && let Ok(seq) = number.parse::<i64>()
        && seq > 0
    {
        meanings.push(EventRef::Seq(Seq(seq)));
    }
    let digits =
        text.len() >= PREFIX_DIGITS_MIN && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if digits {
        meanings.push(EventRef::Prefix(text.to_ascii_lowercase()));
    }
    meanings.push(EventRef::IdempotencyKey(text.to_owned()));
    meanings
}

/// The one event that `text` names; a deleted one too.
pub(crate) fn event(store: &dyn Store, text: &str) -> Result<Logged, Stop> {
    for meaning in meanings(text) {
        let mut found = store.find(meaning).wait()?;
        if found.len() > 1 {
            return Err(Error::Ambiguous {
                value: text.to_owned(),
                candidates: found
                    .iter()
                    .map(|logged| logged.event.id.to_string())
                    .collect(),
            }
            .into());
        }
        if let Some(logged) = found.pop() {
            return Ok(logged);
        }
    }
    Err(Error::NotFound {
        kind: "event of the log",
        value: text.to_owned(),
        hint: " (an id, its first four or more digits, a number of the log, or key:KEY)".to_owned(),
        next: "ringrift events ls",
    }
    .into())
}

/// The types that these names mean, by constant or canonical value.
pub(crate) fn event_types(
    call: &Call,
    store: &dyn Store,
    names: &[String],
) -> Result<Vec<EventType>, Stop> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let catalog = open::catalog_with(call, store)?;
    names
        .iter()
        .map(|name| Ok(catalog.resolve(name)?.event_type.clone()))
        .collect()
}

/// The type that this name means.
pub(crate) fn event_type(call: &Call, store: &dyn Store, name: &str) -> Result<EventType, Stop> {
    let catalog = open::catalog_with(call, store)?;
    Ok(catalog.resolve(name)?.event_type.clone())
}

/// Reads an optional filter.
pub(crate) fn filter(text: Option<&str>) -> Result<Option<Filter>, Stop> {
    let parsed = text.map(Filter::parse).transpose();
    Ok(parsed.map_err(catalog::Error::from)?)
}

/// The one subscription that `text` names: its name, or `#` and its number.
///
/// A durable one goes before live ones of its name, and one that stands before ended ones.
pub(crate) fn subscription(store: &dyn Store, text: &str) -> Result<SubscriptionState, Stop> {
    let all = store.subscriptions().wait()?;
    let named = |state: &SubscriptionState| state.current().name == text;
    let number = text.strip_prefix('#').unwrap_or(text).parse::<i64>().ok();
    let mut found: Vec<&SubscriptionState> = all.iter().filter(|state| named(state)).collect();
    if found.is_empty() {
        found = all
            .iter()
            .filter(|state| Some(state.id.0) == number)
            .collect();
    }
    let narrowings: [fn(&SubscriptionState) -> bool; 2] = [
        |state| state.ended_at.is_none(),
        |state| state.current().kind == Kind::Durable,
    ];
    for keep in narrowings {
        if found.iter().any(|state| keep(state)) {
            found.retain(|state| keep(state));
        }
    }
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Error::NotFound {
            kind: "subscription",
            value: text.to_owned(),
            hint: nearest(text, all.iter().map(|state| state.current().name.as_str())),
            next: "ringrift subs ls",
        }
        .into()),
        many => Err(Error::Ambiguous {
            value: text.to_owned(),
            candidates: many
                .iter()
                .take(CANDIDATES_MAX)
                .map(|state| format!("#{}", state.id.0))
                .collect(),
        }
        .into()),
    }
}

/// The one process that `text` names: its id, the first digits of it, or its pid.
pub(crate) fn process(store: &dyn Store, text: &str) -> Result<ProcessState, Stop> {
    let all = store.processes().wait()?;
    let pid = text.parse::<u32>().ok();
    let mut found: Vec<&ProcessState> = all
        .iter()
        .filter(|state| Some(state.process.pid) == pid)
        .collect();
    if found.is_empty() && text.len() >= PREFIX_DIGITS_MIN {
        let prefix = text.to_ascii_lowercase();
        found = all
            .iter()
            .filter(|state| state.process.id.to_string().starts_with(&prefix))
            .collect();
    }
    if found.iter().any(|state| lives(state)) {
        found.retain(|state| lives(state));
    }
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Error::NotFound {
            kind: "process of this home",
            value: text.to_owned(),
            hint: " (an id, its first four or more digits, or a pid)".to_owned(),
            next: "ringrift processes ls",
        }
        .into()),
        many => Err(Error::Ambiguous {
            value: text.to_owned(),
            candidates: many
                .iter()
                .take(CANDIDATES_MAX)
                .map(|state| state.process.id.to_string())
                .collect(),
        }
        .into()),
    }
}

/// Whether a process lives, hung or not.
pub(crate) fn lives(state: &ProcessState) -> bool {
    match state.liveness {
        Liveness::Alive | Liveness::Hung => true,
        Liveness::Left | Liveness::Dead => false,
    }
}

/// `; did you mean …?` with the nearest names, or nothing.
pub(crate) fn nearest<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> String {
    let mut scored: Vec<(f64, &str)> = names
        .map(|name| (strsim::jaro_winkler(text, name), name))
        .filter(|(score, _)| *score > 0.8)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by_key(|(_, name)| *name);
    let names: Vec<&str> = scored.iter().take(3).map(|(_, name)| *name).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("; did you mean {}?", names.join(" or "))
    }
}

/// Names of subscriptions by id, for rows that carry ids only.
pub(crate) struct Names(Vec<(i64, Arc<str>)>);

impl Names {
    /// Reads them once.
    pub(crate) fn read(store: &dyn Store) -> Result<Names, Stop> {
        Ok(Names::of(&store.subscriptions().wait()?))
    }

    /// Of subscriptions that were read already.
    pub(crate) fn of(states: &[SubscriptionState]) -> Names {
        Names(
            states
                .iter()
                .map(|state| (state.id.0, Arc::from(state.current().name.as_str())))
                .collect(),
        )
    }

    /// The name, or `#` and the number of one that is gone.
    pub(crate) fn of_id(
        &self,
        id: ringrift_events::store::subscriptions::SubscriptionId,
    ) -> String {
        self.0
            .iter()
            .find(|(known, _)| *known == id.0)
            .map_or_else(|| format!("#{}", id.0), |(_, name)| name.to_string())
    }
}

/// The first eight digits of a process's id: enough for people.
pub(crate) fn short(process: ProcessId) -> String {
    // The first twelve digits are the time; the last twelve tell processes apart.
    let text = process.to_string();
    text.chars().take(13).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_an_event_is_read_by_its_shape() {
        let id = "019ab3c4-0000-7000-8000-000000000001";
        assert!(matches!(meanings(id).as_slice(), [EventRef::Id(_)]));
        assert_eq!(
            meanings("42"),
            [
                EventRef::Seq(Seq(42)),
                EventRef::IdempotencyKey("42".into())
            ]
        );
        assert_eq!(
            meanings("019AB3"),
            [
                EventRef::Prefix("019ab3".into()),
                EventRef::IdempotencyKey("019AB3".into())
            ]
        );
        assert_eq!(meanings("key:42"), [EventRef::IdempotencyKey("42".into())]);
        assert_eq!(
            meanings("run-7/eval"),
            [EventRef::IdempotencyKey("run-7/eval".into())]
        );
    }

    #[test]
    fn near_names_are_offered_and_far_ones_are_not() {
        let names = ["evaluator", "trainer", "exporter"];
        assert_eq!(
            nearest("evaluater", names.into_iter()),
            "; did you mean evaluator?"
        );
        assert_eq!(nearest("zzz", names.into_iter()), "");
    }
}
