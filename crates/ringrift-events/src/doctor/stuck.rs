//! What stands still: a lock that is held, a thread that does not yield, a process that is full.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::chart::{Chart, evidence, lives, utc};
use super::code::FindingCode;
use super::finding::{Finding, Subject};
use super::reach::count_of;
use super::rules::Rules;
use crate::clock::Time;
use crate::coded::quoted;
use crate::event::{EventId, ProcessId};
use crate::store::registry::ProcessState;
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::Code;

/// One stay of the write lock: who held it, and who waited for it.
struct Hold<'a> {
    pid: u32,
    command: String,
    since: Time,
    held_ms: u64,
    waiting: Vec<&'a ProcessState>,
    /// One that waits while it opens the store: nothing else is known of it yet.
    opening: Option<u32>,
    /// Somebody waits for it now.
    is_ongoing: bool,
    /// When the last wait for it ended, of those that have.
    ended_at: Option<Time>,
}

/// Write locks that are held for too long, by others and by a waiting process itself.
pub(super) fn store_locked(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let holds = holds(chart, rules);
    let own = |hold: &Hold<'_>| {
        hold.waiting
            .iter()
            .any(|waits| waits.process.pid == hold.pid)
    };
    let finding = |hold: &Hold<'_>| match own(hold) {
        true => deadlock(chart, hold),
        false => locked(hold),
    };
    holds.values().map(finding).collect()
}

fn holds<'a>(chart: &'a Chart, rules: &Rules) -> BTreeMap<u32, Hold<'a>> {
    let mut holds: BTreeMap<u32, Hold<'a>> = BTreeMap::new();
    for process in chart.processes.iter().filter(|process| lives(process)) {
        if let Some((pid, command, since)) = &process.blocked_by {
            let lock = (*pid, command.clone(), *since);
            note(&mut holds, process, lock, chart.now).is_ongoing = true;
        }
    }
    // A command that waits while it opens the store has a page and is no known process yet.
    if let Some(lock) = &chart.figures.write_lock
        && let Some(waits) = lock.waits
    {
        let held = (lock.pid, lock.command.clone(), lock.since);
        let hold = hold(&mut holds, held, chart.now);
        hold.is_ongoing = true;
        hold.opening = Some(waits).filter(|pid| !hold.waiters().contains(pid));
    }
    for fact in chart.facts_of(&[Code::WtStoreBusy]) {
        let known = evidence(fact);
        let pid = known["pid"]
            .as_u64()
            .and_then(|pid| u32::try_from(pid).ok());
        let process = fact.process.and_then(|id| chart.process(id));
        let since = known["since"].as_str().and_then(Time::from_sql);
        if let (Some(pid), Some(process)) = (pid, process) {
            let command = known["command"].as_str().unwrap_or("").to_owned();
            let until = known["until"].as_str().and_then(Time::from_sql);
            let until = until.unwrap_or(fact.at);
            let lock = (pid, command, since.unwrap_or(fact.at));
            let hold = note(&mut holds, process, lock, until);
            hold.ended_at = hold.ended_at.max(Some(until));
        }
    }
    let limit = u64::try_from(rules.lock_held.as_millis()).unwrap_or(u64::MAX);
    holds.retain(|_, hold| hold.held_ms >= limit);
    holds
}

fn note<'h, 'a>(
    holds: &'h mut BTreeMap<u32, Hold<'a>>,
    waits: &'a ProcessState,
    lock: (u32, String, Time),
    until: Time,
) -> &'h mut Hold<'a> {
    let hold = hold(holds, lock, until);
    if !hold
        .waiting
        .iter()
        .any(|known| known.process.id == waits.process.id)
    {
        hold.waiting.push(waits);
    }
    hold
}

fn hold<'h, 'a>(
    holds: &'h mut BTreeMap<u32, Hold<'a>>,
    (pid, command, since): (u32, String, Time),
    until: Time,
) -> &'h mut Hold<'a> {
    let held_ms = u64::try_from(until.since(since).as_millis()).unwrap_or(u64::MAX);
    let hold = holds.entry(pid).or_insert_with(|| Hold {
        pid,
        command,
        since,
        held_ms: 0,
        waiting: Vec::new(),
        opening: None,
        is_ongoing: false,
        ended_at: None,
    });
    hold.since = hold.since.min(since);
    hold.held_ms = hold.held_ms.max(held_ms);
    hold
}

impl Hold<'_> {
    /// The pids of those that wait or waited.
    fn waiters(&self) -> Vec<u32> {
        let known = self.waiting.iter().map(|waits| waits.process.pid);
        known.chain(self.opening).collect()
    }

    /// When it was over, unless somebody waits for it still.
    fn over_at(&self) -> Option<Time> {
        self.ended_at.filter(|_| !self.is_ongoing)
    }
}

fn seen(hold: &Hold<'_>) -> serde_json::Value {
    json!({
        "verdict": Code::WtStoreBusy, "holder_pid": hold.pid, "holder_command": hold.command,
        "waiting_since": utc(hold.since), "held_ms": hold.held_ms,
        "waiting": hold.waiters(), "ongoing": hold.is_ongoing,
        "ended_at": hold.over_at().map(utc),
    })
}

/// What a lock that was let go means: the meaning of the code is of one that is held.
const LOCK_WAS_HELD: &str =
    "Somebody held the database's write lock: publishing and settling waited. It is over.";
const LOCK_WAS_OWN: &str =
    "A process waited for a write lock that it held itself through another connection. It is over.";

fn locked(hold: &Hold<'_>) -> Finding {
    let waits = hold.waiters().len();
    let (pid, program, ms) = (hold.pid, &hold.command, hold.held_ms);
    let says = match hold.over_at() {
        Some(at) => format!(
            "pid {pid} ({program}) held the database's write lock for {ms} ms, until {}; {waits} \
             of our processes waited",
            utc(at)
        ),
        None => format!(
            "pid {pid} ({program}) has held the database's write lock for {ms} ms; {waits} of our \
             processes waited"
        ),
    };
    let subject = Subject {
        pid: Some(pid),
        thing: Some("coordination.db".to_owned()),
        ..Subject::default()
    };
    let code = FindingCode::StoreLocked;
    let finding = Finding::new(code, subject, says, seen(hold), format!("ps -fp {pid}"));
    match hold.over_at() {
        // Whoever it was may have gone: what matters is whether events flow again.
        Some(_) => finding.over(LOCK_WAS_HELD, "ringrift status"),
        None => finding,
    }
}

fn ran_meanwhile(chart: &Chart, process: &ProcessState) -> Option<(SubscriptionId, EventId)> {
    let mut waits = chart.facts_of(&[Code::WtStoreBusy]);
    waits.find_map(|fact| {
        let is_own = fact.process == Some(process.process.id);
        Some((fact.subscription?, fact.event?)).filter(|_| is_own)
    })
}

fn deadlock(chart: &Chart, hold: &Hold<'_>) -> Finding {
    let own = hold
        .waiting
        .iter()
        .find(|waits| waits.process.pid == hold.pid);
    let running = own.into_iter().flat_map(|process| &process.running);
    let running = running
        .min_by_key(|run| run.since)
        .map(|run| (run.subscription, run.event));
    // Once the wait is over, what ran meanwhile stands in its fact.
    let running = running.or_else(|| ran_meanwhile(chart, own?));
    let handler = running.and_then(|(subscription, _)| chart.subscription(subscription));
    let handler = handler.map(|state| state.current().name.clone());
    let named = handler.as_deref().unwrap_or("unknown");
    let (pid, ms) = (hold.pid, hold.held_ms);
    let says = match hold.over_at() {
        Some(at) => format!(
            "pid {pid} waited {ms} ms for the write lock that it held itself, until {}; it ran {named}",
            utc(at)
        ),
        None => format!(
            "pid {pid} waits for the write lock that it holds itself for {ms} ms; it runs {named}"
        ),
    };
    let subject = Subject {
        handler,
        event: running.map(|(_, event)| event),
        pid: Some(hold.pid),
        process: own.map(|process| process.process.id),
        ..Subject::default()
    };
    let command = format!("ringrift processes show {pid}");
    let finding = Finding::new(FindingCode::Deadlock, subject, says, seen(hold), command);
    let event = running.map(|(_, event)| format!("ringrift explain {event}"));
    match hold.over_at() {
        Some(_) => finding.over(LOCK_WAS_OWN, event.as_deref().unwrap_or("ringrift status")),
        None => finding,
    }
}

/// A handler that held a thread, from a page or from a fact.
struct Held<'a> {
    handler: String,
    subject: Subject,
    held_ms: u64,
    code: FindingCode,
    object: Option<String>,
    place: Option<String>,
    measured: Value,
    process: Option<&'a ProcessState>,
    /// Tells one stall from another: it is shown while it lasts, and recorded when it lasts long
    /// and once more when it has ended.
    began: (Option<ProcessId>, Option<u64>, i64),
}

/// Handlers that hold a runtime thread without yielding, by what they do meanwhile.
pub(super) fn loop_blocked(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let mut stalls: BTreeMap<_, Held<'_>> = BTreeMap::new();
    for held in stalls_now(chart).chain(stalls_before(chart)) {
        match stalls.get(&held.began) {
            Some(known) if known.held_ms >= held.held_ms => {}
            Some(_) | None => drop(stalls.insert(held.began, held)),
        }
    }
    let mut longest: BTreeMap<(String, FindingCode), (Held<'_>, usize)> = BTreeMap::new();
    for held in stalls.into_values() {
        let key = (held.handler.clone(), held.code);
        match longest.get_mut(&key) {
            None => {
                longest.insert(key, (held, 1));
            }
            Some((known, times)) => {
                *times += 1;
                if held.held_ms > known.held_ms {
                    *known = held;
                }
            }
        }
    }
    longest
        .into_values()
        .map(|(held, times)| held.finding(times))
        .collect()
}

/// Those of processes that live, and of processes that died with one.
fn stalls_now(chart: &Chart) -> impl Iterator<Item = Held<'_>> {
    let pages = chart
        .processes
        .iter()
        .filter(|process| process.beat_at >= chart.since);
    let stalls = pages.flat_map(|process| process.stalls.iter().map(move |stall| (process, stall)));
    stalls.map(|(process, stall)| Held {
        handler: stall.handler.clone(),
        subject: Subject {
            event_type: Some(stall.event_type.clone()),
            ..Subject::handler(&stall.handler)
                .at_event(stall.event)
                .in_process(process)
        },
        held_ms: stall.held_ms,
        code: class_of(chart, &stall.handler, stall.class.as_str(), stall.held_ms),
        object: stall.object.clone(),
        place: stall.place.clone(),
        measured: json!(stall),
        process: Some(process),
        began: (
            Some(process.process.id),
            Some(stall.tid.into()),
            stall.since.0,
        ),
    })
}

fn stalls_before(chart: &Chart) -> impl Iterator<Item = Held<'_>> {
    chart.facts_of(&[Code::WtLoopBlocked]).filter_map(|fact| {
        let known = evidence(fact);
        // Of the deliveries that a stall delayed, only the one that caused it is at fault.
        if known["caused_by"].is_string() || known["delayed_by"].is_string() {
            return None;
        }
        let own = known["handler"].as_str().map(str::to_owned);
        let handler = own.or_else(|| chart.handler_of(fact))?;
        let process = fact.process.and_then(|id| chart.process(id));
        let subject = Subject {
            event: fact.event,
            event_type: fact.event_type.clone(),
            ..Subject::handler(&handler)
        };
        let held_ms = known["held_ms"].as_u64().unwrap_or(0);
        let class = known["class"].as_str().unwrap_or("unknown");
        Some(Held {
            subject: match process {
                Some(state) => subject.in_process(state),
                None => subject,
            },
            code: class_of(chart, &handler, class, held_ms),
            object: known["object"].as_str().map(str::to_owned),
            place: known["place"].as_str().map(str::to_owned),
            began: (
                fact.process,
                known["tid"].as_u64(),
                known["since_us"].as_i64().unwrap_or(fact.at.0),
            ),
            measured: known,
            handler,
            held_ms,
            process,
        })
    })
}

/// Computing beyond the time limit, which cannot act on a thread that does not yield, is a loop
/// without an end as far as anybody can tell.
fn class_of(chart: &Chart, handler: &str, class: &str, held_ms: u64) -> FindingCode {
    let named = chart
        .subscriptions
        .iter()
        .find(|state| state.current().name == handler);
    let policy = named.and_then(|state| chart.policy(state.id));
    let limit = policy
        .map(|policy| policy.time_limit_ms)
        .filter(|ms| *ms > 0);
    match (class, limit) {
        ("cpu", Some(limit)) if held_ms >= limit => FindingCode::EndlessLoop,
        ("cpu", _) => FindingCode::LoopBusy,
        _ => FindingCode::BlockingIo,
    }
}

impl Held<'_> {
    fn finding(self, times: usize) -> Finding {
        let doing = match (self.code, &self.object) {
            (FindingCode::BlockingIo, Some(object)) => format!("it waited for {object}"),
            (FindingCode::BlockingIo, None) => "it waited in the kernel".to_owned(),
            _ => "it computed".to_owned(),
        };
        let (handler, held) = (&self.handler, self.held_ms);
        let place = self.place.as_ref().map(|place| format!(" at {place}"));
        let place = place.unwrap_or_default();
        let says = format!("{handler} held a runtime thread for {held} ms: {doing}{place}");
        let seen = json!({
            "verdict": Code::WtLoopBlocked, "times": times, "held_ms": held,
            "object": self.object, "place": self.place, "measured": self.measured,
            "process": self.process.map(|state| state.process.pid),
        });
        let command = format!("ringrift subs show {}", quoted(handler));
        Finding::new(self.code, self.subject, says, seen, command)
    }
}

/// `1 waits`, `3 wait`.
fn waited(n: u64, one: &str, more: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        _ => format!("{n} {more}"),
    }
}

/// Processes whose bound on handlers keeps events waiting.
pub(super) fn crowded(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let one = |process: &ProcessState| {
        let load = &process.load;
        let since = process
            .hosts
            .iter()
            .filter_map(|host| host.waits_for)
            .filter(|(code, _)| *code == Code::WtProcessLimit)
            .map(|(_, since)| since)
            .min();
        let seen_at = match lives(process) {
            true => chart.now,
            // What it showed last is how it stood when it ended.
            false => process.beat_at,
        };
        let long = since.is_some_and(|at| seen_at.since(at) >= rules.crowded_after);
        let is_full = long && load.in_flight >= load.in_flight_max;
        // Of one that has ended, that it happened is counted too.
        let is = is_full || (!lives(process) && load.waited > 0);
        if !is || load.in_flight_max == 0 || process.beat_at < chart.since {
            return None;
        }
        let busiest = process
            .hosts
            .iter()
            .max_by_key(|host| (host.waiting, host.in_flight));
        let handler = busiest.and_then(|host| chart.subscription(host.subscription));
        let pid = process.process.pid;
        let says = format!(
            "pid {pid} runs {} of at most {} at once: {} now, {} long so far",
            load.in_flight,
            count_of(load.in_flight_max, "handler"),
            waited(load.waiting, "waits", "wait"),
            waited(load.waited, "has waited", "have waited")
        );
        let seen = json!({
            "verdict": Code::WtProcessLimit, "in_flight": load.in_flight,
            "limit": load.in_flight_max, "waiting": load.waiting, "waited": load.waited,
            "waiting_since": since.map(utc), "scheduling_lag_p99_us": load.lag_p99_us,
            "setting": "handler.in_flight_max",
        });
        let subject = Subject {
            handler: handler.map(|state| state.current().name.clone()),
            ..Subject::process(process)
        };
        let command = format!("ringrift processes show {pid}");
        Some(Finding::new(
            FindingCode::Crowded,
            subject,
            says,
            seen,
            command,
        ))
    };
    chart.present().filter_map(one).collect()
}
