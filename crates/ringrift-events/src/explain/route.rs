//! Whether the subscription takes the event at all: from the version that was for its place.

use std::time::Duration;

use super::judge::Case;
use super::known::{Known, lives, utc};
use super::standing::Verdict;
use crate::catalog::filter::{Compared, Filter, Found};
use crate::coded::quoted;
use crate::store::log::TypeSet;
use crate::store::registry::{Liveness, ProcessState};
use crate::store::subscriptions::{Kind, SubscriptionState};
use crate::verdict::Code;

/// Why the event is no delivery of the subscription; `None` when it is one.
pub(super) fn of(case: &Case<'_>) -> Option<Verdict> {
    let Some(version) = case.version() else {
        let first = case.state.versions.first()?;
        return Some(match case.seq < first.valid_from {
            true => subscribed_later(case),
            false => unsubscribed(case),
        });
    };
    if !version.definition.types.takes(&case.event.event_type) {
        return Some(type_mismatch(case));
    }
    let text = version.definition.filter.as_deref()?;
    match Filter::parse(text) {
        Ok(filter) if filter.evaluate(&case.event.payload) => None,
        Ok(filter) => Some(filter_false(case, &filter)),
        Err(error) => Some(
            Verdict::new(
                Code::HnNoRecord,
                case,
                "The filter that it was judged by cannot be read.",
            )
            .actual(error.to_string()),
        ),
    }
}

fn subscribed_later(case: &Case<'_>) -> Verdict {
    let first = case.state.versions.first().map(|one| one.valid_from);
    let verdict = Verdict::new(
        Code::RtSubscribedLater,
        case,
        "The subscription began after the event.",
    )
    .actual(format!(
        "it begins with event {}",
        first.unwrap_or_default()
    ))
    .expected(format!("event {} or an earlier one", case.seq));
    match case.state.current().kind {
        Kind::Durable => verdict,
        // It has no position that could be moved back: past events are read by people.
        Kind::Live => verdict.next(format!("ringrift events show {}", case.event.id)),
    }
}

/// How long after its last heartbeat a process may have died: twice the time between two.
const LAST_BEATS: Duration = Duration::from_secs(2);

/// The process of a live subscription, if it died.
fn died<'a>(case: &Case<'a>) -> Option<&'a ProcessState> {
    let live = case.state.current().kind == Kind::Live;
    let owner = case.state.process.filter(|_| live)?;
    let process = case.known.process(owner)?;
    (process.liveness == Liveness::Dead).then_some(process)
}

/// Whether the event came while a process that died may have lived: up to where it had read is only
/// known of its last heartbeat.
pub(super) fn came_at_its_death(case: &Case<'_>) -> bool {
    let committed = case.known.logged.committed_at;
    died(case).is_some_and(|process| committed < process.beat_at.after(LAST_BEATS))
}

/// The event came after the process of a live subscription had died.
pub(super) fn outlived(case: &Case<'_>) -> Option<Verdict> {
    let process = died(case).filter(|_| !came_at_its_death(case))?;
    Some(
        Verdict::new(
            Code::RtUnsubscribed,
            case,
            "Its process gave no sign of life any more when the event came, and died; a live \
             subscription ends with it.",
        )
        .actual(last_sign(process))
        .expected("a process that lives")
        .next("ringrift processes ls --all"),
    )
}

/// The process of a live subscription is gone, and nobody has noted yet that it ended with it.
pub(super) fn ended_with_its_process(case: &Case<'_>) -> Option<Verdict> {
    let live = case.state.current().kind == Kind::Live;
    let owner = case.state.process.filter(|_| live)?;
    let process = case.known.process(owner);
    if process.is_some_and(lives) {
        return None;
    }
    Some(
        Verdict::new(
            Code::RtUnsubscribed,
            case,
            "Its process has ended, and a live subscription ends with it.",
        )
        .actual(process.map_or_else(|| "its process is forgotten".to_owned(), last_sign))
        .expected("a process that subscribes again")
        .next("ringrift processes ls --all"),
    )
}

/// `pid 4711 beat last at …, and had read up to 17 then`.
fn last_sign(process: &ProcessState) -> String {
    format!(
        "pid {} beat last at {}, and had read up to {} then",
        process.process.pid,
        utc(process.beat_at),
        process.polled_to
    )
}

fn unsubscribed(case: &Case<'_>) -> Verdict {
    if let Some(process) = died(case).filter(|_| came_at_its_death(case)) {
        return Verdict::new(
            Code::HnNoRecord,
            case,
            "Its process died about when the event came, and a live subscription ends with it: no \
             record says whether its handler ran.",
        )
        .actual(last_sign(process))
        .next("ringrift processes ls --all");
    }
    if let Some(verdict) = outlived(case) {
        return verdict;
    }
    let last = case
        .state
        .versions
        .iter()
        .filter_map(|one| one.valid_to)
        .max();
    let stood = case
        .state
        .ended_at
        .map(|end| case.known.logged.committed_at < end);
    // Where it ended is a place of the log: as far as its process had read.
    let sentence = match stood {
        Some(true) => "The subscription ended before its process had read the event.",
        Some(false) | None => "The subscription had ended before the event.",
    };
    Verdict::new(Code::RtUnsubscribed, case, sentence)
        .actual(format!(
            "it ended before event {}",
            last.unwrap_or_default()
        ))
        .expected(format!("a subscription that stands at event {}", case.seq))
}

fn type_mismatch(case: &Case<'_>) -> Verdict {
    let version = case.version();
    let actual =
        version.map(|one| format!("version {} names {}", one.number, one.definition.types));
    Verdict::new(
        Code::RtTypeMismatch,
        case,
        "What the subscription was defined as when the event came names other types.",
    )
    .actual(actual.unwrap_or_default())
    .expected(case.event.event_type.as_str())
}

/// The verdict of a subscription that never named the event's type, and whether one of its types
/// is similar to it.
pub(super) fn other_types(case: &Case<'_>) -> Option<(bool, Verdict)> {
    let version = case.version()?;
    let asked = case.event.event_type.as_str();
    let TypeSet::Only(types) = &version.definition.types else {
        return None;
    };
    let near = case.known.scenery.near_names.nearest(asked, types.iter());
    let sentence = match near {
        Some(near) => format!(
            "The subscription names {near}, not {asked}. Did it mean {asked}, or its publisher {near}?"
        ),
        None => "The subscription names other types.".to_owned(),
    };
    let verdict = Verdict::new(Code::RtTypeMismatch, case, sentence)
        .actual(format!("names {}", version.definition.types))
        .expected(asked)
        .next(format!(
            "ringrift subs show {}",
            quoted(&version.definition.name)
        ));
    Some((near.is_some(), verdict))
}

fn filter_false(case: &Case<'_>, filter: &Filter) -> Verdict {
    let explained = filter.explain(&case.event.payload);
    let met: Vec<String> = explained.comparisons.iter().map(met).collect();
    Verdict::new(
        Code::RtFilterFalse,
        case,
        "The subscription's filter is false for this payload.",
    )
    .actual(met.join("; "))
    .expected(explained.filter)
}

/// The subscription has ended: no event reaches it any more.
pub(super) fn ended(known: &Known, state: &SubscriptionState) -> Verdict {
    let name = &state.current().name;
    let ended = state.ended_at.map(utc);
    Verdict::about(
        Code::RtUnsubscribed,
        known.logged.event.id,
        "The subscription has ended.",
    )
    .actual(match ended {
        Some(at) => format!("{name} ended at {at}"),
        None => format!("no version of {name} is for the next event"),
    })
    .expected("a subscription that stands")
}

/// Why a volatile event is nothing to subscriptions elsewhere.
pub(super) const NOT_BRIDGED: &str =
    "The type does not leave the publishing process, and the subscription is not there.";

/// The type does not leave the publishing process, and the subscription is elsewhere.
pub(super) fn not_bridged(case: &Case<'_>) -> Verdict {
    let event_type = &case.event.event_type;
    Verdict::new(Code::RtNotBridged, case, NOT_BRIDGED)
        .actual(format!("{event_type} is volatile"))
        .expected(format!(
            "{event_type} bridged, or the subscription in the publishing process"
        ))
}

/// One field as the payload has it.
fn met(compared: &Compared) -> String {
    let path = &compared.path;
    match &compared.found {
        Found::Value(value) => format!("{path} is {value}"),
        Found::Missing(part) => format!("{path} is not there ({part} is missing)"),
        Found::Mistyped { is, value } => format!("{path} is the {is} {value}"),
    }
}
