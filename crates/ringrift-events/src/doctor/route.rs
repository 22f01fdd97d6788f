//! Events that no handler was to get: names that nobody knows, seeks, types that stay in their
//! process.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::chart::{Chart, definition_at, definition_on, evidence, lives, passes, utc};
use super::code::FindingCode;
use super::finding::{Finding, Subject};
use super::reach::count;
use super::rules::Rules;
use crate::coded::quoted;
use crate::store::log::TypeSet;
use crate::store::records::Refusal;
use crate::store::registry::{Fact, ProcessState};
use crate::store::subscriptions::{Definition, Kind, SubscriptionState};
use crate::verdict::Code;

/// Names that nobody knows, published or subscribed to.
pub(super) fn misspelt(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let unknown = |refusal: &&Refusal| refusal.code == UNKNOWN && !refusal.name.is_empty();
    let mut names: BTreeMap<&str, Vec<&Refusal>> = BTreeMap::new();
    for refusal in chart.recorded.refusals.iter().filter(unknown) {
        names.entry(&refusal.name).or_default().push(refusal);
    }
    names
        .into_iter()
        .filter_map(|(name, refusals)| unknown_name(chart, name, &refusals))
        .collect()
}

/// The refusal of a name that is no type.
const UNKNOWN: &str = "TYPE_UNKNOWN";

fn unknown_name(chart: &Chart, name: &str, refusals: &[&Refusal]) -> Option<Finding> {
    let last = *refusals.iter().max_by_key(|refusal| refusal.last_at)?;
    let times: u64 = refusals.iter().map(|refusal| refusal.count).sum();
    let meant = last.nearest.as_deref().map(str::to_ascii_uppercase);
    let verbs: BTreeSet<&str> = refusals
        .iter()
        .map(|refusal| refusal.verb.as_str())
        .collect();
    let verbs = verbs.into_iter().collect::<Vec<_>>().join(" and ");
    let hint = meant
        .as_deref()
        .map(|meant| format!("; did somebody mean {meant}?"));
    let says = format!(
        "{name} is no type and was refused {} ({verbs}){}",
        count(usize::try_from(times).unwrap_or(usize::MAX), "time"),
        hint.unwrap_or_default()
    );
    let seen = json!({
        "verdict": Code::RtTypeMismatch, "name": name, "refusal": last.code, "verb": verbs,
        "times": times, "nearest": meant, "call_site": last.call_site,
        "first_at": utc(last.first_at), "last_at": utc(last.last_at),
        "process": chart.named(Some(last.process)),
    });
    let subject = Subject {
        handler: Some(last.subscription.clone()).filter(|name| !name.is_empty()),
        ..Subject::thing(name)
    };
    let subject = match chart.process(last.process) {
        Some(state) => subject.in_process(state),
        None => subject,
    };
    let command = match &last.nearest {
        Some(nearest) => format!("ringrift types show {}", quoted(nearest)),
        None => "ringrift types ls".to_owned(),
    };
    Some(Finding::new(
        FindingCode::TypeMisspelt,
        subject,
        says,
        seen,
        command,
    ))
}

/// Events that an operator's seek left out.
pub(super) fn skipped_by_seek(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let ranges = chart
        .facts_of(&[Code::StSkippedBySeek])
        .filter(|fact| fact.seq_to.is_some());
    ranges.filter_map(|fact| skipped(chart, fact)).collect()
}

fn skipped(chart: &Chart, fact: &Fact) -> Option<Finding> {
    let known = evidence(fact);
    let name = chart.handler_of(fact)?;
    let (by, _) = fact.act.clone().unwrap_or_default();
    let (from, to) = (fact.seq?, fact.seq_to?);
    let events = known["skipped"].as_u64().unwrap_or(0);
    let says = format!(
        "{by} moved {name} past {} that it had not handled, {}",
        count(usize::try_from(events).unwrap_or(usize::MAX), "event"),
        utc(fact.at)
    );
    let state = chart.subscription(fact.subscription?)?;
    // The first is known only where what is looked at goes back that far.
    let oldest = chart.events.last().and_then(|logged| logged.event.seq);
    let mut known = match chart.is_log_cut && oldest > Some(from) {
        true => [].iter(),
        false => chart.events.iter(),
    };
    let first = known.rfind(|logged| {
        let seq = logged.event.seq.unwrap_or_default();
        // It was owed by what the name stood for then.
        from <= seq
            && seq <= to
            && definition_at(state, seq).is_some_and(|then| {
                then.types.takes(&logged.event.event_type)
                    && passes(then.filter.as_deref(), &logged.event)
            })
    });
    let seen = json!({
        "verdict": fact.code, "by": by, "at": utc(fact.at), "from": from, "to": to,
        "events_skipped": events,
    });
    let subject = Subject {
        event: first.map(|logged| logged.event.id),
        ..Subject::handler(&name)
    };
    let command = format!(
        "ringrift subs seek {} --after {} --dry-run",
        quoted(&name),
        from.0 - 1
    );
    Some(Finding::new(
        FindingCode::SkippedBySeek,
        subject,
        says,
        seen,
        command,
    ))
}

/// Types that stay in their process while a handler elsewhere waits for them.
pub(super) fn not_bridged(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let mut findings = Vec::new();
    for stayed in &chart.recorded.unbridged {
        let Some(publisher) = chart.process(stayed.process) else {
            continue;
        };
        if publisher.beat_at < chart.since {
            continue;
        }
        let last = stayed.last.map(|(_, at)| at);
        // Who has begun to wait for it since, waits for none of these.
        let then = |state| match last {
            Some(at) => definition_on(state, at),
            None => Some(state.current()),
        };
        let names = |definition: &Definition| match &definition.types {
            // Whoever asks for all types takes what comes.
            TypeSet::All => false,
            only @ TypeSet::Only(_) => only.takes(&stayed.event_type),
        };
        // A program that handles its own events needs no bridge, run as often as one likes.
        let own = |state: &SubscriptionState| {
            state.process == Some(stayed.process) && names(state.current())
        };
        if chart.subscriptions.iter().any(own) {
            continue;
        }
        let takers = chart.subscriptions.iter();
        let takers =
            takers.filter_map(|state| Some((state, then(state).filter(|one| names(one))?)));
        let takers: Vec<(&SubscriptionState, &Definition)> = takers.collect();
        let Some((taker, host)) = takers.iter().find_map(|(state, then)| {
            let hosts = state.hosts.keys().chain(state.process.as_ref());
            let mut hosts = hosts.filter_map(|id| chart.process(*id));
            let host = hosts.find(|host| lived_together(chart, publisher, host, state))?;
            Some((*then, host))
        }) else {
            continue;
        };
        let value = &stayed.event_type;
        let says = format!(
            "{} stayed in pid {}: the type is not bridged, and {} in pid {} waits for it",
            count(
                usize::try_from(stayed.count).unwrap_or(usize::MAX),
                &value.constant()
            ),
            publisher.process.pid,
            taker.name,
            host.process.pid
        );
        let seen = json!({
            "verdict": Code::RtNotBridged, "events": stayed.count, "newest_event": stayed.last.map(|(event, _)| event),
            "publisher": publisher.process.pid, "publisher_command": publisher.process.command,
            "waiting_process": host.process.pid,
            "expected": "a type that is bridged, or the handler in the publishing process",
        });
        let subject = Subject {
            event_type: Some(value.clone()),
            event: stayed.last.map(|(event, _)| event),
            ..Subject::handler(&taker.name).in_process(publisher)
        };
        let command = format!("ringrift types show {}", quoted(value.as_str()));
        let code = FindingCode::NotBridged;
        findings.push(Finding::new(code, subject, says, seen, command));
    }
    findings
}

/// Whether the publisher and the host of this subscription lived at the same time. A beat is up to a
/// second older than the end of its process; the end of a live subscription is exact.
fn lived_together(
    chart: &Chart,
    publisher: &ProcessState,
    host: &ProcessState,
    state: &SubscriptionState,
) -> bool {
    let end = |process: &ProcessState| match lives(process) {
        true => chart.now,
        false => process.beat_at,
    };
    let ended = state
        .ended_at
        .filter(|_| state.current().kind == Kind::Live);
    publisher.process.started_at <= ended.max(Some(end(host))).unwrap_or(chart.now)
        && host.process.started_at <= end(publisher)
}
