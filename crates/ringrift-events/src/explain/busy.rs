//! What keeps a process that hosts the handler from taking one more event: its page says.

use super::judge::Case;
use super::known::utc;
use super::standing::Verdict;
use crate::clock::Time;
use crate::store::records::{HostState, Stall};
use crate::store::registry::{ProcessState, RECENT_MAX, Running};
use crate::verdict::Code;

/// What keeps all of these hosts from beginning with the event; `None` if one of them could, or
/// does not say.
pub(super) fn of(case: &Case<'_>, hosts: &[&ProcessState], place: &str) -> Option<Verdict> {
    let each: Option<Vec<Verdict>> = hosts
        .iter()
        .map(|host| of_host(case, host, place))
        .collect();
    let mut each = each?;
    (!each.is_empty()).then(|| each.remove(0))
}

fn of_host(case: &Case<'_>, process: &ProcessState, place: &str) -> Option<Verdict> {
    blocked(case, process, place).or_else(|| at_its_limit(case, process, place))
}

/// How the subscription stands in a process, as its page says.
pub(super) fn seen<'a>(case: &Case<'_>, process: &'a ProcessState) -> Option<&'a HostState> {
    let mut hosts = process.hosts.iter();
    hosts.find(|host| host.subscription == case.state.id)
}

/// The handler itself holds a thread with another event and does not yield.
fn blocked(case: &Case<'_>, process: &ProcessState, place: &str) -> Option<Verdict> {
    let name = &case.state.current().name;
    let mut stalls = process.stalls.iter();
    let own = |stall: &&Stall| match stall.subscription {
        Some(id) => id == case.state.id,
        None => stall.handler == *name,
    };
    let stall = stalls.find(|stall| own(stall) && stall.event != case.event.id)?;
    let sentence = if stall.handler == *name {
        "The handler holds a runtime thread with an earlier event and does not yield."
    } else {
        "The handler's loop is held, while an earlier event waits there."
    };
    Some(
        Verdict::new(Code::WtLoopBlocked, case, sentence)
            .actual(format!("{}; {place}", held(process, stall)))
            .expected("a handler that yields: blocking work belongs in a blocking function")
            .next(format!("ringrift processes show {}", process.process.pid)),
    )
}

/// Who holds which thread, since when, and in what.
pub(super) fn held(process: &ProcessState, stall: &Stall) -> String {
    let at = stall
        .seq
        .map_or_else(|| stall.event.to_string(), |seq| seq.to_string());
    let cpu = stall
        .cpu_ms
        .map(|ms| format!(", {ms} ms of them computing"));
    let call = stall.syscall.as_ref().map(|call| format!(", in {call}"));
    let object = stall.object.as_ref().map(|object| format!(" of {object}"));
    let place = stall.place.as_ref().map(|place| format!(", at {place}"));
    format!(
        "pid {}: {} holds thread {} with event {at} since {} ({} ms{}{}{}{}; class {})",
        process.process.pid,
        stall.handler,
        stall.thread,
        utc(stall.since),
        stall.held_ms,
        cpu.unwrap_or_default(),
        call.unwrap_or_default(),
        object.unwrap_or_default(),
        place.unwrap_or_default(),
        stall.class.as_str()
    )
}

/// A limit of the handler or of the process is reached.
fn at_its_limit(case: &Case<'_>, process: &ProcessState, place: &str) -> Option<Verdict> {
    let host = seen(case, process)?;
    let (code, since) = host.waits_for.or_else(|| full(case, process, host))?;
    let pid = process.process.pid;
    let policy = &host.policy;
    let (sentence, limit, expected) = if code == Code::WtRate {
        let (events, ms) = policy.rate.unwrap_or_default();
        (
            "The handler's rate limit is reached.",
            format!("{events} events in {ms} ms"),
            "a higher rate, or fewer events",
        )
    } else if code == Code::WtProcessLimit {
        let load = &process.load;
        (
            "The process runs as many handlers at once as it may.",
            format!("{} of {} run", load.in_flight, load.in_flight_max),
            "handlers that end sooner, or a higher handler.in_flight_max",
        )
    } else if host.abandoned > 0 && host.abandoned >= policy.concurrency {
        (
            "Runs that were given up hold all of the handler's slots.",
            format!("{} of {} slots", host.abandoned, policy.concurrency),
            "runs that end within the time limit",
        )
    } else {
        (
            "The handler runs as many events at once as it may.",
            format!("{} of {} run", host.in_flight, policy.concurrency),
            "runs that end sooner, or a higher concurrency",
        )
    };
    let verdict = Verdict::new(code, case, sentence)
        .actual(format!(
            "pid {pid}: {limit}, {} wait, since {}; {place}",
            host.waiting,
            utc(since)
        ))
        .expected(expected);
    Some(if code == Code::WtProcessLimit {
        verdict.next(format!("ringrift processes show {pid}"))
    } else {
        verdict
    })
}

/// The limit that one more event would meet, where none waits for it in the process: a durable
/// subscription claims nothing that it cannot begin with. Since its longest run.
fn full(case: &Case<'_>, process: &ProcessState, host: &HostState) -> Option<(Code, Time)> {
    let load = &process.load;
    let code = if host.policy.concurrency > 0 && host.in_flight >= host.policy.concurrency {
        Code::WtConcurrency
    } else if load.in_flight_max > 0 && load.in_flight >= load.in_flight_max {
        Code::WtProcessLimit
    } else {
        return None;
    };
    let mine = |run: &&Running| code == Code::WtProcessLimit || run.subscription == case.state.id;
    let since = process.running.iter().filter(mine).map(|run| run.since);
    Some((code, since.min().unwrap_or(process.beat_at)))
}

/// A live subscription whose mailbox was full reads on from the log, and has not come so far.
pub(super) fn lagging(case: &Case<'_>, process: &ProcessState, place: &str) -> Option<Verdict> {
    let host = seen(case, process)?;
    let after = host.lagging_after.filter(|after| *after < case.seq)?;
    let since = host.lagging_since.map(|at| format!(" since {}", utc(at)));
    Some(
        Verdict::new(
            Code::WtLagging,
            case,
            "Its mailbox was full: it reads on from the log and has not come so far.",
        )
        .actual(format!(
            "pid {}: has come to {after}{}, {} wait; {place}",
            process.process.pid,
            since.unwrap_or_default(),
            host.waiting
        ))
        .expected("a handler that keeps up"),
    )
}

/// A live subscription's event that waits in its mailbox: something there waits, and of this one
/// the page would still have its end. Which it would, as long as the oldest end that it has came
/// before the event.
pub(super) fn in_mailbox(case: &Case<'_>, process: &ProcessState, place: &str) -> Option<Verdict> {
    let host = seen(case, process)?;
    let kept_since = process.recent.iter().map(|recent| recent.at).min();
    let kept = process.recent.len() < RECENT_MAX
        || kept_since.is_some_and(|at| at < case.event.published_at);
    if host.waiting == 0 || !kept {
        return None;
    }
    of_host(case, process, place)
}
