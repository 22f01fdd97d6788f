//! Names as people give them: of events, and of subscriptions.

use super::Error;
use super::known::{letters_of, utc};
use crate::clock::Time;
use crate::event::{EventId, Seq, made_at};
use crate::store::log::{EventRef, Logged, Page};
use crate::store::subscriptions::{Kind, SubscriptionState};
use crate::store::{self, Store};

/// Fewest digits of an id that may stand for it.
const PREFIX_DIGITS_MIN: usize = 4;

/// Most candidates an ambiguous name is answered with.
const CANDIDATES_MAX: usize = 10;

/// Least similarity of a subscription's name worth suggesting.
const HINT_MIN: f64 = 0.8;

/// What `text` could name, the likeliest first: a whole id; a number in the log; the first digits
/// of an id; an idempotency key (`key:` says so for sure).
fn meanings(text: &str) -> Vec<EventRef> {
    if let Some(key) = text.strip_prefix("key:") {
        return vec![EventRef::IdempotencyKey(key.to_owned())];
    }
    if let Some(id) = id(text) {
        return vec![EventRef::Id(id)];
    }
    let mut meanings: Vec<EventRef> = number(text).map(EventRef::Seq).into_iter().collect();
    let digits =
        text.len() >= PREFIX_DIGITS_MIN && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if digits {
        meanings.push(EventRef::Prefix(text.to_ascii_lowercase()));
    }
    // Ids begin with their time, so with a zero until the year 4000.
    if digits && text.starts_with('0') {
        meanings.extend(number(text.trim_start_matches('0')).map(EventRef::Seq));
    }
    meanings.push(EventRef::IdempotencyKey(text.to_owned()));
    meanings
}

/// The whole id that `text` is.
pub(super) fn id(text: &str) -> Option<EventId> {
    uuid::Uuid::parse_str(text).ok().map(EventId)
}

/// The number of the log that `text` is: digits alone, the first of them no zero, or behind a `#`.
fn number(text: &str) -> Option<Seq> {
    let (number, sure) = match text.strip_prefix('#') {
        Some(number) => (number, true),
        None => (text, false),
    };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (sure || !number.starts_with('0'));
    let seq = number.parse::<i64>().ok().filter(|seq| *seq > 0)?;
    plain.then_some(Seq(seq))
}

/// The one event of the log that `text` names: its id, the first digits of it (at least four), its
/// number in the log, or its idempotency key, after `key:` or alone. A deleted one too, as long as
/// it can be restored.
///
/// # Errors
/// [`Error::Ambiguous`] with the candidates; [`Error::EventUnknown`], which says since when events
/// are kept; [`Error::EventToCome`] for a number beyond the log's end; the store's.
pub fn event(store: &dyn Store, text: &str) -> Result<Logged, Error> {
    for meaning in meanings(text) {
        let mut found = store.find(meaning).wait()?;
        if found.len() > 1 {
            let candidates = found.iter().map(|logged| logged.event.id.to_string());
            return Err(Error::Ambiguous {
                value: text.to_owned(),
                candidates: candidates.collect(),
            });
        }
        if let Some(logged) = found.pop() {
            return Ok(logged);
        }
    }
    Err(unknown(store, text)?)
}

fn unknown(store: &dyn Store, text: &str) -> Result<Error, Error> {
    let kept = Kept::read(store)?;
    let value = text.to_owned();
    if number(text).is_some_and(|seq| seq > kept.head) {
        let kept = format!("the log ends at {}", kept.head);
        return Ok(Error::EventToCome { value, kept });
    }
    let mut next = "ringrift events ls".to_owned();
    if let Some(id) = id(text) {
        let letter = store.letters(letters_of(id)).wait()?.pop();
        if let Some(letter) = letter {
            next = format!("ringrift dlq show {}", letter.id.0);
        }
    }
    let id = id(text).and_then(|id| made_at(id.0));
    let kept = match (id, kept.since) {
        (Some(made), Some(since)) if made < since => format!(
            "its id was made at {}, and {kept}; what became of it is not known",
            utc(made)
        ),
        (Some(made), _) => format!(
            "its id was made at {}, and {kept}: it was never committed, or its type is volatile \
             (such events stay in their process)",
            utc(made)
        ),
        (None, _) => format!(
            "{kept} (name it by id, by the id's first four or more digits, by number, or key:KEY within its 24 hours)"
        ),
    };
    Ok(Error::EventUnknown { value, kept, next })
}

/// Which events the log keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    /// When the oldest was committed; none if the log is empty.
    pub(super) since: Option<Time>,
    oldest: Seq,
    pub(super) head: Seq,
}

impl Kept {
    pub(super) fn read(store: &dyn Store) -> Result<Kept, store::Error> {
        let first = Page {
            limit: 1,
            ..Page::default()
        };
        let oldest = store.list(first).wait()?.pop();
        Ok(Kept {
            since: oldest.as_ref().map(|logged| logged.committed_at),
            oldest: oldest
                .and_then(|logged| logged.event.seq)
                .unwrap_or_default(),
            head: store.head().wait()?.seq,
        })
    }
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.since {
            Some(since) => write!(
                f,
                "the log keeps numbers {} to {}, since {}",
                self.oldest,
                self.head,
                utc(since)
            ),
            None => f.write_str("the log is empty"),
        }
    }
}

/// The one subscription that `text` names among these: its name, or `#` and its number.
///
/// A durable one goes before live ones of its name, and one that stands before ended ones.
///
/// # Errors
/// [`Error::Ambiguous`] with the candidates; [`Error::SubscriptionUnknown`] with similar names.
pub fn subscription<'a>(
    all: &'a [SubscriptionState],
    text: &str,
) -> Result<&'a SubscriptionState, Error> {
    let named = |state: &&SubscriptionState| state.current().name == text;
    let number = text.strip_prefix('#').unwrap_or(text).parse::<i64>().ok();
    let mut found: Vec<&SubscriptionState> = all.iter().filter(named).collect();
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
        [one] => Ok(one),
        [] => Err(Error::SubscriptionUnknown {
            value: text.to_owned(),
            hint: hint(text, all),
        }),
        many => Err(Error::Ambiguous {
            value: text.to_owned(),
            candidates: many
                .iter()
                .take(CANDIDATES_MAX)
                .map(|state| format!("#{}", state.id.0))
                .collect(),
        }),
    }
}

/// `; did you mean …?` with the nearest names, or nothing.
fn hint(text: &str, all: &[SubscriptionState]) -> String {
    let names = all.iter().map(|state| state.current().name.as_str());
    let mut near: Vec<(f64, &str)> = names
        .map(|name| (strsim::jaro_winkler(text, name), name))
        .filter(|(score, _)| *score > HINT_MIN)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    near.dedup_by_key(|(_, name)| *name);
    let names: Vec<&str> = near.iter().take(3).map(|(_, name)| *name).collect();
    match names.as_slice() {
        [] => String::new(),
        names => format!("; did you mean {}?", names.join(" or ")),
    }
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
                EventRef::IdempotencyKey("42".to_owned())
            ]
        );
        let digits = meanings("019ab3c4");
        assert!(matches!(digits[0], EventRef::Prefix(_)), "{digits:?}");
        // A number in zeros is one, unless an id begins with it.
        let padded = meanings("00042");
        assert!(matches!(padded[0], EventRef::Prefix(_)), "{padded:?}");
        assert_eq!(padded[1], EventRef::Seq(Seq(42)));
        assert_eq!(meanings("#042")[0], EventRef::Seq(Seq(42)));
        for no_number in ["+42", "#+42", "-1", "0", "000"] {
            let all = meanings(no_number);
            let number = |one: &EventRef| matches!(one, EventRef::Seq(_));
            assert!(!all.iter().any(number), "{no_number}: {all:?}");
        }
        assert_eq!(
            meanings("key:42"),
            [EventRef::IdempotencyKey("42".to_owned())]
        );
    }
}
