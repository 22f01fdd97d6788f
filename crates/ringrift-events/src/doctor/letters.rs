//! Deliveries that failed: by handler, what they have in common and where it happens.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::chart::{Chart, evidence, lives, utc};
use super::code::FindingCode;
use super::finding::{Finding, Subject};
use super::reach::{count, count_of, down, restart, start};
use super::rules::Rules;
use crate::coded::quoted;
use crate::daemons::DLQ_RETRY;
use crate::dead_letters::{Alike, Fingerprint, alike};
use crate::event::EventId;
use crate::store::letters::{Letter, LetterState};
use crate::store::registry::{Fact, ProcessState};
use crate::store::subscriptions::SubscriptionState;
use crate::verdict::{Code, FailureKind};

/// Most events named in one finding.
const NAMED_MAX: usize = 5;

/// What one handler's failures of one kind come down to.
type Group<'a> = (&'a str, FindingCode, Vec<&'a Letter>);

/// Dead letters by handler and cause.
pub(super) fn failing(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let mut groups: BTreeMap<(&str, FindingCode), Vec<&Letter>> = BTreeMap::new();
    let consistently = consistently_failing(chart, rules);
    let untried = |letter: &&Letter| !is_untried(chart, letter, rules);
    for letter in chart.letters.iter().filter(untried) {
        let code = cause_of(chart, letter);
        let error = [FindingCode::HandlerError, FindingCode::HandlerPanic].contains(&code);
        // What fails nearly always is said once, of the handler.
        if !(error && consistently.contains_key(letter.handler.as_str())) {
            let group = groups.entry((letter.handler.as_str(), code));
            group.or_default().push(letter);
        }
    }
    let one = |((handler, code), letters)| group(chart, (handler, code, letters));
    let groups = groups.into_iter().filter_map(one);
    let share = consistently
        .values()
        .filter_map(|share| share.finding(chart));
    share.chain(groups).collect()
}

/// The finding that a letter belongs to: decided from its kind, its step and what was measured.
fn cause_of(chart: &Chart, letter: &Letter) -> FindingCode {
    match letter.error_kind {
        FailureKind::Error => FindingCode::HandlerError,
        FailureKind::Panic => FindingCode::HandlerPanic,
        FailureKind::Resource => FindingCode::Resources,
        FailureKind::Poison => FindingCode::Poison,
        FailureKind::Timeout => time_out(chart, letter),
    }
}

/// What a time-out was spent on.
fn time_out(chart: &Chart, letter: &Letter) -> FindingCode {
    let fact = last_failure(chart, letter);
    let known = fact.map(evidence).unwrap_or(Value::Null);
    let step = letter.step.as_deref().or(known["step"].as_str());
    match step.and_then(|step| step.split(':').next()) {
        Some("db") => FindingCode::SlowQuery,
        Some("network") => FindingCode::NetworkCall,
        _ if is_peer(&known["object"]) => FindingCode::NetworkCall,
        _ if computed(&known) => FindingCode::EndlessLoop,
        _ => FindingCode::HandlerSlow,
    }
}

/// Whether a descriptor's object is a peer of the network: an address with a port.
fn is_peer(object: &Value) -> bool {
    let parts = object.as_str().and_then(|text| text.rsplit_once(':'));
    parts.is_some_and(|(address, port)| {
        port.parse::<u16>().is_ok() && !address.starts_with('/') && !address.is_empty()
    })
}

/// Share of a run, in percent, that it must have been on the processor to have computed: other
/// runs and programs want it too.
const COMPUTED_PERCENT: u64 = 20;

/// Whether a run was spent on the processor and not in waiting.
fn computed(known: &Value) -> bool {
    let effort = &known["effort"];
    // Many short turns: what it was busy with is what it computed; only long ones are measured.
    let turns = effort["polls"].as_u64().is_some_and(|polls| polls > 1);
    let busy = effort["busy_us"].as_u64().filter(|_| turns);
    let cpu = effort["cpu_us"].as_u64().max(busy);
    // A thread that runs, or would if a processor were free, waits for nothing else.
    let runs = known["state"] == "R" && known["syscall"].is_null();
    match (cpu, known["took_us"].as_u64()) {
        (Some(cpu), Some(took)) => runs || cpu * 100 >= took * COMPUTED_PERCENT,
        _ => runs,
    }
}

/// What the system refused, by the names that manuals use.
fn errno_names(known: &Value) -> Vec<String> {
    let numbers = known["errno"].as_array().into_iter().flatten();
    let name = |number: i64| match number {
        11 => "EAGAIN".to_owned(),
        12 => "ENOMEM".to_owned(),
        23 => "ENFILE".to_owned(),
        24 => "EMFILE".to_owned(),
        27 => "EFBIG".to_owned(),
        28 => "ENOSPC".to_owned(),
        122 => "EDQUOT".to_owned(),
        other => format!("errno {other}"),
    };
    numbers.filter_map(Value::as_i64).map(name).collect()
}

/// What is recorded of an attempt that failed.
const FAILURES: &[Code] = &[Code::HnError, Code::HnPanic, Code::HnTimeout];

fn last_failure<'a>(chart: &'a Chart, letter: &Letter) -> Option<&'a Fact> {
    of_letter(chart, FAILURES, letter)
}

/// What is recorded of an event that its process died with.
const DEATHS: &[Code] = &[Code::StDead, Code::HnLeaseLost];

fn of_letter<'a>(chart: &'a Chart, codes: &'static [Code], letter: &Letter) -> Option<&'a Fact> {
    let mut facts = chart.facts_of(codes);
    facts.find(|fact| {
        fact.event == Some(letter.event.id) && fact.subscription == Some(letter.subscription)
    })
}

fn group(chart: &Chart, (handler, code, letters): Group<'_>) -> Option<Finding> {
    let newest = letters.iter().max_by_key(|letter| letter.last_attempt_at)?;
    let fact = if code == FindingCode::Poison {
        of_letter(chart, DEATHS, newest)
    } else {
        last_failure(chart, newest)
    };
    let known = fact.map(evidence).unwrap_or(Value::Null);
    // Of a death the fact is of whoever saw it, and names the one that died.
    let died = serde_json::from_value(known["process"].clone()).ok();
    let process = died.or(fact.and_then(|fact| fact.process));
    let events: Vec<EventId> = letters.iter().map(|letter| letter.event.id).collect();
    let ok = chart.recorded.done.get(&newest.subscription).copied();
    let fingerprint = Fingerprint::of_letter(newest);
    let errors = alike(letters.iter().copied());
    let mut seen = json!({
        "verdict": newest.error_kind.code(), "kind": newest.error_kind.as_str(),
        "letters": letters.len(), "events": &events[..events.len().min(NAMED_MAX)],
        "newest_letter": newest.id, "state": newest.state, "attempts": newest.attempts_total,
        "deaths": newest.deaths, "oom_kills": known["oom_kills"], "error": line(&newest.error), "fingerprint": fingerprint.id,
        "step": newest.step, "succeeded": ok, "process": chart.named(process),
        "last_attempt_at": utc(newest.last_attempt_at), "errno": errno_names(&known), "measured": known,
        "errors": errors.iter().take(NAMED_MAX).map(told).collect::<Vec<_>>(),
    });
    // Whoever has not died was not killed.
    if code != FindingCode::Poison
        && let Some(fields) = seen.as_object_mut()
    {
        fields.remove("oom_kills");
    }
    let subject = Subject {
        event_type: Some(newest.event.event_type.clone()),
        ..Subject::handler(handler).at_event(newest.event.id)
    };
    let subject = match process.and_then(|id| chart.process(id)) {
        Some(state) => subject.in_process(state),
        None => subject,
    };
    let how = match (code, &newest.step) {
        (FindingCode::SlowQuery | FindingCode::NetworkCall, Some(step)) => {
            format!("exceeds its time limit in step {step}")
        }
        (FindingCode::HandlerSlow, Some(step)) => {
            format!("exceeds its time limit in step {step}, which does not say what it waits for")
        }
        (FindingCode::HandlerSlow, None) => {
            "exceeds its time limit, place unknown: add a step".to_owned()
        }
        (FindingCode::Poison, _) => {
            let times = count_of(newest.deaths.into(), "time");
            match known["oom_kills"].as_u64() {
                None | Some(0) => format!("its process died {times} with it"),
                Some(kills) => format!(
                    "its process died {times} with it, the last time after the kernel had killed {} \
                     of its control group for want of memory",
                    count_of(kills, "process")
                ),
            }
        }
        _ if errors.len() > 1 => {
            let error = line(&newest.error);
            format!("{} different errors, the newest: {error}", errors.len())
        }
        _ => line(&newest.error).to_owned(),
    };
    let says = format!(
        "{handler} fails with {} ({}): {how}",
        count(letters.len(), "event"),
        state_words(&letters)
    );
    let command = format!("ringrift dlq show {}", newest.id.0);
    Some(Finding::new(code, subject, says, seen, command))
}

/// One error among several, as evidence.
fn told(error: &Alike<'_>) -> Value {
    let example = error.letters.first();
    json!({
        "letters": error.letters.len(), "fingerprint": error.fingerprint.id,
        "error": example.map(|letter| line(&letter.error)),
    })
}

fn state_words(letters: &[&Letter]) -> String {
    let in_state = |state| {
        let these = letters.iter().filter(|letter| letter.state == state);
        these.count()
    };
    let (dead, well) = (
        in_state(LetterState::Dead),
        in_state(LetterState::Recovered),
    );
    let words = [
        (dead, "dead"),
        (letters.len() - dead - well, "to be retried"),
        (well, "recovered"),
    ];
    let words = words.iter().filter(|(n, _)| *n > 0);
    words
        .map(|(n, word)| format!("{n} {word}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn line(error: &str) -> &str {
    error
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("")
}

/// How often a handler was started and failed since then.
struct Share<'a> {
    handler: String,
    failed: u64,
    starts: u64,
    events: BTreeSet<EventId>,
    newest: &'a Fact,
}

fn consistently_failing<'a>(chart: &'a Chart, rules: &Rules) -> BTreeMap<String, Share<'a>> {
    let mut shares: BTreeMap<String, Share<'a>> = BTreeMap::new();
    for fact in chart.facts_of(&[Code::HnError, Code::HnPanic]) {
        let (Some(handler), Some(event)) = (chart.handler_of(fact), fact.event) else {
            continue;
        };
        if evidence(fact)["kind"] == FailureKind::Resource.as_str() {
            continue;
        }
        let share = shares.entry(handler.clone()).or_insert_with(|| Share {
            handler,
            failed: 0,
            starts: 0,
            events: BTreeSet::new(),
            newest: fact,
        });
        share.failed += 1;
        share.events.insert(event);
    }
    for share in shares.values_mut() {
        share.starts = share.failed + succeeded(chart, &share.handler);
        share.narrow(chart, rules);
    }
    shares.retain(|_, share| {
        share.starts >= rules.failing_starts
            && share.events.len() as u64 >= rules.failing_events
            && share.failed * 100 >= share.starts * u64::from(rules.failing_percent)
    });
    shares
}

/// Runs of a handler that succeeded since then: what the ledger says of durable ones, and what the
/// pages still show of live ones.
fn succeeded(chart: &Chart, handler: &str) -> u64 {
    let of_name = |id| {
        let state = chart.subscription(id);
        state.is_some_and(|state| state.current().name == handler)
    };
    let ledger = chart.recorded.done.iter();
    let ledger: u64 = ledger
        .filter(|(id, _)| of_name(**id))
        .map(|(_, done)| done)
        .sum();
    let recent = chart.processes.iter().flat_map(|process| &process.recent);
    let shown = recent.filter(|recent| {
        recent.code == Code::HnOk && recent.at >= chart.since && of_name(recent.subscription)
    });
    let hosted = chart.recorded.hosts.iter();
    let hosted = hosted.filter(|host| host.since >= chart.since && of_name(host.subscription));
    let ends: u64 = hosted.map(|host| host.ends.done).sum();
    ledger.max(ends).max(shown.count() as u64)
}

impl Share<'_> {
    /// A handler that did well all day and fails now fails: the last minutes count by themselves.
    fn narrow(&mut self, chart: &Chart, rules: &Rules) {
        let states = chart.processes.iter().filter(|process| lives(process));
        let mut hosts = states.flat_map(|process| &process.hosts).filter(|host| {
            let state = chart.subscription(host.subscription);
            state.is_some_and(|state| state.current().name == self.handler)
        });
        let worst = hosts.find(|host| {
            let starts = host.window.done + host.window.failed + host.window.skipped;
            starts >= rules.failing_starts
                && host.window.failed * 100 >= starts * u64::from(rules.failing_percent)
        });
        if let Some(host) = worst {
            self.failed = host.window.failed;
            self.starts = host.window.done + host.window.failed + host.window.skipped;
        }
    }

    fn finding(&self, chart: &Chart) -> Option<Finding> {
        let known = evidence(self.newest);
        let error = known["error"].as_str().unwrap_or("");
        let kind = known["kind"].as_str().and_then(FailureKind::parse);
        let fingerprint = Fingerprint::of(kind.unwrap_or(FailureKind::Error), error);
        let percent = self.failed * 100 / self.starts.max(1);
        let handler = &self.handler;
        let at_least = chart.at_least(&[Code::HnError, Code::HnPanic]);
        let says = format!(
            "{handler} failed {at_least}{} of {at_least}{} starts ({at_least}{percent} %) over {}: {}",
            self.failed,
            self.starts,
            count(self.events.len(), "event"),
            line(error)
        );
        let seen = json!({
            "failed": self.failed, "starts": self.starts, "percent": percent,
            "events": self.events.len(), "newest_event": self.newest.event,
            "error": line(error), "fingerprint": fingerprint.id, "pattern": fingerprint.pattern,
            "process": chart.named(self.newest.process), "since": utc(chart.since),
        });
        let subject = Subject::handler(handler).at_event(self.newest.event?);
        let subject = match self.newest.process.and_then(|id| chart.process(id)) {
            Some(state) => subject.in_process(state),
            None => subject,
        };
        let command = format!("ringrift dlq ls --handler {}", quoted(handler));
        let code = FindingCode::HandlerFailing;
        Some(Finding::new(code, subject, says, seen, command))
    }
}

/// Whether a letter failed once and is due, while nobody retries: what keeps it is the retry.
fn is_untried(chart: &Chart, letter: &Letter, rules: &Rules) -> bool {
    let due = letter.next_retry_at.is_some_and(|due| due <= chart.as_of);
    letter.attempts_total <= 1
        && letter.state == LetterState::Retrying
        && due
        && nobody_retries(chart, &letter.handler, rules).is_some()
}

/// The hosts of a handler and why none of them retries; `None` if one does, or none is there.
fn nobody_retries<'a>(
    chart: &'a Chart,
    handler: &str,
    rules: &Rules,
) -> Option<(Vec<&'a ProcessState>, String)> {
    let named =
        |state: &&SubscriptionState| state.current().name == handler && state.paused.is_none();
    let states = chart.subscriptions.iter().filter(named);
    let mut hosts: Vec<&ProcessState> = states.flat_map(|state| chart.hosts(state)).collect();
    if chart.is_stopped && hosts.is_empty() {
        // Whoever ended in order hosts nothing any more: who ran it last stands for them.
        let ran = chart.facts_of(FAILURES).filter(|fact| {
            let name = chart.handler_of(fact);
            name.as_deref() == Some(handler)
        });
        let ran = ran.filter_map(|fact| chart.process(fact.process?));
        hosts.extend(ran.filter(|process| chart.is_present(process)).take(1));
    }
    hosts.sort_by_key(|host| host.process.id);
    hosts.dedup_by_key(|host| host.process.id);
    hosts.first()?;
    let why =
        |host: &&ProcessState| down(chart, host, chart.daemon(host.process.id, DLQ_RETRY), rules);
    let whys: Option<Vec<String>> = hosts.iter().map(why).collect();
    let whys = whys?.join("; ");
    Some((hosts, whys))
}

/// Dead letters that are due while no host of their handler retries.
pub(super) fn retry_stopped(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let mut overdue: BTreeMap<&str, Vec<&Letter>> = BTreeMap::new();
    for letter in &chart.letters {
        let due = letter.next_retry_at;
        // A stopped system has been overdue since: what counts is that nobody was there to retry.
        let late =
            due.is_some_and(|due| due <= chart.as_of && chart.now.since(due) > rules.overdue);
        if late && letter.state == LetterState::Retrying {
            overdue.entry(&letter.handler).or_default().push(letter);
        }
    }
    let one = |(handler, letters): (&str, Vec<&Letter>)| {
        let (hosts, how) = nobody_retries(chart, handler, rules)?;
        let host = *hosts.first()?;
        let oldest = letters.iter().min_by_key(|letter| letter.next_retry_at)?;
        let daemon = chart.daemon(host.process.id, DLQ_RETRY);
        let seen = json!({
            "overdue": letters.len(), "oldest_letter": oldest.id,
            "due_since": oldest.next_retry_at.map(utc), "daemon": DLQ_RETRY,
            "state": daemon.map(|daemon| &daemon.state),
            "stopped_by": daemon.and_then(|daemon| daemon.stopped_by.as_ref()),
            "hosts": hosts.iter().map(|host| host.process.pid).collect::<Vec<_>>(),
        });
        let says = format!(
            "{} of {handler} due and nobody retries: {DLQ_RETRY} of pid {}: {how}",
            count(letters.len(), "dead letter"),
            host.process.pid
        );
        let subject = Subject {
            thing: Some(DLQ_RETRY.to_owned()),
            ..Subject::handler(handler)
                .at_event(oldest.event.id)
                .in_process(host)
        };
        let command = start(host, DLQ_RETRY);
        let finding = Finding::new(FindingCode::RetryStopped, subject, says, seen, command);
        Some(restart(finding, chart, host, daemon, DLQ_RETRY))
    };
    overdue.into_iter().filter_map(one).collect()
}

/// One error that makes most of the dead letters.
pub(super) fn one_fault(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let all = chart.letters.len();
    let groups = alike(&chart.letters);
    let most = groups.first().filter(|group| {
        all >= rules.one_fault_letters
            && group.letters.len() * 100 >= all * rules.one_fault_percent as usize
    });
    let one = |group: &Alike<'_>| {
        let newest = *group.letters.first()?;
        let handlers: BTreeSet<&str> = group
            .letters
            .iter()
            .map(|letter| letter.handler.as_str())
            .collect();
        let (some, print) = (group.letters.len(), &group.fingerprint);
        let says = format!(
            "{some} of {all} dead letters are one error: {}",
            print.pattern
        );
        let seen = json!({
            "letters": some, "of": all, "fingerprint": print.id, "pattern": print.pattern,
            "handlers": handlers, "newest_letter": newest.id, "example": line(&newest.error),
        });
        let subject = Subject {
            thing: Some(format!("fingerprint {}", print.id)),
            ..Subject::handler(&newest.handler)
        };
        let command = format!("ringrift dlq show {}", newest.id.0);
        Some(Finding::new(
            FindingCode::OneFault,
            subject,
            says,
            seen,
            command,
        ))
    };
    most.and_then(one).into_iter().collect()
}
