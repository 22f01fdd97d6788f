//! Where one event stands with one subscription: from what the store and the processes' pages
//! hold, never from a guess.

use ringrift_events::catalog::filter::Filter;
use ringrift_events::clock::Time;
use ringrift_events::event::{Event, Seq};
use ringrift_events::store::letters::{Letter, LetterState};
use ringrift_events::store::registry::{Fact, ProcessState};
use ringrift_events::store::subscriptions::{Kind, SubscriptionState, Version};
use ringrift_events::verdict::Code;

use crate::resolve;

/// What is known about the event besides the subscriptions themselves.
pub(crate) struct Known<'a> {
    /// Dead letters of the event.
    pub(crate) letters: &'a [Letter],
    /// Recorded facts about the event.
    pub(crate) facts: &'a [Fact],
    /// Facts about ranges of each subscription: seeks, purges, removals.
    pub(crate) ranges: &'a [Fact],
    /// Every process known.
    pub(crate) processes: &'a [ProcessState],
    /// Since when the event is deleted from the queue.
    pub(crate) deleted_at: Option<Time>,
}

/// One subscription's verdict on one event, with its evidence in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The verdict.
    pub(crate) code: Code,
    /// Its evidence.
    pub(crate) evidence: String,
}

fn standing(code: Code, evidence: impl Into<String>) -> Option<Standing> {
    Some(Standing {
        code,
        evidence: evidence.into(),
    })
}

/// Where the event stands with the subscription; `None` if it never named the type.
pub(crate) fn of(event: &Event, state: &SubscriptionState, known: &Known<'_>) -> Option<Standing> {
    if !state
        .versions
        .iter()
        .any(|version| version.definition.types.takes(&event.event_type))
    {
        return None;
    }
    if let Some(found) = recorded(event, state, known) {
        return Some(found);
    }
    let Some(seq) = event.seq else {
        return standing(Code::HnNoRecord, "the event is in no log");
    };
    match routed(event, seq, state) {
        Some(verdict) => Some(verdict),
        None => waited(seq, state, known),
    }
}

/// What was written down about this event and this subscription: the last word goes first.
fn recorded(event: &Event, state: &SubscriptionState, known: &Known<'_>) -> Option<Standing> {
    if let Some(found) = running(event, state, known) {
        return Some(found);
    }
    if let Some(letter) = known
        .letters
        .iter()
        .find(|letter| letter.subscription == state.id)
    {
        return letter_standing(letter);
    }
    if let Some(fact) = known
        .facts
        .iter()
        .find(|fact| fact.subscription == Some(state.id) && fact.code.is_some())
    {
        return standing(fact.code?, fact.evidence.clone());
    }
    let recent = known.processes.iter().find_map(|process| {
        let recent = process
            .recent
            .iter()
            .find(|recent| recent.event == event.id && recent.subscription == state.id)?;
        Some((process, recent))
    });
    let (process, recent) = recent?;
    standing(
        recent.code,
        format!(
            "by pid {}, took {}",
            process.process.pid,
            crate::output::duration_text(std::time::Duration::from_micros(recent.took_us))
        ),
    )
}

fn running(event: &Event, state: &SubscriptionState, known: &Known<'_>) -> Option<Standing> {
    known.processes.iter().find_map(|process| {
        let running = process
            .running
            .iter()
            .find(|running| running.event == event.id && running.subscription == state.id)?;
        let step = running.step.as_deref().map(|step| format!(", in {step}"));
        let step = step.unwrap_or_default();
        if resolve::lives(process) {
            standing(
                Code::HnRunning,
                format!("by pid {}{step}", process.process.pid),
            )
        } else {
            standing(
                Code::HnLeaseLost,
                format!("pid {} died with it{step}", process.process.pid),
            )
        }
    })
}

fn letter_standing(letter: &Letter) -> Option<Standing> {
    let code = match letter.state {
        LetterState::Retrying => Code::HnRetrying,
        LetterState::Running => Code::HnRunning,
        LetterState::Dead => Code::StDead,
        LetterState::Recovered => Code::StRecovered,
        LetterState::Discarded => Code::StDiscarded,
        LetterState::Expired => Code::StExpired,
        LetterState::Purged => Code::StPurged,
    };
    standing(
        code,
        format!(
            "letter {}, attempt {}: {}",
            letter.id.0,
            letter.attempts,
            crate::output::one_line(&letter.error, 120)
        ),
    )
}

/// What the versions of the subscription say: outside its time, or turned away by its filter.
fn routed(event: &Event, seq: Seq, state: &SubscriptionState) -> Option<Standing> {
    let covers = |version: &&Version| {
        version.valid_from <= seq && version.valid_to.is_none_or(|to| seq < to)
    };
    let Some(version) = state.versions.iter().find(covers) else {
        let first = state.versions.first().map(|version| version.valid_from);
        return match first {
            Some(first) if seq < first => {
                standing(Code::RtSubscribedLater, format!("it begins at {first}"))
            }
            Some(_) | None => standing(Code::RtUnsubscribed, "it had ended"),
        };
    };
    if !version.definition.types.takes(&event.event_type) {
        return standing(
            Code::RtTypeMismatch,
            format!("version {} named other types", version.number),
        );
    }
    let filter = version.definition.filter.as_deref()?;
    match Filter::parse(filter) {
        Ok(parsed) if parsed.evaluate(&event.payload) => None,
        Ok(_) => standing(Code::RtFilterFalse, filter),
        Err(error) => standing(
            Code::HnNoRecord,
            format!("its filter is unreadable: {error}"),
        ),
    }
}

/// What positions say of an event that matches.
fn waited(seq: Seq, state: &SubscriptionState, known: &Known<'_>) -> Option<Standing> {
    let range = known.ranges.iter().find(|fact| {
        fact.subscription == Some(state.id)
            && fact.seq.is_some_and(|from| from <= seq)
            && fact.seq_to.is_some_and(|to| seq <= to)
    });
    if let Some(fact) = range
        && let Some(code) = fact.code
    {
        return standing(code, fact.evidence.clone());
    }
    if let (Some(at), Kind::Durable) = (known.deleted_at, state.current().kind) {
        return match seq > state.cursor {
            true => standing(Code::StPurged, format!("deleted at {}", at.to_sql())),
            // Positions pass what is deleted: they say nothing of this event any more.
            false => standing(
                Code::HnNoRecord,
                format!(
                    "deleted at {}, and no record says whether it was handled before",
                    at.to_sql()
                ),
            ),
        };
    }
    match state.current().kind {
        Kind::Live if seq <= state.settled => {
            standing(Code::HnNoRecord, "passed; its process kept no record of it")
        }
        Kind::Live => standing(Code::WtPending, format!("read up to {}", state.cursor)),
        Kind::Durable if seq <= state.settled => standing(
            Code::HnOk,
            format!(
                "settled up to {}, and no failure is recorded",
                state.settled
            ),
        ),
        Kind::Durable if seq <= state.cursor => {
            standing(Code::WtPending, "claimed, not settled yet")
        }
        Kind::Durable => Some(unclaimed(seq, state)),
    }
}

fn unclaimed(seq: Seq, state: &SubscriptionState) -> Standing {
    let ahead = seq.0 - state.cursor.0 - 1;
    let place = format!("at {}, at most {ahead} events ahead", state.cursor);
    let (code, evidence) = if let Some((_, by)) = &state.paused {
        (Code::RtPaused, format!("by {by}; {place}"))
    } else if state.hosts.is_empty() {
        (Code::WtNoProcess, place)
    } else {
        (Code::WtPending, place)
    };
    Standing { code, evidence }
}
