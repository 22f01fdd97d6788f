//! Types and subscriptions that do not meet.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::chart::{Chart, utc};
use super::code::FindingCode;
use super::finding::{Finding, Subject};
use super::rules::Rules;
use crate::coded::quoted;
use crate::event::EventType;
use crate::store::log::{Logged, TypeSet};
use crate::store::subscriptions::SubscriptionState;
use crate::verdict::Code;

/// What is published and what is taken.
struct Wiring<'a> {
    /// Types that are published and that nobody takes, with their newest event and their number.
    orphans: BTreeMap<&'a EventType, (&'a Logged, u64)>,
    /// Types that are taken and that nobody published, by who takes them.
    silent: BTreeMap<&'a EventType, &'a SubscriptionState>,
}

/// Subscriptions that stand; in a stopped system those that ended with it too.
fn standing(chart: &Chart) -> impl Iterator<Item = &SubscriptionState> {
    chart
        .subscriptions
        .iter()
        .filter(|state| match state.ended_at {
            None => true,
            Some(at) => chart.is_stopped && chart.is_at_end(at),
        })
}

fn wiring(chart: &Chart) -> Wiring<'_> {
    let published = chart.by_type();
    let stayed = chart
        .recorded
        .unbridged
        .iter()
        .map(|stayed| &stayed.event_type);
    let ever: BTreeSet<&EventType> = published
        .keys()
        .copied()
        .chain(chart.counted.keys())
        .chain(stayed)
        .collect();
    let mut silent = BTreeMap::new();
    for state in standing(chart) {
        if let TypeSet::Only(types) = &state.current().types {
            let unheard = types.iter().filter(|of| !ever.contains(of));
            silent.extend(unheard.map(|of| (of, state)));
        }
    }
    let is_taken = |of: &EventType| standing(chart).any(|state| state.current().types.takes(of));
    let orphans = published.into_iter().filter(|(of, _)| !is_taken(of));
    let orphans = orphans.filter_map(|(of, events)| {
        let newest = *events.first()?;
        let number = chart.number_of(of, events.len());
        // Who took it then may have gone, or wait for something else by now.
        (!chart.was_taken(newest)).then_some((of, (newest, number)))
    });
    Wiring {
        orphans: orphans.collect(),
        silent,
    }
}

/// Whether an alert tells somebody of such an event: who is told of it takes it.
fn is_told(chart: &Chart, of: &EventType) -> bool {
    chart.alerted.as_ref().is_some_and(|types| types.takes(of))
}

/// Events are published, and nobody has ever subscribed to anything.
pub(super) fn no_subscriptions(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    if standing(chart).next().is_some() {
        return Vec::new();
    }
    let mut orphans = wiring(chart).orphans;
    orphans.retain(|of, _| !is_told(chart, of));
    let newest = orphans.values().map(|(newest, _)| *newest);
    let Some(newest) = newest.max_by_key(|newest| newest.event.seq) else {
        return Vec::new();
    };
    let events: u64 = orphans.values().map(|(_, events)| events).sum();
    let says = format!(
        "{} published since {} and there is no subscription",
        match events {
            1 => "1 event was".to_owned(),
            _ => format!("{events} events were"),
        },
        utc(chart.since)
    );
    let seen = json!({
        "verdict": Code::RtNoSubscribers, "events": events, "newest_event": newest.event.id,
    });
    let subject = Subject::of_type(newest.event.event_type.clone()).at_event(newest.event.id);
    let command = "ringrift subs ls";
    vec![Finding::new(
        FindingCode::NoSubscriptions,
        subject,
        says,
        seen,
        command,
    )]
}

/// A published and a taken name that are nearly the same.
pub(super) fn near_miss(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let wiring = wiring(chart);
    pairs(chart, &wiring)
        .into_iter()
        .map(|(of, meant)| {
            let (newest, events) = wiring.orphans[of];
            let taker = &wiring.silent[meant].current().name;
            let says = format!(
                "{} is published and nobody takes it; {taker} waits for {}",
                of.constant(),
                meant.constant()
            );
            let seen = json!({
                "verdict": Code::RtTypeMismatch, "published": of, "events": events,
                "waited_for": meant, "by": taker, "newest_event": newest.event.id,
            });
            let subject = Subject {
                event_type: Some(of.clone()),
                ..Subject::handler(taker).at_event(newest.event.id)
            };
            let command = format!("ringrift types show {}", quoted(of.as_str()));
            Finding::new(FindingCode::NearMiss, subject, says, seen, command)
        })
        .collect()
}

fn pairs<'a>(chart: &Chart, wiring: &Wiring<'a>) -> Vec<(&'a EventType, &'a EventType)> {
    let of_orphan = |of: &&'a EventType| {
        let silent = wiring.silent.keys().copied();
        Some((*of, chart.near_names.nearest(of.as_str(), silent)?))
    };
    wiring.orphans.keys().filter_map(of_orphan).collect()
}

/// Types that are published and that nobody takes.
pub(super) fn nobody_subscribes(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let wiring = wiring(chart);
    if standing(chart).next().is_none() {
        return Vec::new();
    }
    let near: BTreeSet<&EventType> = pairs(chart, &wiring)
        .into_iter()
        .map(|(of, _)| of)
        .collect();
    let left = wiring.orphans.iter();
    let left = left.filter(|(of, _)| !near.contains(*of) && !is_told(chart, of));
    left.map(|(of, (newest, events))| {
        let says = format!(
            "{events} {} published, and no subscription takes the type",
            of.constant()
        );
        let seen = json!({
            "verdict": Code::RtNoSubscribers, "events": events, "newest_event": newest.event.id,
            "publisher": chart.named(Some(newest.event.origin)),
        });
        let subject = Subject::of_type((*of).clone()).at_event(newest.event.id);
        let command = format!("ringrift events show {}", newest.event.id);
        Finding::new(FindingCode::NobodySubscribes, subject, says, seen, command)
    })
    .collect()
}

/// Types that are taken for as long as was looked at, and that nobody publishes.
pub(super) fn never_published(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let wiring = wiring(chart);
    let near: BTreeSet<&EventType> = pairs(chart, &wiring)
        .into_iter()
        .map(|(_, meant)| meant)
        .collect();
    // Without any event there is nothing to compare with: the system is idle.
    let left = wiring.silent.iter().filter(|(of, state)| {
        // As long as it has waited for this type, whatever it waited for before.
        let newest = state.versions.iter().rev();
        let waits = newest.take_while(|version| version.definition.types.takes(of));
        let stood = waits.map(|version| version.created_at).min();
        !chart.events.is_empty()
            && !chart.is_count_cut
            && !near.contains(*of)
            && stood.is_some_and(|at| at < chart.since)
    });
    left.map(|(of, state)| {
        let name = &state.current().name;
        let says = format!(
            "{name} waits for {}, which nobody published since {}",
            of.constant(),
            utc(chart.since)
        );
        let seen = json!({ "type": of, "published": 0, "since": utc(chart.since) });
        let subject = Subject {
            event_type: Some((*of).clone()),
            ..Subject::handler(name)
        };
        let command = format!("ringrift types show {}", quoted(of.as_str()));
        Finding::new(FindingCode::NeverPublished, subject, says, seen, command)
    })
    .collect()
}

/// Types that raise alerts and do not leave their process.
pub(super) fn critical_not_bridged(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let critical = chart.types.iter().filter(|entry| entry.alert.is_some());
    critical
        .filter_map(|entry| {
            let mut all = chart.recorded.unbridged.iter();
            let stayed = all.find(|stayed| stayed.event_type == entry.event_type);
            if entry.bridged && stayed.is_none() {
                return None;
            }
            let of = &entry.event_type;
            let says = format!("{} raises an alert and is not bridged", of.constant());
            let seen = json!({
                "type": of, "bridged": entry.bridged, "declared_in": entry.declared_in,
                "stayed_in_their_process": stayed.map_or(0, |stayed| stayed.count),
            });
            let subject = Subject::of_type(of.clone());
            let subject = match stayed.and_then(|stayed| chart.process(stayed.process)) {
                Some(state) => subject.in_process(state),
                None => subject,
            };
            let command = format!("ringrift types show {}", quoted(of.as_str()));
            Some(Finding::new(
                FindingCode::CriticalNotBridged,
                subject,
                says,
                seen,
                command,
            ))
        })
        .collect()
}
