//! Events that do not reach a handler: no process, paused, deduplicated, skipped, filtered, kept
//! in their process, not read.

use std::collections::BTreeMap;

use serde_json::json;

use super::Fix;
use super::chart::{Chart, Owed, evidence, lives, utc};
use super::code::FindingCode;
use super::finding::{Finding, Subject};
use super::rules::Rules;
use crate::clock::Time;
use crate::coded::quoted;
use crate::daemons::CROSS_PROCESS_POLLER;
use crate::store::records::DeclaredHandler;
use crate::store::registry::{DaemonState, Fact, Liveness, ProcessState};
use crate::store::subscriptions::SubscriptionState;
use crate::verdict::Code;

/// Durable subscriptions that owe events and that no process hosts.
pub(super) fn without_process(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let idle = chart.durable().filter(|state| state.paused.is_none());
    idle.filter_map(|state| unhosted(chart, state, rules))
        .collect()
}

fn unhosted(chart: &Chart, state: &SubscriptionState, rules: &Rules) -> Option<Finding> {
    let name = &state.current().name;
    let mut hosts = state.hosts.keys().filter_map(|id| chart.process(*id));
    if hosts.any(lives) {
        return outdated(chart, state, rules);
    }
    let owed = chart.owed.get(&state.id)?;
    let since = unhosted_since(chart, state)?;
    if chart.waits_until(rules.unhosted_after).since(since) < rules.unhosted_after {
        return None;
    }
    let recorded = chart.recorded.last_host(state.id).map(|host| host.process);
    let owner = chart.recorded.last_owner.get(&state.id).copied();
    let last = owner.or(recorded).and_then(|id| chart.process(id));
    let died = last.filter(|host| host.liveness == Liveness::Dead);
    let program =
        |host: &ProcessState| format!("pid {} ({})", host.process.pid, host.process.command);
    let (code, why) = match (died, last) {
        (Some(host), _) => (
            FindingCode::HandlerLost,
            format!("its last process, {}, died", program(host)),
        ),
        (None, Some(host)) => (
            FindingCode::HandlerNotStarted,
            format!("{} ran it last and ended", program(host)),
        ),
        (None, None) => (
            FindingCode::HandlerNotStarted,
            "no process has ever taken an event of it".to_owned(),
        ),
    };
    let seen = json!({
        "verdict": Code::WtNoProcess,
        "events_waiting": owed.events,
        "oldest_event": owed.oldest.as_ref().map(|event| event.id),
        "without_process_since": utc(since),
        "last_process": last.map(|host| host.process.pid),
        "start_again": last.map(|host| &host.process.command),
        "expected": "a live process that subscribes under this name",
    });
    let says = format!(
        "{name}: {} and no live process runs it since {}; {why}",
        wait(owed.events, "event"),
        utc(since)
    );
    let command = format!("ringrift subs show {}", quoted(name));
    Some(Finding::new(code, waiting(name, owed), says, seen, command))
}

fn waiting(name: &str, owed: &Owed) -> Subject {
    Subject {
        event: owed.oldest.as_ref().map(|event| event.id),
        ..Subject::handler(name)
    }
}

/// Since when no process hosts a subscription: when its last one ended, was swept or beat last.
fn unhosted_since(chart: &Chart, state: &SubscriptionState) -> Option<Time> {
    let created = state.versions.first().map(|version| version.created_at);
    let swept = chart.recorded.unhosted.get(&state.id).copied();
    swept.or_else(|| last_end(chart, state)).or(created)
}

/// When the last of the processes that hosted it and are gone ended.
fn last_end(chart: &Chart, state: &SubscriptionState) -> Option<Time> {
    let records = chart.recorded.hosts.iter();
    let records = records.filter(|host| host.subscription == state.id);
    let ends = records.filter_map(|host| match chart.process(host.process) {
        Some(process) if lives(process) => host.until,
        Some(process) => Some(host.until.unwrap_or(process.beat_at)),
        None => host.until,
    });
    ends.max()
}

/// A subscription whose every process subscribes by an older definition, while events that came
/// since it was replaced wait.
fn outdated(chart: &Chart, state: &SubscriptionState, rules: &Rules) -> Option<Finding> {
    let owed = chart.outdated.get(&state.id)?;
    let (name, wanted) = (&state.current().name, state.versions.last()?);
    let since = last_end(chart, state).max(Some(wanted.created_at))?;
    if chart.now.since(since) < rules.unhosted_after {
        return None;
    }
    let hosts = state.hosts.iter().filter_map(|(id, version)| {
        let process = &chart.process(*id)?.process;
        Some(format!(
            "pid {} ({}) by version {version}",
            process.pid, process.command
        ))
    });
    let hosts: Vec<String> = hosts.collect();
    let number = wanted.number;
    let says = format!(
        "{name}: {} for version {number} of its definition, and every process that hosts it \
         subscribes by an older one: {}",
        wait(owed.events, "event"),
        hosts.join(", ")
    );
    let seen = json!({
        "verdict": Code::WtNoProcess,
        "events_waiting": owed.events,
        "oldest_event": owed.oldest.as_ref().map(|event| event.id),
        "without_process_since": utc(since),
        "hosts": hosts,
        "expected": format!("a live process that subscribes as {name} by version {number} or later"),
    });
    let code = FindingCode::HandlerNotStarted;
    let command = format!("ringrift subs show {}", quoted(name));
    Some(Finding::new(code, waiting(name, owed), says, seen, command))
}

/// Handlers that the home says must exist, and that no process runs.
pub(super) fn expected(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let oldest = chart.present().map(|host| host.process.started_at).min();
    // Nobody is here, or they have only begun to start.
    let begun = oldest.is_some_and(|at| chart.as_of.since(at) >= rules.unhosted_after);
    let one = |(name, place): &(String, String)| {
        let named = |state: &&SubscriptionState| &state.current().name == name;
        let mut states = chart.subscriptions.iter().filter(named);
        if !begun || states.any(|state| was_hosted(chart, state)) {
            return None;
        }
        let says = format!("{name} must exist ({place}), and no live process runs it");
        let seen = json!({
            "verdict": Code::WtNoProcess, "expected_by": place, "expected": name,
            "processes": chart.present().map(|host| host.process.pid).collect::<Vec<_>>(),
        });
        let code = FindingCode::HandlerNotStarted;
        let command = "ringrift processes ls";
        Some(Finding::new(
            code,
            Subject::handler(name),
            says,
            seen,
            command,
        ))
    };
    chart.expected.iter().filter_map(one).collect()
}

/// Handlers that a program says it has and has not started.
pub(super) fn declared(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let one = |declared: &DeclaredHandler| {
        let host = chart.process(declared.process)?;
        let waits = chart.as_of.since(declared.declared_at);
        let started = declared.started_at.is_some() || waits < rules.unhosted_after;
        if started || !chart.is_present(host) {
            return None;
        }
        let (name, pid) = (&declared.name, host.process.pid);
        let at = utc(declared.declared_at);
        let says = format!("pid {pid} declared {name} at {at} and has not started it");
        let seen = json!({
            "verdict": Code::WtNoProcess, "declared_at": at, "started_at": null,
            "types": declared.types, "process": pid, "command": host.process.command,
        });
        let subject = Subject::handler(name).in_process(host);
        let command = format!("ringrift processes show {pid}");
        Some(Finding::new(
            FindingCode::HandlerNotStarted,
            subject,
            says,
            seen,
            command,
        ))
    };
    chart.recorded.declared.iter().filter_map(one).collect()
}

/// Whether a present process hosts it; in a stopped system, whether one did at its end.
pub(super) fn was_hosted(chart: &Chart, state: &SubscriptionState) -> bool {
    let together = |at: Time| chart.is_stopped && chart.is_at_end(at);
    let unhosted = chart.recorded.unhosted.get(&state.id);
    chart.hosts(state).next().is_some()
        || unhosted.is_some_and(|at| together(*at))
        || state.ended_at.is_some_and(together)
}

/// Subscriptions that owe events and are paused.
pub(super) fn paused(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let one = |state: &SubscriptionState| {
        let (at, by) = state.paused.as_ref()?;
        let owed = chart.owed.get(&state.id)?;
        let name = &state.current().name;
        let says = format!(
            "{name} is paused by {by} since {}; {}",
            utc(*at),
            wait(owed.events, "event")
        );
        let seen = json!({
            "paused_by": by, "paused_at": utc(*at), "events_waiting": owed.events,
            "oldest_event": owed.oldest.as_ref().map(|event| event.id),
        });
        let command = format!("ringrift subs resume {}", quoted(name));
        let subject = Subject::handler(name);
        let code = FindingCode::Paused;
        Some(Finding::new(code, subject, says, seen, command))
    };
    chart.durable().filter_map(one).collect()
}

/// Deliveries that the dedup step turned away, by handler; and publishes that were duplicates.
pub(super) fn deduplicated(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let mut groups: BTreeMap<Option<String>, Vec<&Fact>> = BTreeMap::new();
    const DUPLICATES: &[Code] = &[Code::HnDuplicate, Code::PubDuplicateOf];
    let at_least = chart.at_least(DUPLICATES);
    for fact in chart.facts_of(DUPLICATES) {
        groups.entry(chart.handler_of(fact)).or_default().push(fact);
    }
    let one = |(handler, facts): (Option<String>, Vec<&Fact>)| {
        let newest = *facts.first()?;
        let known = evidence(newest);
        let window = known["window_ends_at"].as_str().unwrap_or("its end");
        let (subject, says) = match &handler {
            Some(name) => (
                Subject::handler(name),
                format!(
                    "{name} passed {at_least}{} over: the key had been seen; the newest until {window}",
                    count(facts.len(), "event")
                ),
            ),
            None => (
                Subject::default(),
                format!(
                    "{at_least}{} answered as duplicates: their id or idempotency key had been used",
                    count(facts.len(), "publish")
                ),
            ),
        };
        let seen = json!({
            "verdict": newest.code, "duplicates": facts.len(), "event": newest.event,
            "original": known["original"], "key": known["key"],
            "window_ends_at": known["window_ends_at"], "process": chart.named(newest.process),
        });
        let subject = Subject {
            event: newest.event,
            event_type: newest.event_type.clone(),
            ..subject
        };
        let command = match newest.event {
            Some(event) => format!("ringrift events show {event}"),
            None => "ringrift subs ls".to_owned(),
        };
        let code = FindingCode::Deduplicated;
        Some(Finding::new(code, subject, says, seen, command))
    };
    groups.into_iter().filter_map(one).collect()
}

/// Processes with subscriptions whose poller does not run.
pub(super) fn poller_stopped(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let subscribed = |process: &&ProcessState| {
        let id = process.process.id;
        let mut states = chart.subscriptions.iter();
        states.any(|state| state.process == Some(id) || state.hosts.contains_key(&id))
            || chart
                .daemon(id, CROSS_PROCESS_POLLER)
                .is_some_and(|daemon| by_person(daemon).is_some())
    };
    // A hung process runs nothing at all: that is said of the process.
    let hosts = chart
        .present()
        .filter(|host| host.liveness != Liveness::Hung);
    hosts
        .filter(subscribed)
        .filter_map(|host| poller_of(chart, host, rules))
        .collect()
}

fn poller_of(chart: &Chart, host: &ProcessState, rules: &Rules) -> Option<Finding> {
    let daemon = chart.daemon(host.process.id, CROSS_PROCESS_POLLER);
    let how = down(chart, host, daemon, rules)?;
    let pid = host.process.pid;
    let waiting = u64::try_from(chart.figures.head.0 - host.polled_to.0).unwrap_or(0);
    let says = format!("{CROSS_PROCESS_POLLER} of pid {pid} does not run: {how}");
    let seen = json!({
        "verdict": Code::WtPollerStopped, "state": daemon.map(|daemon| &daemon.state),
        "stopped_by": daemon.and_then(|daemon| daemon.stopped_by.as_ref()),
        "since": daemon.map(|daemon| utc(daemon.since)),
        "error": daemon.and_then(|daemon| daemon.error.as_ref()),
        "read_to": host.polled_to, "log_end": chart.figures.head, "not_read": waiting,
    });
    let subject = Subject {
        thing: Some(CROSS_PROCESS_POLLER.to_owned()),
        ..Subject::process(host)
    };
    let command = start(host, CROSS_PROCESS_POLLER);
    let finding = Finding::new(FindingCode::PollerStopped, subject, says, seen, command);
    Some(restart(finding, chart, host, daemon, CROSS_PROCESS_POLLER))
}

/// Why a daemon does not run; `None` while it does, or while that cannot be told yet.
pub(super) fn down(
    chart: &Chart,
    host: &ProcessState,
    daemon: Option<&DaemonState>,
    rules: &Rules,
) -> Option<String> {
    let Some(daemon) = daemon else {
        let young = chart.as_of.since(host.process.started_at) < rules.unhosted_after;
        return (!young && lives(host)).then(|| "it was never started".to_owned());
    };
    let since = utc(daemon.since);
    // Its process has only begun to start them.
    let young = chart.as_of.since(daemon.since) < rules.unhosted_after;
    match (daemon.state.as_str(), &daemon.stopped_by, &daemon.error) {
        ("running" | "standby", _, _) => None,
        ("backoff", ..) => None,
        (_, Some(_), _) => by_person(daemon).map(|by| format!("{by} stopped it at {since}")),
        (state, None, Some(error)) => Some(format!("{state} since {since}: {error}")),
        (state, None, None) if lives(host) && !young => Some(format!("{state} since {since}")),
        (_, None, None) => None,
    }
}

/// Who stopped a daemon, if that was no process that ended and stopped its own.
fn by_person(daemon: &DaemonState) -> Option<&str> {
    daemon.stopped_by.as_deref().filter(|by| *by != "shutdown")
}

/// The command that starts a daemon of a process. Of one that has ended nothing can be started: it
/// only shows what that was.
pub(super) fn start(host: &ProcessState, daemon: &str) -> String {
    let id = host.process.id;
    match lives(host) {
        true => format!("ringrift daemons start {} --process {id}", quoted(daemon)),
        false => format!("ringrift processes show {id}"),
    }
}

/// A daemon that failed may be started again by itself; one that a person stopped may not: only
/// that person knows why.
pub(super) fn restart(
    finding: Finding,
    chart: &Chart,
    host: &ProcessState,
    daemon: Option<&DaemonState>,
    name: &str,
) -> Finding {
    if daemon.and_then(by_person).is_some() || chart.is_stopped || !lives(host) {
        return finding;
    }
    finding.fixed_by(Fix::StartDaemon {
        process: host.process.id,
        daemon: name.to_owned(),
    })
}

/// `1 event waits`, `3 events wait`.
pub(super) fn wait(n: usize, what: &str) -> String {
    let verb = if n == 1 { "waits" } else { "wait" };
    format!("{} {verb}", count(n, what))
}

/// The same of a number that may be larger than any list.
pub(super) fn count_of(n: u64, what: &str) -> String {
    count(usize::try_from(n).unwrap_or(usize::MAX), what)
}

/// `1 event`, `3 events`.
pub(super) fn count(n: usize, what: &str) -> String {
    match (n, what.ends_with("sh") || what.ends_with("ss")) {
        (1, _) => format!("1 {what}"),
        (_, true) => format!("{n} {what}es"),
        (_, false) if what.chars().all(|c| !c.is_lowercase()) => format!("{n} {what}"),
        (_, false) => format!("{n} {what}s"),
    }
}
