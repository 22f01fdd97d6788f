//! Types whose events every filter turned away, judged by the filters of the time at which each came.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::chart::{Chart, definition_at, passes, utc};
use super::code::FindingCode;
use super::finding::{Finding, Subject};
use super::reach::count;
use super::rules::Rules;
use crate::event::EventType;
use crate::store::log::Logged;
use crate::store::subscriptions::{Definition, SubscriptionState};
use crate::verdict::Code;

/// Types whose every event every filter turns away.
pub(super) fn filtered_out(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let types = chart.by_type().into_iter();
    let enough = types.filter(|(_, events)| events.len() as u64 >= rules.filtered_events);
    enough
        .filter_map(|(of, events)| one(chart, rules, of, &events))
        .collect()
}

fn one(chart: &Chart, rules: &Rules, of: &EventType, events: &[&Logged]) -> Option<Finding> {
    let newest = *events.first()?;
    let ever = |state: &&SubscriptionState| {
        let mut versions = state.versions.iter();
        versions.any(|version| version.definition.types.takes(of))
    };
    let candidates: Vec<&SubscriptionState> = chart.subscriptions.iter().filter(ever).collect();
    let last = takers(&candidates, newest);
    let (turned_away, since) = turned_away(&candidates, &last, events)?;
    if last.is_empty() || turned_away < rules.filtered_events {
        return None;
    }
    let filters: BTreeMap<&str, &str> = last.iter().copied().collect();
    let now: BTreeSet<Taker<'_>> = candidates
        .iter()
        .map(|state| taker(state.current()))
        .collect();
    let number = chart.number_of(of, events.len());
    let seen = json!({
        "verdict": Code::RtFilterFalse, "events": turned_away, "of": number,
        "looked_at": events.len(), "newest_event": newest.event.id, "filters": filters,
        "oldest_at": utc(since.committed_at), "replaced_since": !last.is_subset(&now),
    });
    // Of what was not looked at, and of what another definition took, nothing is claimed.
    let which = match (turned_away == number, turned_away == events.len() as u64) {
        (true, _) => "all ",
        (false, true) => "the newest ",
        (false, false) => "",
    };
    let says = format!(
        "every filter turned away {which}{} since {}",
        count(
            usize::try_from(turned_away).unwrap_or(usize::MAX),
            &of.constant()
        ),
        utc(since.committed_at.max(chart.since))
    );
    let subject = Subject {
        event_type: Some(of.clone()),
        event: Some(newest.event.id),
        ..Subject::handler(*filters.keys().next()?)
    };
    let command = format!("ringrift events show {}", newest.event.id);
    let code = FindingCode::FilteredOut;
    Some(Finding::new(code, subject, says, seen, command))
}

/// Who takes a type and by which filter. A program that starts again subscribes anew: it is the same
/// one all the same.
type Taker<'a> = (&'a str, &'a str);

fn taker(definition: &Definition) -> Taker<'_> {
    let filter = definition.filter.as_deref().unwrap_or("");
    (&definition.name, filter)
}

/// Who there was to take an event where it came, whatever the filters said.
fn takers<'a>(candidates: &[&'a SubscriptionState], logged: &Logged) -> BTreeSet<Taker<'a>> {
    let seq = logged.event.seq.unwrap_or_default();
    let then = candidates.iter();
    let then = then.filter_map(|state| definition_at(state, seq));
    let takes = then.filter(|then| then.types.takes(&logged.event.event_type));
    takes.map(taker).collect()
}

/// How many events everybody turned away who was there, the takers of the newest among them, and the
/// oldest of those; none if one of these takers has taken any.
fn turned_away<'a>(
    candidates: &[&SubscriptionState],
    last: &BTreeSet<Taker<'_>>,
    events: &[&'a Logged],
) -> Option<(u64, &'a Logged)> {
    let (mut number, mut oldest) = (0, *events.first()?);
    for logged in events {
        let there = takers(candidates, logged);
        let takes = |(_, filter): &&Taker<'_>| {
            passes(Some(*filter).filter(|text| !text.is_empty()), &logged.event)
        };
        let took: Vec<&Taker<'_>> = there.iter().filter(takes).collect();
        if took.iter().any(|one| last.contains(*one)) {
            return None;
        }
        if took.is_empty() && !there.is_disjoint(last) {
            number += 1;
            oldest = logged;
        }
    }
    Some((number, oldest))
}
