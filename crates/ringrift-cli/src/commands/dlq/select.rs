//! Which letters are meant: by number, by event, or by what they have in common.

use std::collections::HashSet;

use clap::Args;
use ringrift_events::dead_letters::Fingerprint;
use ringrift_events::event::EventId;
use ringrift_events::store::deliveries::LetterId;
use ringrift_events::store::letters::{Letter, LetterAct, LetterFilter, LetterState};
use ringrift_events::store::{ErrorCode, Store};

use crate::call::Call;
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

    /// Only failures of this fingerprint, at least four digits of it: `dlq ls --by fingerprint`.
    #[arg(long, value_name = "ID")]
    pub(crate) fingerprint: Option<String>,
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
            && self.fingerprint.is_none()
    }

    /// The letters that match. A fingerprint is looked for among the newest [`LETTERS_MAX`].
    pub(crate) fn letters(
        &self,
        store: &dyn Store,
        mut filter: LetterFilter,
    ) -> Result<Vec<Letter>, Stop> {
        let Some(wanted) = &self.fingerprint else {
            return Ok(store.letters(filter).wait()?);
        };
        let limit = std::mem::replace(&mut filter.limit, LETTERS_MAX);
        let mut letters = store.letters(filter).wait()?;
        letters.retain(|letter| Fingerprint::of_letter(letter).is(wanted));
        letters.truncate(limit);
        Ok(letters)
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

/// The letters that these names mean and that are in a state that `act` needs: a letter's number,
/// a range of numbers (`17..19`),
/// or an event (its id or the first digits) for all such letters of it. A name without any is an
/// error, and then nothing is to be done.
pub(crate) fn named(
    store: &dyn Store,
    names: &[String],
    act: LetterAct,
) -> Result<Vec<Letter>, Stop> {
    let mut found: Vec<Letter> = Vec::new();
    let mut known = HashSet::new();
    for name in names {
        let letters = one(store, name)?;
        if !letters.iter().any(|letter| takes(act, letter.state)) {
            return Err(refused(word(act), &letters[0]).into());
        }
        if act == LetterAct::Restore {
            let restored = letters.iter().filter(|letter| takes(act, letter.state));
            for letter in restored {
                not_replaced_for_good(store, letter)?;
            }
        }
        for letter in letters {
            if takes(act, letter.state) && known.insert(letter.id) {
                found.push(letter);
            }
        }
    }
    Ok(found)
}

/// Whether the act applies to letters in this state.
pub(crate) fn takes(act: LetterAct, state: LetterState) -> bool {
    match act {
        LetterAct::Retry | LetterAct::Discard => {
            matches!(state, LetterState::Retrying | LetterState::Dead)
        }
        LetterAct::Purge => !matches!(state, LetterState::Running | LetterState::Purged),
        LetterAct::Restore => matches!(state, LetterState::Discarded | LetterState::Purged),
    }
}

/// The act's name on the command line.
pub(crate) fn word(act: LetterAct) -> &'static str {
    match act {
        LetterAct::Retry => "retry",
        LetterAct::Discard => "discard",
        LetterAct::Purge => "purge",
        LetterAct::Restore => "restore",
    }
}

/// The refusal of a letter that was named and is in another state than the verb needs.
pub(crate) fn refused(verb: &str, letter: &Letter) -> ringrift_events::store::Error {
    let (id, state) = (letter.id.0, letter.state.as_str());
    ringrift_events::store::Error::new(
        ErrorCode::WrongState,
        format!("cannot {verb} dead letter {id}: it is {state}"),
    )
    .with_next(format!("ringrift dlq show {id}"))
}

/// Refuses to restore a letter whose edited event has succeeded, or that was edited from one that
/// has: its work is done.
fn not_replaced_for_good(store: &dyn Store, letter: &Letter) -> Result<(), Stop> {
    let mut known = vec![letter.event.id];
    let mut next = letter.linked;
    while let Some(event) = next.filter(|event| !known.contains(event)) {
        known.push(event);
        let others = letters_of(store, event)?;
        let other = others
            .into_iter()
            .find(|other| other.subscription == letter.subscription);
        let Some(other) = other else { break };
        if other.state == LetterState::Recovered {
            let (id, done) = (letter.id.0, other.id.0);
            let error = ringrift_events::store::Error::new(
                ErrorCode::WrongState,
                format!(
                    "cannot restore dead letter {id}: letter {done} took its place and succeeded"
                ),
            );
            return Err(error.with_next(format!("ringrift dlq show {done}")).into());
        }
        next = other.linked;
    }
    Ok(())
}

/// Numbers as they are named: neighbours as a range, `17..19`.
pub(crate) fn ranges(mut numbers: Vec<i64>) -> Vec<String> {
    numbers.sort_unstable();
    numbers
        .chunk_by(|one, next| one + 1 == *next)
        .map(|run| match run {
            [first, .., last] => format!("{first}..{last}"),
            _ => run.iter().map(i64::to_string).collect(),
        })
        .collect()
}

/// The numbers of a range, if it is one: both ends belong to it.
fn range(name: &str) -> Option<(i64, i64)> {
    let (first, last) = name.split_once("..")?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// The letters in a range of numbers, whatever their state.
fn within(store: &dyn Store, first: i64, last: i64) -> Result<Vec<Letter>, Stop> {
    let mut found = Vec::new();
    let mut below = last.checked_add(1).map(LetterId);
    loop {
        let filter = LetterFilter {
            states: LetterState::ALL.to_vec(),
            below,
            limit: LETTERS_MAX,
            ..LetterFilter::default()
        };
        let page = store.letters(filter).wait()?;
        let whole = page.len() == LETTERS_MAX;
        below = page.last().map(|letter| letter.id);
        found.extend(page.into_iter().filter(|letter| letter.id.0 >= first));
        if !whole || below.is_some_and(|id| id.0 <= first) {
            return Ok(found);
        }
    }
}

/// The letters that one name means; never none.
pub(crate) fn one(store: &dyn Store, name: &str) -> Result<Vec<Letter>, Stop> {
    let number = name.strip_prefix('#').unwrap_or(name);
    let letters = if let Some((first, last)) = range(number) {
        within(store, first, last)?
    } else {
        by_number_or_event(store, name, number)?
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

fn by_number_or_event(store: &dyn Store, name: &str, number: &str) -> Result<Vec<Letter>, Stop> {
    Ok(match (number.parse::<i64>(), uuid::Uuid::parse_str(name)) {
        (Ok(id), _) if !number.starts_with('0') => store
            .letters(LetterFilter {
                ids: vec![LetterId(id)],
                states: LetterState::ALL.to_vec(),
                limit: 1,
                ..LetterFilter::default()
            })
            .wait()?,
        // An edited or a volatile event has letters, and is in no log.
        (_, Ok(id)) => letters_of(store, EventId(id))?,
        (Ok(_) | Err(_), Err(_)) => letters_of(store, resolve::event(store, name)?.event.id)?,
    })
}

/// The letters of one event, in the log or not, whatever their state.
pub(crate) fn letters_of(store: &dyn Store, event: EventId) -> Result<Vec<Letter>, Stop> {
    let filter = LetterFilter {
        event: Some(event),
        states: LetterState::ALL.to_vec(),
        limit: LETTERS_MAX,
        ..LetterFilter::default()
    };
    Ok(store.letters(filter).wait()?)
}

/// The one letter that a name means.
pub(crate) fn single(store: &dyn Store, name: &str) -> Result<Letter, Stop> {
    let letters = one(store, name)?;
    match letters.as_slice() {
        [letter] => Ok(letter.clone()),
        several => Err(Error::Ambiguous {
            value: name.to_owned(),
            candidates: several
                .iter()
                .take(10)
                .map(|letter| format!("{} ({})", letter.id.0, letter.handler))
                .collect(),
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_range_and_the_others_stand_alone() {
        assert_eq!(ranges(vec![9, 3, 1, 2, 7, 10]), ["1..3", "7", "9..10"]);
        assert_eq!(ranges(Vec::new()), [""; 0]);
        assert_eq!(range("7..10"), Some((7, 10)));
        assert_eq!(range("0198-7a"), None);
    }
}
