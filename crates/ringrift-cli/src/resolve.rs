//! Names as people give them: events, subscriptions, processes.

use std::sync::Arc;

use ringrift_events::catalog::{self, filter::Filter};
use ringrift_events::event::{EventType, ProcessId};
use ringrift_events::explain;
use ringrift_events::store::Store;
use ringrift_events::store::log::Logged;
use ringrift_events::store::registry::{Liveness, ProcessState};
use ringrift_events::store::subscriptions::SubscriptionState;

use crate::call::Call;
use crate::failure::{Error, Stop};
use crate::open;

/// Fewest digits of a process's id that may stand for it.
const PREFIX_DIGITS_MIN: usize = 4;

/// Most candidates an ambiguous name is answered with.
const CANDIDATES_MAX: usize = 10;

/// The one event that `text` names; a deleted one too.
pub(crate) fn event(store: &dyn Store, text: &str) -> Result<Logged, Stop> {
    Ok(explain::name::event(store, text)?)
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
pub(crate) fn subscription(store: &dyn Store, text: &str) -> Result<SubscriptionState, Stop> {
    let all = store.subscriptions().wait()?;
    Ok(explain::name::subscription(&all, text)?.clone())
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
    fn near_names_are_offered_and_far_ones_are_not() {
        let names = ["evaluator", "trainer", "exporter"];
        assert_eq!(
            nearest("evaluater", names.into_iter()),
            "; did you mean evaluator?"
        );
        assert_eq!(nearest("zzz", names.into_iter()), "");
    }
}
