//! What a rule remembers between two looks: it is marked with the alerts it led to.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::daemons::Findings;

/// What is remembered of one rule and one of its groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    pub(super) rule: String,
    pub(super) group: String,
    /// The form of the rule when this was marked: another form begins anew.
    pub(super) when: String,
    /// Times of the newest occurrences, oldest first: as many as the rule needs.
    pub(super) at: Vec<i64>,
    /// The settled place of a subscription.
    pub(super) settled: i64,
    /// An alert was raised and is not over.
    pub(super) raised: bool,
}

/// The name under which it is marked.
pub(super) fn mark_name(rule: &str, group: &str) -> String {
    format!("{} {rule} {group}", rule.len())
}

/// Marks it.
pub(super) fn remember(memory: &Memory, findings: &mut Findings) {
    // Numbers and words: there is nothing in it that cannot be written as JSON.
    let text = serde_json::to_string(memory).unwrap_or_default();
    findings.mark(mark_name(&memory.rule, &memory.group), Some(text));
}

/// Notes a time and keeps the newest `most` of them.
pub(super) fn remember_time(memory: &mut Memory, at: Time, most: usize) {
    memory.at.push(at.0);
    memory.at.sort_unstable();
    let beyond = memory.at.len().saturating_sub(most);
    memory.at.drain(..beyond);
}
