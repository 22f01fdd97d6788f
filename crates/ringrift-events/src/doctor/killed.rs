//! Processes that died in the middle of a run while the kernel killed for want of memory.

use std::collections::BTreeMap;

use serde_json::json;

use super::chart::{Chart, evidence, utc};
use super::code::FindingCode;
use super::finding::{Finding, Subject};
use super::reach::count_of;
use super::rules::Rules;
use crate::event::ProcessId;
use crate::store::registry::Fact;
use crate::verdict::Code;

/// Handlers whose process died with an event, and in whose control group the kernel had killed for
/// want of memory since that process began. An event that is a dead letter by now is poison, and
/// said to be.
pub(super) fn for_memory(chart: &Chart, _rules: &Rules) -> Vec<Finding> {
    let mut newest: BTreeMap<String, (&Fact, u64)> = BTreeMap::new();
    for fact in chart.facts_of(&[Code::HnLeaseLost]) {
        let is_letter = |event| chart.letters.iter().any(|letter| letter.event.id == event);
        let killed = evidence(fact)["oom_kills"].as_u64().unwrap_or(0) > 0;
        if killed
            && !fact.event.is_some_and(is_letter)
            && let Some(handler) = chart.handler_of(fact)
        {
            newest.entry(handler).or_insert((fact, 0)).1 += 1;
        }
    }
    let newest = newest.into_iter();
    newest
        .map(|(handler, (fact, times))| one(chart, &handler, fact, times))
        .collect()
}

fn one(chart: &Chart, handler: &str, fact: &Fact, times: u64) -> Finding {
    let known = evidence(fact);
    let died: Option<ProcessId> = serde_json::from_value(known["process"].clone()).ok();
    let kills = known["oom_kills"].as_u64().unwrap_or(0);
    let says = format!(
        "{} died in the middle of a run of {handler}, and the kernel had killed {} of its control \
         group for want of memory",
        chart.named(died),
        count_of(kills, "process")
    );
    let seen = json!({
        "verdict": Code::HnLeaseLost, "oom_kills": kills, "died": chart.named(died),
        "event": fact.event, "step": known["step"], "seen_at": utc(fact.at), "times": times,
    });
    let subject = Subject {
        event: fact.event,
        event_type: fact.event_type.clone(),
        ..Subject::handler(handler)
    };
    let subject = match died.and_then(|id| chart.process(id)) {
        Some(state) => subject.in_process(state),
        None => subject,
    };
    let command = format!("ringrift subs show {handler}");
    Finding::new(FindingCode::Resources, subject, says, seen, command)
}
