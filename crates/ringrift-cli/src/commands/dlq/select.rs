//! Which letters are meant: by number, by event, or by what they have in common.

use clap::Args;
use ringrift_events::store::Store;
use ringrift_events::store::deliveries::LetterId;
use ringrift_events::store::letters::{Letter, LetterFilter, LetterState};

use crate::call::Call;
use crate::commands::events::show::letters_of;
use crate::failure::{Error, Stop};
use crate::resolve;

/// Most letters one call acts on or looks at; the store's own bound.
pub(crate) const LETTERS_MAX: usize = 100_000;

/// What narrows a list of letters.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Narrow {
    /// Only this handler's.
    #[arg(long, value_name = "NAME")]
    pub(crate) handler: Option<String>,

    /// Only events of this type, by constant or value.
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    pub(crate) event_type: Option<String>,

    /// Only in this state: retrying, running, dead, recovered, discarded, expired, purged; may be
    /// repeated.
    #[arg(long = "state", value_name = "STATE", value_parser = state)]
    pub(crate) states: Vec<LetterState>,

    /// Only those that failed first since then: 1h, 7d, or a date.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,

    /// Only those that failed first before then.
    #[arg(long, value_name = "TIME")]
    pub(crate) before: Option<String>,
}

fn state(text: &str) -> Result<LetterState, String> {
    LetterState::parse(&text.to_ascii_lowercase()).ok_or_else(|| {
        "one of retrying, running, dead, recovered, discarded, expired, purged".to_owned()
    })
}

impl Narrow {
    /// Whether it narrows at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.handler.is_none()
            && self.event_type.is_none()
            && self.states.is_empty()
            && self.since.is_none()
            && self.before.is_none()
    }

    /// As the store takes it.
    pub(crate) fn filter(&self, call: &Call, store: &dyn Store) -> Result<LetterFilter, Stop> {
        let event_type = self
            .event_type
            .as_deref()
            .map(|name| resolve::event_type(call, store, name))
            .transpose()?;
        Ok(LetterFilter {
            handler: self.handler.clone(),
            event_type,
            states: self.states.clone(),
            since: call.moment_option(self.since.as_deref())?,
            before: call.moment_option(self.before.as_deref())?,
            limit: LETTERS_MAX,
            ..LetterFilter::default()
        })
    }
}

/// Every state, for letters that are named one by one.
pub(crate) const ALL_STATES: [LetterState; 7] = [
    LetterState::Retrying,
    LetterState::Running,
    LetterState::Dead,
    LetterState::Recovered,
    LetterState::Discarded,
    LetterState::Expired,
    LetterState::Purged,
];

/// The letters that these names mean: a letter's number, or an event (its id or the first digits)
/// for all letters of it.
pub(crate) fn named(store: &dyn Store, names: &[String]) -> Result<Vec<Letter>, Stop> {
    let mut found: Vec<Letter> = Vec::new();
    for name in names {
        let letters = one(store, name)?;
        for letter in letters {
            if found.iter().all(|known| known.id != letter.id) {
                found.push(letter);
            }
        }
    }
    Ok(found)
}

fn one(store: &dyn Store, name: &str) -> Result<Vec<Letter>, Stop> {
    let number = name.strip_prefix('#').unwrap_or(name);
    let letters = match number.parse::<i64>() {
        Ok(id) if !number.starts_with('0') => store
            .letters(LetterFilter {
                ids: vec![LetterId(id)],
                states: ALL_STATES.to_vec(),
                limit: 1,
                ..LetterFilter::default()
            })
            .wait()?,
        Ok(_) | Err(_) => letters_of(store, &resolve::event(store, name)?.event)?,
    };
    if letters.is_empty() {
        return Err(Error::NotFound {
            kind: "dead letter",
            value: name.to_owned(),
            hint: String::new(),
            next: "ringrift dlq ls",
        }
        .into());
    }
    Ok(letters)
}

/// The one letter that a name means.
pub(crate) fn single(store: &dyn Store, name: &str) -> Result<Letter, Stop> {
    let mut letters = named(store, &[name.to_owned()])?;
    if letters.len() > 1 {
        return Err(Error::Ambiguous {
            value: name.to_owned(),
            candidates: letters
                .iter()
                .take(10)
                .map(|letter| format!("{} ({})", letter.id.0, letter.handler))
                .collect(),
        }
        .into());
    }
    letters.pop().ok_or_else(|| {
        Stop::from(Error::NotFound {
            kind: "dead letter",
            value: name.to_owned(),
            hint: String::new(),
            next: "ringrift dlq ls",
        })
    })
}
