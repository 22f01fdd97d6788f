//! How much waits, and whether anything moves.

use serde_json::json;

use super::Fix;
use super::chart::{Chart, lives, utc};
use super::code::FindingCode;
use super::finding::{Finding, Subject};
use super::reach::wait;
use super::rules::Rules;
use crate::coded::quoted;
use crate::daemons::{CROSS_PROCESS_POLLER, SWEEPER};
use crate::store::registry::{Liveness, ProcessState};
use crate::verdict::Code;

/// Processes that live and do not beat.
pub(super) fn hung(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let hung = chart
        .processes
        .iter()
        .filter(|state| state.liveness == Liveness::Hung);
    let one = |state: &ProcessState| {
        let pid = state.process.pid;
        let says = format!(
            "pid {pid} ({}) lives and has not beaten since {}",
            state.process.command,
            utc(state.beat_at)
        );
        let seen = json!({
            "last_beat": utc(state.beat_at), "running": state.running.len(),
            "host": state.process.host, "command": state.process.command,
        });
        let command = format!("ringrift processes show {pid}");
        Finding::new(
            FindingCode::Hung,
            Subject::process(state),
            says,
            seen,
            command,
        )
    };
    hung.map(one).collect()
}

/// Processes whose handlers run while none has ended for long.
pub(super) fn no_progress(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let alive = chart
        .processes
        .iter()
        .filter(|state| state.liveness == Liveness::Alive);
    let one = |state: &ProcessState| {
        let newest = state.running.iter().map(|run| run.since).max()?;
        let oldest = state.running.iter().min_by_key(|run| run.since)?;
        let ended = state.recent.first().map(|recent| recent.at);
        let moved = newest.max(ended.unwrap_or(newest));
        if chart.now.since(moved) < rules.no_progress {
            return None;
        }
        let name = chart
            .subscription(oldest.subscription)
            .map_or_else(String::new, |state| state.current().name.clone());
        let (pid, running) = (state.process.pid, state.running.len());
        let says = match running {
            1 => format!(
                "1 handler runs in pid {pid} and has not ended since {}: {name}",
                utc(moved)
            ),
            _ => format!(
                "{running} handlers run in pid {pid} and none has ended since {}; the longest is {name}",
                utc(moved)
            ),
        };
        let seen = json!({
            "verdict": Code::HnRunning, "running": running, "last_end": ended.map(utc),
            "longest_since": utc(oldest.since), "step": oldest.step,
            "abandoned": state.running.iter().filter(|run| run.abandoned).count(),
        });
        let subject = Subject::handler(name)
            .at_event(oldest.event)
            .in_process(state);
        let command = format!("ringrift processes show {pid}");
        Some(Finding::new(
            FindingCode::NoProgress,
            subject,
            says,
            seen,
            command,
        ))
    };
    alive.filter_map(one).collect()
}

/// Pollers that run and leave events unread.
pub(super) fn poller_stuck(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let alive = chart
        .processes
        .iter()
        .filter(|state| state.liveness == Liveness::Alive);
    let one = |state: &ProcessState| {
        let daemon = chart.daemon(state.process.id, CROSS_PROCESS_POLLER)?;
        let unread = chart.first_unread(state)?;
        let waits = chart.now.since(unread.committed_at.max(daemon.since));
        if daemon.state != "running" || waits < rules.unread {
            return None;
        }
        let pid = state.process.pid;
        let says = format!(
            "{CROSS_PROCESS_POLLER} of pid {pid} runs and has left an event unread for {} s",
            waits.as_secs()
        );
        let seen = json!({
            "read_to": state.polled_to, "log_end": chart.figures.head,
            "first_unread": unread.event.id, "unread_since": utc(unread.committed_at),
            "last_cycle": daemon.cycle_at.map(utc), "blocked_by": state.blocked_by,
        });
        let subject = Subject {
            thing: Some(CROSS_PROCESS_POLLER.to_owned()),
            ..Subject::process(state).at_event(unread.event.id)
        };
        let command = format!("ringrift daemons restart {CROSS_PROCESS_POLLER} --process {pid}");
        Some(Finding::new(
            FindingCode::PollerStuck,
            subject,
            says,
            seen,
            command,
        ))
    };
    alive.filter_map(one).collect()
}

/// Nobody looks for dead processes, although somebody should.
pub(super) fn no_sweeper(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let should = |state: &&ProcessState| {
        lives(state)
            && chart
                .daemon(state.process.id, SWEEPER)
                .is_some_and(|daemon| chart.now.since(daemon.since) >= rules.unswept)
    };
    let hosts: Vec<&ProcessState> = chart.processes.iter().filter(should).collect();
    let swept = chart.figures.swept.map(|(_, at)| at);
    let late = swept.is_none_or(|at| chart.now.since(at) >= rules.unswept);
    let Some(host) = hosts.first().filter(|_| late) else {
        return Vec::new();
    };
    let when = swept.map_or("since the machine started".to_owned(), |at| {
        format!("since {}", utc(at))
    });
    let seen = json!({
        "last_sweep": swept.map(utc),
        "hosts": hosts.iter().map(|host| host.process.pid).collect::<Vec<_>>(),
    });
    let says = format!("nobody has looked for dead processes {when}");
    let subject = Subject::thing(SWEEPER).in_process(host);
    let command = format!("ringrift daemons start {SWEEPER}");
    let finding = Finding::new(FindingCode::NoSweeper, subject, says, seen, command);
    vec![finding.fixed_by(Fix::Sweep)]
}

/// More events wait than the threshold allows.
pub(super) fn backlog(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    if chart.pending <= rules.backlog {
        return Vec::new();
    }
    let last = chart.durable().min_by_key(|state| state.settled);
    let name = last.map_or_else(String::new, |state| state.current().name.clone());
    let says = format!(
        "{} (over {}); furthest behind is {name}",
        wait(
            usize::try_from(chart.pending).unwrap_or(usize::MAX),
            "event"
        ),
        rules.backlog
    );
    let seen = json!({
        "pending": chart.pending, "threshold": rules.backlog, "setting": "health.backlog",
        "settled_to": last.map(|state| state.settled), "log_end": chart.figures.head,
    });
    let command = match name.as_str() {
        "" => "ringrift status --count".to_owned(),
        name => format!("ringrift subs show {}", quoted(name)),
    };
    vec![Finding::new(
        FindingCode::Backlog,
        Subject::handler(name),
        says,
        seen,
        command,
    )]
}

/// More dead letters than the threshold allows.
pub(super) fn dead_letters(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let letters = chart.figures.letters;
    if letters <= rules.dead_letters {
        return Vec::new();
    }
    let wait = wait(
        usize::try_from(letters).unwrap_or(usize::MAX),
        "dead letter",
    );
    let says = format!("{wait} (over {})", rules.dead_letters);
    let groups = crate::dead_letters::alike(&chart.letters);
    let faults: Vec<_> = groups
        .iter()
        .take(3)
        .map(|group| json!({"letters": group.letters.len(), "error": group.fingerprint.pattern}))
        .collect();
    let seen = json!({
        "letters": letters, "threshold": rules.dead_letters, "setting": "health.dead_letters",
        "most_frequent": faults,
    });
    let subject = Subject::thing("dead_letter_queue");
    vec![Finding::new(
        FindingCode::DeadLetters,
        subject,
        says,
        seen,
        "ringrift dlq ls",
    )]
}
