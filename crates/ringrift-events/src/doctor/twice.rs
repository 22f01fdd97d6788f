//! Events that were handled twice, or published twice.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;

use super::chart::{Chart, evidence, utc};
use super::code::FindingCode;
use super::finding::{Finding, Subject};
use super::reach::{count, was_hosted};
use super::rules::Rules;
use crate::coded::quoted;
use crate::event::{Event, EventType, ProcessId};
use crate::store::letters::LetterState;
use crate::store::log::{Logged, TypeSet};
use crate::store::records::MissingField;
use crate::store::registry::Fact;
use crate::store::subscriptions::SubscriptionState;
use crate::verdict::Code;

/// Handlers without dedup that ran again after their process had died with the event.
pub(super) fn ran_twice(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let mut groups: BTreeMap<String, Vec<&Fact>> = BTreeMap::new();
    for fact in chart.facts_of(&[Code::HnLeaseLost]) {
        if let Some(state) = fact.subscription.and_then(|id| chart.subscription(id))
            && is_without_dedup(chart, state)
            && ran_well_afterwards(chart, fact)
        {
            let name = state.current().name.clone();
            groups.entry(name).or_default().push(fact);
        }
    }
    let at_least = chart.at_least(&[Code::HnLeaseLost]);
    let one = |(handler, facts): (String, Vec<&Fact>)| {
        let newest = *facts.first()?;
        let known = evidence(newest);
        let process = newest.process;
        let died: Option<ProcessId> = serde_json::from_value(known["process"].clone()).ok();
        let is_hung = |fact: &&&Fact| evidence(fact)["reason"] == "hung";
        let how = match facts.iter().filter(is_hung).count() {
            0 => "had died",
            some if some == facts.len() => "had stopped answering",
            _ => "had died or stopped answering",
        };
        let says = format!(
            "{handler} ran again for {at_least}{} whose process {how} in the middle of the run; it has \
             no dedup fields",
            count(facts.len(), "event")
        );
        let seen = json!({
            "verdict": Code::HnLeaseLost, "then": Code::HnOk, "event": newest.event,
            "reason": known["reason"], "lost": chart.named(died), "step": known["step"],
            "began_at": known["since"], "dedup": "none",
            "seen_by": chart.named(process), "events": facts.len(),
        });
        let subject = Subject {
            event: newest.event,
            event_type: newest.event_type.clone(),
            ..Subject::handler(&handler)
        };
        let subject = match died.and_then(|id| chart.process(id)) {
            Some(state) => subject.in_process(state),
            None => subject,
        };
        let command = format!("ringrift subs show {}", quoted(&handler));
        Some(Finding::new(
            FindingCode::RanTwice,
            subject,
            says,
            seen,
            command,
        ))
    };
    groups.into_iter().filter_map(one).collect()
}

fn is_without_dedup(chart: &Chart, state: &SubscriptionState) -> bool {
    match chart.policy(state.id) {
        Some(policy) => policy.dedup_ttl_ms == 0,
        None => state.current().dedup.is_empty(),
    }
}

fn ran_well_afterwards(chart: &Chart, fact: &Fact) -> bool {
    let again = chart.trails.iter().flat_map(|trail| &trail.again);
    let mut of_event = again.filter(|again| {
        Some(again.event) == fact.event && Some(again.subscription) == fact.subscription
    });
    of_event.any(|again| again.state == LetterState::Recovered)
}

/// Keys that ran again soon after their window had ended.
pub(super) fn window_missed(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let mut groups: BTreeMap<String, Vec<&Fact>> = BTreeMap::new();
    for fact in chart.facts_of(&[Code::HnDedupExpired]) {
        if let Some(handler) = chart.handler_of(fact)
            && is_near_miss(chart, fact, rules)
        {
            groups.entry(handler).or_default().push(fact);
        }
    }
    let at_least = chart.at_least(&[Code::HnDedupExpired]);
    let one = |(handler, facts): (String, Vec<&Fact>)| {
        let newest = *facts.first()?;
        let known = evidence(newest);
        let policy = newest.subscription.and_then(|id| chart.policy(id));
        let ttl = known["ttl_ms"]
            .as_u64()
            .or(policy.map(|policy| policy.dedup_ttl_ms));
        let ms = known["window_ended_ms_ago"].as_u64().unwrap_or(0);
        let says = format!(
            "{handler} ran again for {at_least}{}; the newest {ms} ms after its window had ended",
            count(facts.len(), "key")
        );
        let seen = json!({
            "verdict": newest.code, "event": newest.event, "original": known["original"],
            "window_ended_ms_ago": ms, "ttl_ms": ttl, "times": facts.len(),
            "process": chart.named(newest.process),
        });
        let subject = Subject {
            event: newest.event,
            event_type: newest.event_type.clone(),
            ..Subject::handler(&handler)
        };
        let command = format!("ringrift subs show {}", quoted(&handler));
        Some(Finding::new(
            FindingCode::DedupWindow,
            subject,
            says,
            seen,
            command,
        ))
    };
    groups.into_iter().filter_map(one).collect()
}

/// Long after a window the same key is another matter, not a repetition that was meant to be
/// caught.
fn is_near_miss(chart: &Chart, fact: &Fact, rules: &Rules) -> bool {
    let known = evidence(fact);
    let ms = |name: &str| known[name].as_u64();
    let policy = fact.subscription.and_then(|id| chart.policy(id));
    let ttl = ms("ttl_ms").or(policy.map(|policy| policy.dedup_ttl_ms));
    match (ms("window_ended_ms_ago"), ttl) {
        (Some(late), Some(ttl)) => late * 100 <= ttl * u64::from(rules.window_missed_percent),
        _ => true,
    }
}

/// Handlers of one type whose dedup keys are made of different fields.
pub(super) fn dedup_fields(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let mut by_type: BTreeMap<&EventType, BTreeMap<&str, &Vec<String>>> = BTreeMap::new();
    for state in &chart.subscriptions {
        let definition = state.current();
        let policy = chart.policy(state.id).map(|policy| &policy.dedup_fields);
        let fields = policy.unwrap_or(&definition.dedup);
        if fields.is_empty() || !was_hosted(chart, state) {
            continue;
        }
        if let TypeSet::Only(types) = &definition.types {
            for event_type in types {
                let handlers = by_type.entry(event_type).or_default();
                handlers.insert(&definition.name, fields);
            }
        }
    }
    let types = by_type.into_iter();
    types
        .filter_map(|(event_type, handlers)| differing(event_type, &handlers))
        .collect()
}

fn differing(event_type: &EventType, handlers: &BTreeMap<&str, &Vec<String>>) -> Option<Finding> {
    let (first, fields) = handlers.first_key_value()?;
    let (name, other) = handlers.iter().find(|(_, other)| other != &fields)?;
    let says = format!(
        "handlers of {} make their dedup keys of different fields: {first} of {}, {name} of {}",
        event_type.constant(),
        fields.join(", "),
        other.join(", ")
    );
    let seen = json!({ "type": event_type, "fields": handlers });
    let subject = Subject {
        event_type: Some(event_type.clone()),
        ..Subject::handler(*name)
    };
    let command = format!("ringrift subs show {}", quoted(name));
    let code = FindingCode::DedupFields;
    Some(Finding::new(code, subject, says, seen, command))
}

/// Events that lacked a field of a dedup key: they counted as no duplicates.
pub(super) fn fields_missing(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let one = |missing: &MissingField| {
        let state = chart.subscription(missing.subscription)?;
        let name = &state.current().name;
        let (event, at) = missing.last;
        let says = format!(
            "{} handled by {name} had no field {}, which its dedup key is made of",
            count(
                usize::try_from(missing.count).unwrap_or(usize::MAX),
                "event"
            ),
            missing.field
        );
        let seen = json!({
            "missing_field": missing.field, "events": missing.count, "newest_event": event,
            "at": utc(at), "fields": chart.policy(state.id).map(|policy| &policy.dedup_fields),
            "process": chart.named(Some(missing.process)),
        });
        let subject = Subject::handler(name).at_event(event);
        let command = format!("ringrift events show {event}");
        Some(Finding::new(
            FindingCode::DedupFields,
            subject,
            says,
            seen,
            command,
        ))
    };
    chart.recorded.missing.iter().filter_map(one).collect()
}

/// What makes two events the same to whoever reads them.
#[derive(PartialEq, Eq, Hash)]
struct Content<'a> {
    origin: ProcessId,
    event_type: &'a EventType,
    source: &'a str,
    payload: &'a str,
    parent: Option<crate::event::EventId>,
}

/// Equal content published by one process more than once within a short time.
pub(super) fn emitted_twice(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    if !sees_a_beat(chart, rules) {
        return Vec::new();
    }
    let mut alike: HashMap<Content<'_>, Vec<&Logged>> = HashMap::new();
    for logged in &chart.events {
        let event = &logged.event;
        let content = Content {
            origin: event.origin,
            event_type: &event.event_type,
            source: &event.source,
            payload: event.payload.as_str(),
            parent: event.parent_id,
        };
        alike.entry(content).or_default().push(logged);
    }
    let mut by_type: BTreeMap<(&EventType, ProcessId), Vec<Vec<&Logged>>> = BTreeMap::new();
    for (content, copies) in alike {
        let slip = (2..=rules.twice_copies).contains(&copies.len())
            && has_fields(copies[0])
            && close(&copies, rules)
            && !ran_again(chart, &copies[0].event)
            && !was_caught(chart, &copies);
        if slip {
            let group = by_type.entry((content.event_type, content.origin));
            group.or_default().push(copies);
        }
    }
    let groups = by_type.into_values();
    groups.filter_map(|groups| twice(chart, &groups)).collect()
}

fn twice(chart: &Chart, groups: &[Vec<&Logged>]) -> Option<Finding> {
    // Events are listed newest first.
    let newest = groups.iter().max_by_key(|copies| copies[0].event.seq)?;
    let (second, first) = (&newest.first()?.event, &newest.last()?.event);
    let sites: Vec<&String> = newest
        .iter()
        .filter_map(|copy| copy.call_site.as_ref())
        .collect();
    let apart = second.published_at.since(first.published_at);
    let says = format!(
        "{} published {} with equal content {} ms apart: {} and {}",
        chart.named(Some(first.origin)),
        first.event_type.constant(),
        apart.as_millis(),
        first.id,
        second.id
    );
    let seen = json!({
        "first": first.id, "second": second.id, "apart_ms": apart.as_millis() as u64,
        "source": first.source, "call_sites": sites, "parent": first.parent_id, "pairs": groups.len(),
        "published_at": [utc(first.published_at), utc(second.published_at)],
        "publisher": chart.named(Some(first.origin)),
    });
    let subject = Subject::of_type(first.event_type.clone()).at_event(second.id);
    let subject = match chart.process(first.origin) {
        Some(state) => subject.in_process(state),
        None => subject,
    };
    let command = format!("ringrift events show {}", second.id);
    Some(Finding::new(
        FindingCode::EmittedTwice,
        subject,
        says,
        seen,
        command,
    ))
}

/// A beat without content says the same each time.
fn has_fields(logged: &Logged) -> bool {
    !logged.event.payload.fields().is_empty()
}

/// Whether what is looked at is long enough to tell a beat from a slip: within that time a beat
/// comes more often than a slip may.
fn sees_a_beat(chart: &Chart, rules: &Rules) -> bool {
    let at = |logged: Option<&Logged>| logged.map(|logged| logged.event.published_at);
    let copies = u32::try_from(rules.twice_copies).unwrap_or(u32::MAX);
    match (at(chart.events.first()), at(chart.events.last())) {
        (Some(newest), Some(oldest)) if chart.is_log_cut => {
            newest.since(oldest) > rules.twice_within.saturating_mul(copies)
        }
        _ => true,
    }
}

fn close(copies: &[&Logged], rules: &Rules) -> bool {
    let times = copies.iter().map(|logged| logged.event.published_at);
    match (times.clone().min(), times.max()) {
        (Some(first), Some(last)) => last.since(first) <= rules.twice_within,
        _ => false,
    }
}

/// The handler that published it ran more than once: that is why, and said elsewhere.
fn ran_again(chart: &Chart, event: &Event) -> bool {
    let Some(parent) = event.parent_id else {
        return false;
    };
    const AGAIN: &[Code] = &[
        Code::HnLeaseLost,
        Code::HnError,
        Code::HnPanic,
        Code::HnTimeout,
        Code::HnDedupExpired,
        Code::StReplayedAs,
        Code::StRecovered,
    ];
    chart.facts_of(AGAIN).any(|fact| fact.event == Some(parent))
}

/// Whoever handles the type has noticed: the second one was a duplicate.
fn was_caught(chart: &Chart, copies: &[&Logged]) -> bool {
    let mut duplicates = chart.facts_of(&[Code::HnDuplicate]);
    duplicates.any(|fact| copies.iter().any(|copy| Some(copy.event.id) == fact.event))
}
