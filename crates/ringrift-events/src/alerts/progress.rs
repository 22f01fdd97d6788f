//! `stalled`: a durable subscription that owes work and settles none.

use std::sync::Arc;
use std::time::Duration;

use super::judge::AlertWatch;
use super::memory::{mark_name, remember, remember_time};
use super::rule::Rule;
use super::when::When;
use crate::clock::Time;
use crate::daemons::Findings;
use crate::event::Seq;
use crate::store::subscriptions::Kind;
use crate::store::watching::Fold;
use crate::store::{Error, Store};

impl AlertWatch {
    /// Durable subscriptions that owe work and settle none.
    pub(super) fn look_at_progress(
        &mut self,
        store: &dyn Store,
        now: Time,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let rules = Arc::clone(&self.rules);
        let stalled = rules.rules.iter().filter_map(|rule| match rule.when {
            When::Stalled(within) => Some((rule, within)),
            When::Any | When::MoreThan(..) | When::Absent(_) => None,
        });
        let stalled: Vec<(&Rule, Duration)> = stalled.collect();
        if stalled.is_empty() {
            return Ok(());
        }
        let head = store.head().wait()?.seq;
        for state in store.subscriptions().wait()? {
            let definition = state.current();
            if definition.kind != Kind::Durable || state.ended_at.is_some() {
                continue;
            }
            let owes = state.settled < head || state.claimed > 0;
            for (rule, within) in &stalled {
                let name = &definition.name;
                if rule.subscription.as_ref().is_none_or(|own| own == name) {
                    self.progressed(rule, name, (owes, state.settled), *within, now, findings);
                }
            }
        }
        Ok(())
    }

    fn progressed(
        &mut self,
        rule: &Rule,
        subscription: &str,
        (owes, settled): (bool, Seq),
        within: Duration,
        now: Time,
        findings: &mut Findings,
    ) {
        let known = self
            .memories
            .contains_key(&mark_name(&rule.name, subscription));
        if !owes && !known {
            return;
        }
        let memory = self.memory(rule, subscription);
        if !owes {
            // It owes nothing: forgotten, so that the next debt counts from its own beginning.
            let raised = memory.raised;
            let name = mark_name(&rule.name, subscription);
            self.memories.remove(&name);
            findings.mark(name, None);
            if raised {
                findings.change(self.end(rule, subscription, "it owes nothing"));
            }
            return;
        }
        if memory.at.is_empty() || memory.settled != settled.0 {
            let raised = std::mem::take(&mut memory.raised);
            memory.settled = settled.0;
            remember_time(memory, now, 1);
            remember(memory, findings);
            if raised {
                findings.change(self.end(rule, subscription, "it moves again"));
            }
            return;
        }
        let since = Time(memory.at[0]);
        if memory.raised || now.since(since) <= within {
            return;
        }
        memory.raised = true;
        remember(memory, findings);
        let summary = format!(
            "subscription {subscription} owes work and settled none for {} s, behind {settled}",
            now.since(since).as_secs()
        );
        let raise = self.raise(
            rule,
            subscription.to_owned(),
            Fold::Open,
            summary,
            None,
            now,
        );
        findings.change(raise);
    }
}
