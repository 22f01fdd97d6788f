//! The order of the examination: one function a finding, each a plain function of the chart.

use super::chart::Chart;
use super::finding::Finding;
use super::rules::Rules;
use super::{
    filtered, killed, letters, load, machine, reach, route, stuck, twice, watched, wiring,
};

/// What looks at a chart and says what it found.
type Look = fn(&Chart, &Rules) -> Vec<Finding>;

/// Every look, in the order of the runbook's tables.
const LOOKS: &[Look] = &[
    reach::without_process,
    reach::expected,
    reach::declared,
    route::misspelt,
    reach::paused,
    reach::deduplicated,
    route::not_bridged,
    reach::poller_stopped,
    route::skipped_by_seek,
    filtered::filtered_out,
    stuck::store_locked,
    stuck::loop_blocked,
    stuck::crowded,
    twice::ran_twice,
    twice::window_missed,
    twice::dedup_fields,
    twice::fields_missing,
    twice::emitted_twice,
    letters::failing,
    killed::for_memory,
    letters::retry_stopped,
    letters::one_fault,
    load::hung,
    load::no_progress,
    load::poller_stuck,
    load::no_sweeper,
    load::backlog,
    load::dead_letters,
    wiring::no_subscriptions,
    wiring::near_miss,
    wiring::nobody_subscribes,
    wiring::never_published,
    wiring::critical_not_bridged,
    watched::stalled,
    watched::sinks,
    machine::clock_skew,
    machine::wal_grown,
    machine::wal_deleted,
    machine::old_sqlite,
    machine::two_sqlites,
    machine::disk,
    machine::permissions,
    machine::settings,
];

/// Everything that is found, the worst first. Reads nothing but the chart.
#[must_use]
pub fn examine(chart: &Chart, rules: &Rules) -> Vec<Finding> {
    let mut findings: Vec<Finding> = LOOKS.iter().flat_map(|look| look(chart, rules)).collect();
    findings.sort_by(|a, b| {
        let key = |finding: &Finding| (finding.severity, finding.code, finding.subject.clone());
        key(a).cmp(&key(b))
    });
    findings
}
