//! What is looked at of events, facts and dead letters: the newest, as many as one look may hold,
//! so that nothing frequent hides what is rare; and what was left out, so that it can be said.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::chart::{Ask, utc};
use crate::clock::Time;
use crate::event::EventType;
use crate::store::counting::Window;
use crate::store::letters::{Letter, LetterFilter, LetterState};
use crate::store::log::{Logged, Page};
use crate::store::registry::{Fact, FactFilter};
use crate::store::subscriptions::SubscriptionState;
use crate::store::{Error, Store};
use crate::verdict::{Code, FailureKind};

/// Most events looked at, newest first, and how many are read at once.
const EVENTS_MAX: usize = 10_000;
const EVENTS_PAGE: usize = 1_000;

/// Most events that are counted by type, when there are more than are looked at: as many as lint
/// counts.
const COUNTED_MAX: u64 = crate::lint::EVENTS_MAX;

/// Most facts looked at; where there are more, of each code.
const FACTS_MAX: usize = 10_000;

/// Most dead letters looked at, newest first; where there are more, this many of each handler too.
const LETTERS_MAX: usize = 10_000;
const LETTERS_OF_HANDLER_MAX: usize = 1_000;

/// The codes that some look asks for. Others may be as many as they like.
const CODES: &[Code] = &[
    Code::PubDuplicateOf,
    Code::WtStoreBusy,
    Code::WtLoopBlocked,
    Code::HnDuplicate,
    Code::HnDedupExpired,
    Code::HnTimeout,
    Code::HnPanic,
    Code::HnError,
    Code::HnLeaseLost,
    Code::StDead,
    Code::StSkippedBySeek,
    Code::StReplayedAs,
    Code::StRecovered,
];

/// Something of which only the newest part was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// Of what.
    pub what: String,
    /// How many were looked at.
    pub looked_at: u64,
    /// Back to when, where that is one time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_to: Option<Time>,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cut {
            what, looked_at, ..
        } = self;
        write!(
            f,
            "there are more {what} than were looked at: the newest {looked_at}"
        )?;
        match self.back_to {
            Some(at) => write!(f, ", back to {}", utc(at)),
            None => Ok(()),
        }
    }
}

/// The events that are looked at.
#[derive(Default)]
pub(super) struct Events {
    /// The newest since then, newest first.
    pub(super) newest: Vec<Logged>,
    /// Of types that are rare among them, the newest before those.
    pub(super) older: Vec<Logged>,
    /// How many there are of each type, where more were counted than were looked at.
    pub(super) counted: BTreeMap<EventType, u64>,
    /// There are more since then than `newest` holds.
    pub(super) is_cut: bool,
    /// There are more since then than were counted.
    pub(super) is_count_cut: bool,
}

impl Events {
    pub(super) fn read(store: &dyn Store, ask: &Ask, cut: &mut Vec<Cut>) -> Result<Events, Error> {
        let mut events = Events::default();
        while events.newest.len() < EVENTS_MAX {
            let more = page(store, ask.since, &events.newest, Vec::new())?;
            let whole = more.len() == EVENTS_PAGE;
            events.newest.extend(more);
            if !whole {
                return Ok(events);
            }
        }
        events.is_cut = true;
        cut.push(Cut {
            what: "events".to_owned(),
            looked_at: EVENTS_MAX as u64,
            back_to: events.newest.last().map(|logged| logged.committed_at),
        });
        events.count(store, (ask.since, ask.now), cut)?;
        let wanted = ask.rules.filtered_events.clamp(1, EVENTS_PAGE as u64);
        events.look_back(store, ask.since, wanted)?;
        Ok(events)
    }

    fn count(
        &mut self,
        store: &dyn Store,
        (since, until): (Time, Time),
        cut: &mut Vec<Cut>,
    ) -> Result<(), Error> {
        let window = Window {
            since,
            until,
            slots: 1,
        };
        let (mut rest, mut looked_at) = (None, 0);
        loop {
            let arrived = store.count_arrivals(window, false, rest).wait()?;
            for arrivals in arrived.counts {
                looked_at += arrivals.events;
                *self.counted.entry(arrivals.event_type).or_default() += arrivals.events;
            }
            rest = arrived.rest;
            if rest.is_none() || looked_at >= COUNTED_MAX {
                break;
            }
        }
        self.is_count_cut = rest.is_some();
        if let Some((at, _)) = rest {
            cut.push(Cut {
                what: "events to be counted by type".to_owned(),
                looked_at,
                back_to: Some(at),
            });
        }
        Ok(())
    }

    /// Reads on before the newest, once through the log, for the types of which fewer than `wanted`
    /// are among them.
    fn look_back(&mut self, store: &dyn Store, since: Time, wanted: u64) -> Result<(), Error> {
        let mut seen: BTreeMap<EventType, u64> = BTreeMap::new();
        for logged in &self.newest {
            *seen.entry(logged.event.event_type.clone()).or_default() += 1;
        }
        let mut last = self.newest.last().cloned();
        loop {
            let of = |event_type: &EventType| seen.get(event_type).copied().unwrap_or(0);
            let rare = self.counted.iter();
            let rare = rare.filter(|(of_type, events)| of(of_type) < wanted.min(**events));
            let rare: Vec<EventType> = rare.map(|(of_type, _)| of_type.clone()).collect();
            if rare.is_empty() {
                return Ok(());
            }
            let more = page(store, since, last.as_slice(), rare)?;
            let whole = more.len() == EVENTS_PAGE;
            last = more.last().cloned();
            for logged in more {
                let events = seen.entry(logged.event.event_type.clone()).or_default();
                *events += 1;
                if *events <= wanted {
                    self.older.push(logged);
                }
            }
            if !whole {
                return Ok(());
            }
        }
    }
}

/// The events before the last of these, newest first.
fn page(
    store: &dyn Store,
    since: Time,
    read: &[Logged],
    types: Vec<EventType>,
) -> Result<Vec<Logged>, Error> {
    let page = Page {
        types,
        since: Some(since),
        from: read.last().and_then(|logged| logged.event.seq),
        newest_first: true,
        limit: EVENTS_PAGE,
        ..Page::default()
    };
    store.list(page).wait()
}

/// The facts that some look asks for, newest first, and the codes of which there are more.
pub(super) fn facts(
    store: &dyn Store,
    since: Time,
    cut: &mut Vec<Cut>,
) -> Result<(Vec<Fact>, BTreeSet<Code>), Error> {
    let of = |codes: &[Code]| {
        store.facts(FactFilter {
            codes: codes.to_vec(),
            since: Some(since),
            limit: FACTS_MAX,
            ..FactFilter::default()
        })
    };
    let all = of(CODES).wait()?;
    if all.len() < FACTS_MAX {
        return Ok((all, BTreeSet::new()));
    }
    let (mut facts, mut left_out) = (Vec::new(), BTreeSet::new());
    // Each by itself: one that is frequent hides no other.
    for code in CODES {
        let these = of(&[*code]).wait()?;
        if these.len() >= FACTS_MAX {
            left_out.insert(*code);
            cut.push(Cut {
                what: format!("{code} facts"),
                looked_at: these.len() as u64,
                back_to: these.last().map(|fact| fact.at),
            });
        }
        facts.extend(these);
    }
    facts.sort_by_key(|fact| std::cmp::Reverse(fact.at));
    Ok((facts, left_out))
}

/// Dead letters that wait, newest first; then those that exceeded their limit and recovered.
pub(super) fn letters(
    store: &dyn Store,
    since: Time,
    subscriptions: &[SubscriptionState],
    cut: &mut Vec<Cut>,
) -> Result<Vec<Letter>, Error> {
    let of = |states: &[LetterState], handler: Option<&str>, limit: usize| {
        store.letters(LetterFilter {
            states: states.to_vec(),
            handler: handler.map(str::to_owned),
            limit,
            ..LetterFilter::default()
        })
    };
    let waiting = of(&[], None, LETTERS_MAX);
    let late = of(&[LetterState::Recovered], None, LETTERS_MAX).wait()?;
    let mut letters = waiting.wait()?;
    let mut note = |what: &str, letters: &[Letter]| {
        let more = letters.len() >= LETTERS_MAX;
        let last = letters.last().filter(|_| more);
        cut.extend(last.map(|last| Cut {
            what: what.to_owned(),
            looked_at: letters.len() as u64,
            back_to: Some(last.created_at),
        }));
        more
    };
    note("recovered letters", &late);
    if note("dead letters", &letters) {
        let known: BTreeSet<i64> = letters.iter().map(|letter| letter.id.0).collect();
        let names = subscriptions.iter();
        let names: BTreeSet<&str> = names.map(|state| state.current().name.as_str()).collect();
        for name in names {
            let more = of(&[], Some(name), LETTERS_OF_HANDLER_MAX).wait()?;
            letters.extend(more.into_iter().filter(|one| !known.contains(&one.id.0)));
        }
        letters.sort_by_key(|letter| std::cmp::Reverse(letter.id.0));
    }
    // Who exceeded the limit was too slow, also where the answer came late and was good.
    let late = late.into_iter();
    letters.extend(late.filter(|letter| letter.error_kind == FailureKind::Timeout));
    letters.retain(|letter| letter.last_attempt_at >= since);
    Ok(letters)
}
