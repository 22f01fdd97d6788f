//! The machine under the store: clocks, the write-ahead log, SQLite itself, disk, files, settings.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;

use super::Fix;
use super::chart::{Chart, lives, utc};
use super::code::FindingCode;
use super::finding::{Finding, Subject};
use super::rules::Rules;
use crate::clock::Time;
use crate::coded::quoted;
use crate::event::ProcessId;

/// The oldest SQLite whose checkpoints are known to be safe beside others.
const SQLITE_SAFE: u32 = 3_051_003;

/// Processes whose clock is ahead of this one's, publishers ahead of whoever committed, and those
/// whose commits are dated before others that came before them.
pub(super) fn clock_skew(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let mut findings = Vec::new();
    for state in chart.processes.iter().filter(|state| lives(state)) {
        let ahead = state.beat_at.since(chart.now);
        let of_events = chart
            .events
            .iter()
            .filter(|logged| logged.event.origin == state.process.id)
            .map(|logged| logged.event.published_at.since(logged.committed_at))
            .max();
        let ahead = ahead.max(of_events.unwrap_or_default());
        if ahead < rules.clock_skew {
            continue;
        }
        let says = format!(
            "the clock of pid {} on {} is {} ms ahead",
            state.process.pid,
            state.process.host,
            ahead.as_millis()
        );
        let seen = json!({
            "host": state.process.host, "ahead_ms": u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX),
            "its_beat": utc(state.beat_at), "now": utc(chart.now),
            "threshold_ms": u64::try_from(rules.clock_skew.as_millis()).unwrap_or(u64::MAX),
        });
        let subject = Subject::process(state);
        let command = "timedatectl status";
        findings.push(Finding::new(
            FindingCode::ClockSkew,
            subject,
            says,
            seen,
            command,
        ));
    }
    let ahead: Vec<Option<ProcessId>> = findings.iter().map(|one| one.subject.process).collect();
    let others = behind(chart, rules).into_iter();
    // Of one that is ahead it has been said: the others are not behind.
    let others = others.filter(|(_, (than, _))| !ahead.contains(&Some(*than)));
    findings.extend(others.filter_map(|(slow, (than, by))| {
        let (slow, than) = (chart.process(slow)?, chart.process(than)?);
        let says = format!(
            "the clock of pid {} on {} is at least {} ms behind that of pid {} on {}",
            slow.process.pid,
            slow.process.host,
            by.as_millis(),
            than.process.pid,
            than.process.host
        );
        let seen = json!({
            "host": slow.process.host, "behind_ms": u64::try_from(by.as_millis()).unwrap_or(u64::MAX),
            "compared_with": than.process.pid, "its_beat": utc(slow.beat_at), "now": utc(chart.now),
            "threshold_ms": u64::try_from(rules.clock_skew.as_millis()).unwrap_or(u64::MAX),
        });
        let (code, subject) = (FindingCode::ClockSkew, Subject::process(slow));
        Some(Finding::new(code, subject, says, seen, "timedatectl status"))
    }));
    findings
}

/// Live processes that dated a commit before the last one of another process, which dated its next
/// one after that: commits come one after the other, so it is the clock that is behind. Had the one
/// clock of both been set back, the next one would be dated back too.
fn behind(chart: &Chart, rules: &Rules) -> BTreeMap<ProcessId, (ProcessId, Duration)> {
    let live = chart.processes.iter().filter(|state| lives(state));
    let live: BTreeSet<ProcessId> = live.map(|state| state.process.id).collect();
    let commits = chart.events.iter().rev();
    let commits = commits.map(|logged| (logged.event.origin, logged.committed_at));
    let commits: Vec<(ProcessId, Time)> = commits.filter(|(by, _)| live.contains(by)).collect();
    let mut behind: BTreeMap<ProcessId, (ProcessId, Duration)> = BTreeMap::new();
    for &one in &live {
        let mut last: Option<Time> = None;
        let mut since: Vec<(ProcessId, Duration)> = Vec::new();
        for &(by, at) in &commits {
            if by != one {
                let late = last.map(|last| last.since(at));
                since.extend(
                    late.filter(|by| *by >= rules.clock_skew)
                        .map(|late| (by, late)),
                );
                continue;
            }
            for (slow, late) in since
                .drain(..)
                .filter(|_| last.is_some_and(|last| last <= at))
            {
                let known = behind.entry(slow).or_insert((one, late));
                if known.1 < late {
                    *known = (one, late);
                }
            }
            last = Some(at);
        }
    }
    behind
}

/// A write-ahead log beyond its bound, with who keeps it.
pub(super) fn wal_grown(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let bytes = chart.figures.wal_bytes;
    if bytes <= rules.wal_bytes {
        return Vec::new();
    }
    let readers = &chart.ground.readers;
    // The one that reads the oldest state keeps the rest as well; of a reader that has no number
    // here, or of a store that was not asked, the kernel's list may know more.
    let oldest = chart.figures.wal_reader.as_ref();
    let oldest = oldest.map(|(pid, command)| (pid, command));
    let keeps = oldest
        .filter(|(pid, _)| **pid > 0)
        .or(readers.iter().next());
    let who = keeps.map_or_else(
        || "nobody reads it now".to_owned(),
        |(pid, command)| format!("pid {pid} ({command}) reads its oldest state and keeps it"),
    );
    let says = format!(
        "the write-ahead log has {} MiB (over {}): {who}",
        bytes >> 20,
        rules.wal_bytes >> 20
    );
    let seen = json!({
        "wal_bytes": bytes, "threshold": rules.wal_bytes, "setting": "store.wal_max",
        "oldest_reader": keeps.map(|(pid, _)| pid), "readers": readers,
        "foreign": chart.ground.foreign,
    });
    let subject = Subject {
        pid: keeps.map(|(pid, _)| *pid),
        ..Subject::thing("coordination.db-wal")
    };
    let command = "ringrift doctor --fix";
    let finding = Finding::new(FindingCode::WalGrown, subject, says, seen, command);
    vec![finding.fixed_by(Fix::Checkpoint)]
}

/// Processes that write to files that are gone.
pub(super) fn wal_deleted(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let one = |(pid, file): (&u32, &String)| {
        let says = format!("pid {pid} still has {file} open");
        let seen = json!({ "pid": pid, "file": file });
        let subject = Subject {
            pid: Some(*pid),
            ..Subject::thing(file)
        };
        let command = format!("ringrift processes show {pid}");
        Finding::new(FindingCode::WalDeleted, subject, says, seen, command)
    };
    chart.ground.deleted.iter().map(one).collect()
}

/// The last writer was an SQLite with a known defect.
pub(super) fn old_sqlite(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let Some(version) = chart
        .ground
        .written_by
        .filter(|version| *version < SQLITE_SAFE)
    else {
        return Vec::new();
    };
    let text = |version: u32| {
        format!(
            "{}.{}.{}",
            version / 1_000_000,
            version / 1_000 % 1_000,
            version % 1_000
        )
    };
    let says = format!(
        "SQLite {} wrote to the database; at least {} is safe",
        text(version),
        text(SQLITE_SAFE)
    );
    let seen = json!({
        "version": text(version), "expected": text(SQLITE_SAFE), "open_now": chart.ground.foreign,
    });
    let subject = Subject {
        pid: chart.ground.foreign.keys().next().copied(),
        ..Subject::thing("coordination.db")
    };
    let command = "ringrift db check";
    vec![Finding::new(
        FindingCode::OldSqlite,
        subject,
        says,
        seen,
        command,
    )]
}

/// Processes of ours that use a second SQLite on the same file.
pub(super) fn two_sqlites(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let one = |(pid, library): (&u32, &String)| {
        let says = format!("pid {pid} opened the database through {library} beside our own SQLite");
        let seen = json!({ "pid": pid, "library": library });
        let state = chart
            .processes
            .iter()
            .find(|state| state.process.pid == *pid && lives(state));
        let subject = match state {
            Some(state) => Subject::process(state),
            None => Subject {
                pid: Some(*pid),
                ..Subject::default()
            },
        };
        let command = format!("ringrift processes show {pid}");
        Finding::new(FindingCode::TwoSqlites, subject, says, seen, command)
    };
    chart.ground.second_copies.iter().map(one).collect()
}

/// The disk is nearly full.
pub(super) fn disk(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let Some((percent, bytes)) = chart.ground.disk_free else {
        return Vec::new();
    };
    if percent >= u64::from(rules.disk_free_percent) {
        return Vec::new();
    }
    let folder = chart
        .ground
        .database
        .as_deref()
        .and_then(|path| path.parent());
    let folder = folder.map_or_else(String::new, |path| path.display().to_string());
    let says = format!(
        "{percent} % of the disk under {folder} is free ({} MiB)",
        bytes >> 20
    );
    let seen = json!({
        "free_percent": percent, "free_bytes": bytes, "threshold": rules.disk_free_percent,
        "setting": "doctor.disk_free_percent", "database_bytes": chart.figures.file_bytes,
    });
    let command = format!("df -h {}", quoted(&folder));
    vec![Finding::new(
        FindingCode::Disk,
        Subject::thing(folder),
        says,
        seen,
        command,
    )]
}

/// Files that shut out who may use the database.
pub(super) fn permissions(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    chart.ground.shut.iter().map(|side| {
        let path = side.path.display().to_string();
        let says = format!("{path} has mode {:o} where the database asks for {:o}", side.mode, side.expected);
        let seen = json!({
            "file": path, "mode": format!("{:o}", side.mode), "expected": format!("{:o}", side.expected),
        });
        let command = format!("chmod {:o} {}", side.expected, quoted(&path));
        let finding = Finding::new(FindingCode::Permissions, Subject::thing(&path), says, seen, command);
        finding.fixed_by(Fix::Permissions { file: side.path.clone(), mode: side.expected })
    }).collect()
}

/// Settings that contradict each other.
pub(super) fn settings(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    chart
        .conflicts
        .iter()
        .map(|conflict| {
            let subject = Subject::thing(conflict.split(' ').next().unwrap_or_default());
            let seen = json!({ "conflict": conflict });
            let command = "ringrift config show --origin";
            Finding::new(FindingCode::Settings, subject, conflict, seen, command)
        })
        .collect()
}
