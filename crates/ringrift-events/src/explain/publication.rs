//! How an event came into the log: who, where, when, and what caused it.

use super::explanation::{Author, Cause};
use super::known::{Known, utc};
use super::settle;
use super::standing::Verdict;
use crate::coded::quoted;
use crate::verdict::Code;

/// The line of the publication.
pub(super) fn of(known: &Known, cause: Option<&Cause>) -> Verdict {
    let event = &known.logged.event;
    let author = Author::of(event.origin, &known.scenery);
    let caused = match cause {
        Some(cause) => format!(" in a handler of {cause}"),
        None => String::new(),
    };
    let site = known.logged.call_site.as_ref();
    let site = site.map(|site| format!(" from {site}"));
    let sentence = format!(
        "{author} published it at {}{}{caused}.",
        utc(event.published_at),
        site.unwrap_or_default()
    );
    let source = match event.source.as_str() {
        "" => String::new(),
        source => format!("; source {source:?}"),
    };
    let deleted = known
        .logged
        .deleted_at
        .map(|at| format!("; deleted from the queue at {}", utc(at)));
    Verdict::about(Code::PubAccepted, event.id, sentence)
        .actual(format!(
            "committed as {} at {}{source}{}",
            event.seq.unwrap_or_default(),
            utc(known.logged.committed_at),
            deleted.unwrap_or_default()
        ))
        .next(match cause {
            Some(_) => format!("ringrift tree {}", event.id),
            None => format!("ringrift events show {}", event.id),
        })
}

/// The publishes that were answered with this event instead of another one of their own.
pub(super) fn duplicates(known: &Known) -> Vec<Verdict> {
    let facts = known.facts.iter();
    facts
        .filter(|fact| fact.code == Some(Code::PubDuplicateOf))
        .filter(|fact| fact.event == Some(known.logged.event.id))
        .map(|fact| settle::told(known, Code::PubDuplicateOf, fact))
        .collect()
}

/// No subscription named the event's type when it was published.
pub(super) fn nobody(known: &Known) -> Verdict {
    let event = &known.logged.event;
    Verdict::about(
        Code::RtNoSubscribers,
        event.id,
        Code::RtNoSubscribers.meaning(),
    )
    .actual(format!("none names {}", event.event_type))
    .expected("a subscription that names it")
    .next(format!(
        "ringrift route {}",
        quoted(event.event_type.as_str())
    ))
}
