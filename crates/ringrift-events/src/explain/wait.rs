//! What an event waits for that has not been handed to its handler.

use super::judge::Case;
use super::known::{Idle, lives, utc};
use super::standing::Verdict;
use super::{busy, handle, route, settle};
use crate::daemons::{CROSS_PROCESS_POLLER, DLQ_RETRY};
use crate::event::ProcessId;
use crate::store::deliveries::Why;
use crate::store::registry::{Liveness, ProcessState};
use crate::store::subscriptions::Kind;
use crate::store::trail::Again;
use crate::verdict::Code;

/// Not taken by any process yet.
pub(super) fn unclaimed(case: &Case<'_>) -> Verdict {
    let (hosts, place) = (case.hosts(), ahead_of(case));
    in_the_way(case, &hosts, &place).unwrap_or_else(|| pending(case, &place))
}

/// What an event that nobody has taken would wait for, if anything but its turn.
pub(super) fn obstacle(case: &Case<'_>) -> Option<Verdict> {
    match case.state.current().kind {
        Kind::Durable => in_the_way(case, &case.hosts(), &ahead_of(case)),
        Kind::Live => {
            let process = case.known.process(case.state.process?)?;
            before_reading(case, process, &read_up_to(case, process))
        }
    }
}

fn ahead_of(case: &Case<'_>) -> String {
    let cursor = case.state.cursor;
    let ahead = case.seq.0.saturating_sub(cursor.0 + 1).max(0);
    format!("its position is {cursor}, at most {ahead} events come first")
}

fn in_the_way(case: &Case<'_>, hosts: &[&ProcessState], place: &str) -> Option<Verdict> {
    paused(case, place)
        .or_else(|| no_process(case, hosts, place))
        .or_else(|| poller_stopped(case, hosts, place))
        .or_else(|| store_busy(case, hosts, place))
        .or_else(|| all_hang(case, hosts, place))
        .or_else(|| key_blocked(case, None))
        .or_else(|| busy::of(case, hosts, place))
}

/// In a claim, and not settled.
pub(super) fn claimed(case: &Case<'_>, by: Option<ProcessId>) -> Verdict {
    let Some(process) = by.and_then(|id| case.known.process(id)) else {
        let lost = case.facts().any(|(code, _)| code == Code::HnLeaseLost);
        return match lost && !case.hosts().is_empty() {
            true => handle::lease_lost(case, by, None),
            false => given_back(case),
        };
    };
    if !lives(process) {
        return handle::lease_lost(case, by, None);
    }
    let place = format!("taken by pid {}, not settled", process.process.pid);
    store_busy(case, &[process], &place)
        .or_else(|| busy::of(case, &[process], &place))
        .unwrap_or_else(|| in_claim(case, process, &place))
}

/// A claim that nobody holds: the next one who asks gets it.
fn given_back(case: &Case<'_>) -> Verdict {
    let hosts = case.hosts();
    let place = "its process gave it back, and none has taken it since";
    paused(case, place)
        .or_else(|| no_process(case, &hosts, place))
        .or_else(|| poller_stopped(case, &hosts, place))
        .or_else(|| store_busy(case, &hosts, place))
        .or_else(|| all_hang(case, &hosts, place))
        .or_else(|| busy::of(case, &hosts, place))
        .unwrap_or_else(|| pending(case, place))
}

fn in_claim(case: &Case<'_>, process: &ProcessState, place: &str) -> Verdict {
    let others = process.running.iter();
    let others = others
        .filter(|run| run.subscription == case.state.id)
        .count();
    let beat = match process.liveness {
        Liveness::Hung => format!(", which has not beaten since {}", utc(process.beat_at)),
        Liveness::Alive | Liveness::Left | Liveness::Dead => String::new(),
    };
    Verdict::new(
        Code::WtPending,
        case,
        "A process has taken it; its handler has not begun with it, or has just ended.",
    )
    .actual(format!(
        "{place}{beat}; it runs {others} others of this subscription"
    ))
    .next(format!("ringrift processes show {}", process.process.pid))
}

/// What keeps a redelivery from being taken; `None` when only its time does.
pub(super) fn again(case: &Case<'_>, row: &Again) -> Option<Verdict> {
    let hosts = hosts_of_name(case);
    let place = match row.failed {
        true => handle::letter(row),
        false => format!("redelivery {}", row.id.0),
    };
    paused(case, &place)
        .or_else(|| no_process(case, &hosts, &place))
        .or_else(|| key_blocked(case, Some(row)))
        .or_else(|| retries_stopped(case, row, &hosts, &place))
}

/// The processes that may take a redelivery: a live handler's goes by its name.
fn hosts_of_name<'a>(case: &Case<'a>) -> Vec<&'a ProcessState> {
    let own = case.state.current();
    let same = case.known.scenery.subscriptions.iter().filter(|other| {
        let other = other.current();
        own.kind == Kind::Live && other.kind == Kind::Live && other.name == own.name
    });
    match own.kind {
        Kind::Durable => case.hosts(),
        Kind::Live => same
            .flat_map(|other| case.known.hosts(other))
            .map(|(process, _)| process)
            .collect(),
    }
}

/// What is left of a delivery to a live subscription once others came after it.
pub(super) const HANDED_OVER: &str =
    "It was handed to its process, which shows its last 256 deliveries only.";

/// A live subscription, of whose deliveries only its process's page tells.
pub(super) fn live(case: &Case<'_>) -> Verdict {
    if let Some((code, fact)) = settle::last_fact(case) {
        return settle::recorded(case, code, fact);
    }
    if let Some(verdict) = route::outlived(case) {
        return verdict;
    }
    let cursor = case.state.cursor;
    let owner = case.state.process.and_then(|id| case.known.process(id));
    let Some(process) = owner.filter(|process| lives(process)) else {
        return Verdict::new(
            Code::HnNoRecord,
            case,
            "Its process ended, and a live subscription ends with it: no record says whether its handler ran.",
        )
        .actual(format!("{} read up to {cursor}", case.known.named(case.state.process)))
        .next("ringrift processes ls --all");
    };
    let place = read_up_to(case, process);
    let busy =
        busy::lagging(case, process, &place).or_else(|| busy::in_mailbox(case, process, &place));
    if let Some(verdict) = busy {
        return verdict;
    }
    // What its own process publishes is handed over at the commit, whatever its poller does.
    if case.seq <= cursor || case.event.origin == process.process.id {
        return Verdict::new(Code::HnNoRecord, case, HANDED_OVER)
            .actual(format!("{place}; none of those is this event"))
            .next(format!("ringrift processes show {}", process.process.pid));
    }
    before_reading(case, process, &place).unwrap_or_else(|| pending(case, &place))
}

fn read_up_to(case: &Case<'_>, process: &ProcessState) -> String {
    let pid = process.process.pid;
    format!("pid {pid} has read up to {}", case.state.cursor)
}

/// What keeps the process of a live subscription from reading on.
fn before_reading(case: &Case<'_>, process: &ProcessState, place: &str) -> Option<Verdict> {
    paused(case, place)
        .or_else(|| poller_stopped(case, &[process], place))
        .or_else(|| all_hang(case, &[process], place))
}

fn paused(case: &Case<'_>, place: &str) -> Option<Verdict> {
    let (at, by) = case.state.paused.as_ref()?;
    Some(
        Verdict::new(Code::RtPaused, case, "The subscription is paused.")
            .actual(format!("by {by} since {}; {place}", utc(*at)))
            .expected("not paused"),
    )
}

fn no_process(case: &Case<'_>, hosts: &[&ProcessState], place: &str) -> Option<Verdict> {
    if !hosts.is_empty() {
        return None;
    }
    let name = &case.state.current().name;
    let older: Vec<String> = case
        .known
        .hosts(case.state)
        .map(|(process, version)| format!("pid {} by version {version}", process.process.pid))
        .collect();
    let verdict = match (older.as_slice(), case.version()) {
        ([_, ..], Some(version)) if case.state.current().kind == Kind::Durable => {
            let number = version.number;
            let sentence = format!(
                "The definition was replaced before the event (version {number}), and every \
                 process that hosts this handler still subscribes by an older one."
            );
            Verdict::new(Code::WtNoProcess, case, sentence)
                .actual(format!("{}; {place}", older.join(", ")))
                .expected(format!(
                    "a live process that subscribes as {name} by version {number} or later"
                ))
        }
        _ => Verdict::new(
            Code::WtNoProcess,
            case,
            "No live process hosts this handler.",
        )
        .actual(match last_host(case) {
            Some(last) => format!("{last}; {place}"),
            None => place.to_owned(),
        })
        .expected(format!("a live process that subscribes as {name}"))
        .next("ringrift processes ls --all"),
    };
    Some(verdict)
}

/// `pid 4711 (trainer) hosted it last, until …`: the program that is to be started again.
fn last_host(case: &Case<'_>) -> Option<String> {
    let scenery = &case.known.scenery;
    let mut records: Vec<_> = scenery.hosted.iter().collect();
    records.retain(|record| record.subscription == case.state.id);
    let last = records.into_iter().max_by_key(|record| record.since)?;
    let process = scenery.process(last.process)?;
    let until = last.until.unwrap_or(process.beat_at);
    Some(format!(
        "pid {} ({}) hosted it last, until {}",
        process.process.pid,
        process.process.command,
        utc(until)
    ))
}

/// Nobody else takes the event while its hosts live, and none of them gives a sign of life.
fn all_hang(case: &Case<'_>, hosts: &[&ProcessState], place: &str) -> Option<Verdict> {
    let first = hosts.first()?;
    let beats: Vec<String> = hosts.iter().map(|host| last_beat(host)).collect();
    hang(hosts).then(|| {
        Verdict::new(
            Code::WtPending,
            case,
            "Every process that hosts this handler hangs: the event waits.",
        )
        .actual(format!("{}; {place}", beats.join("; ")))
        .expected("a process that beats")
        .next(format!("ringrift processes show {}", first.process.pid))
    })
}

fn hang(hosts: &[&ProcessState]) -> bool {
    hosts.iter().all(|host| host.liveness == Liveness::Hung)
}

/// `pid 4711 has not beaten since …`.
fn last_beat(host: &ProcessState) -> String {
    let beat_at = utc(host.beat_at);
    format!("pid {} has not beaten since {beat_at}", host.process.pid)
}

fn poller_stopped(case: &Case<'_>, hosts: &[&ProcessState], place: &str) -> Option<Verdict> {
    // None of them would hear that it is to start its poller; one stopped early never said so.
    if hang(hosts) {
        return None;
    }
    let idle = case.known.all_idle(hosts, CROSS_PROCESS_POLLER)?;
    Some(
        Verdict::new(
            Code::WtPollerStopped,
            case,
            "No process that hosts this handler runs its CROSS_PROCESS_POLLER.",
        )
        .actual(format!("{}; {place}", each(&idle)))
        .expected("a poller that runs"),
    )
}

/// A redelivery that is overdue, where nobody looks for it.
fn retries_stopped(
    case: &Case<'_>,
    row: &Again,
    hosts: &[&ProcessState],
    place: &str,
) -> Option<Verdict> {
    let due = row.due.filter(|due| *due <= case.known.scenery.now)?;
    let idle = case.known.all_idle(hosts, DLQ_RETRY)?;
    let code = match row.failed {
        true => Code::HnRetrying,
        false => Code::WtPending,
    };
    Some(
        Verdict::new(
            code,
            case,
            "It is due, and no process that hosts this handler runs its DLQ_RETRY.",
        )
        .actual(format!("due since {}; {}; {place}", utc(due), each(&idle)))
        .expected("a DLQ_RETRY that runs")
        .next("ringrift daemons start DLQ_RETRY"),
    )
}

fn each(idle: &[Idle<'_>]) -> String {
    let each: Vec<String> = idle.iter().map(Idle::text).collect();
    each.join("; ")
}

/// Every host waits for the write lock.
fn store_busy(case: &Case<'_>, hosts: &[&ProcessState], place: &str) -> Option<Verdict> {
    let blocked = hosts.iter().map(|host| host.blocked_by.as_ref());
    let blocked: Vec<_> = blocked.collect::<Option<_>>()?;
    let (pid, command, since) = blocked.iter().min_by_key(|(_, _, since)| *since)?;
    let waited = case.known.scenery.now.since(*since).as_secs();
    let itself = hosts.iter().any(|host| host.process.pid == *pid);
    let sentence = match itself {
        true => "The process itself holds the store's write lock, through another copy of SQLite.",
        false => "Another process holds the store's write lock.",
    };
    Some(
        Verdict::new(Code::WtStoreBusy, case, sentence)
            .actual(format!("pid {pid} ({command}), for {waited} s; {place}"))
            .expected("write transactions that end"),
    )
}

/// An earlier event of the same key has not come to its end.
fn key_blocked(case: &Case<'_>, row: Option<&Again>) -> Option<Verdict> {
    if row.is_some_and(|row| row.why == Why::Replay) {
        return None;
    }
    let ahead = case.known.trail.ahead.iter();
    let first = ahead
        .clone()
        .find(|one| one.subscription == case.state.id && one.generation == case.generation)?;
    let at = first.seq.unwrap_or_default();
    let next = match first.failed {
        true => format!("ringrift dlq show {}", first.id.0),
        false => format!("ringrift explain {}", first.event),
    };
    let due = first.due.map(|due| format!(", due at {}", utc(due)));
    Some(
        Verdict::new(
            Code::WtKeyBlocked,
            case,
            "An earlier event of the same key is not finished, and order holds per key.",
        )
        .actual(format!(
            "event {at} is {}{}",
            first.state.as_str(),
            due.unwrap_or_default()
        ))
        .expected(format!("event {at} done, or dead"))
        .next(next),
    )
}

fn pending(case: &Case<'_>, place: &str) -> Verdict {
    Verdict::new(Code::WtPending, case, "The event waits its turn.").actual(place)
}
