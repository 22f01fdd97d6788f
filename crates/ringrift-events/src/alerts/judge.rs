//! Rules at work: events and time in, changes of alerts out. What it knows is what it marked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::memory::{Memory, mark_name, remember, remember_time};
use super::rule::Rule;
use super::send::{SendRules, Sender};
use super::sink::Sink;
use super::when::When;
use crate::catalog::usual_key;
use crate::clock::{SharedClock, Time};
use crate::daemons::{Findings, Watch};
use crate::log::EventLog;
use crate::store::log::{Logged, TypeSet};
use crate::store::watching::{AlertChange, AlertFilter, Fold, Raise};
use crate::store::{Error, Store};

/// The name of the watch.
pub(super) const WATCH: &str = "alerts";

/// Alerts of one `any` rule within [`STORM_WITHIN`]; what exceeds them adds to the newest one, so
/// that a storm of events is no storm of messages.
const STORM_ALERTS: usize = 60;

/// See [`STORM_ALERTS`].
const STORM_WITHIN: Duration = Duration::from_secs(60);

/// How often alerts that nothing ends by itself are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// Groups that one rule counts by key; beyond it the one silent longest is forgotten.
const GROUPS_MAX: usize = 10_000;

/// What the watch does, and with which limits.
#[derive(Clone, Debug)]
pub struct AlertRules {
    /// The rules.
    pub rules: Vec<Rule>,
    /// The sinks.
    pub sinks: Vec<Sink>,
    /// Older occurrences raise nothing when they are first read.
    pub look_back: Duration,
    /// An alert that nothing ends is over after this long without an occurrence.
    pub resolve_after: Duration,
    /// How messages are sent.
    pub send: SendRules,
}

impl AlertRules {
    /// Who is told of alerts of a rule.
    #[must_use]
    pub fn sinks_of(&self, rule: &Rule) -> Vec<String> {
        let names = self.sinks.iter().map(|sink| sink.name.clone());
        match &rule.sinks {
            None => names.collect(),
            Some(own) => names.filter(|name| own.contains(name)).collect(),
        }
    }

    /// Who is told of their ends.
    #[must_use]
    pub fn told_of_ends(&self) -> Vec<String> {
        let sinks = self.sinks.iter().filter(|sink| sink.resolved);
        sinks.map(|sink| sink.name.clone()).collect()
    }
}

/// `ALERTS`: the rules over the log.
pub struct AlertWatch {
    pub(super) rules: Arc<AlertRules>,
    pub(super) memories: BTreeMap<String, Memory>,
    forgot_at: Option<Time>,
    sender: Sender,
}

impl AlertWatch {
    /// A watch by these rules.
    #[must_use]
    pub fn new(rules: Arc<AlertRules>, log: EventLog, clock: SharedClock) -> AlertWatch {
        AlertWatch {
            sender: Sender::new(Arc::clone(&rules), log, clock),
            rules,
            memories: BTreeMap::new(),
            forgot_at: None,
        }
    }

    pub(super) fn memory(&mut self, rule: &Rule, group: &str) -> &mut Memory {
        let name = mark_name(&rule.name, group);
        let when = rule.when.to_string();
        let memory = self.memories.entry(name).or_default();
        if memory.when != when {
            *memory = Memory {
                rule: rule.name.clone(),
                group: group.to_owned(),
                when,
                ..Memory::default()
            };
        }
        memory
    }

    fn occurred(&mut self, rule: &Rule, logged: &Logged, now: Time, findings: &mut Findings) {
        let key = key_of(logged).unwrap_or_default();
        let group = if rule.by_key {
            key.clone()
        } else {
            String::new()
        };
        let at = logged.committed_at;
        let is_old = at < now.before(self.rules.look_back);
        self.bound_groups(rule, &group, findings);
        match rule.when {
            When::Any if is_old => {}
            When::Any => {
                let memory = self.memory(rule, &group_of_storm());
                let stormy = memory.at.len() >= STORM_ALERTS
                    && memory.at[memory.at.len() - STORM_ALERTS] > at.before(STORM_WITHIN).0;
                if !stormy {
                    remember_time(memory, at, STORM_ALERTS);
                    remember(memory, findings);
                }
                let fold = match rule.dedup {
                    _ if stormy => Fold::OpenOfRule,
                    Some(within) => Fold::Within(within),
                    None => Fold::Never,
                };
                let summary = format!("{} occurred{}", constant(logged), of_key(&key));
                let raise = self.raise(rule, group, fold, summary, Some(logged), at);
                findings.change(raise);
            }
            When::MoreThan(most, within) => {
                let most = most as usize;
                let memory = self.memory(rule, &group);
                remember_time(memory, at, most + 1);
                let over = memory.at.len() > most
                    && memory.at[memory.at.len() - 1 - most] > at.before(within).0;
                let ended = memory.raised && !over;
                memory.raised = over && (memory.raised || !is_old);
                remember(memory, findings);
                if ended {
                    findings.change(self.end(rule, &group, "the window has passed"));
                }
                if over && !is_old {
                    let summary = format!(
                        "{} occurred more than {most} times within {} s{}",
                        constant(logged),
                        within.as_secs(),
                        of_key(&group)
                    );
                    let raise = self.raise(rule, group, Fold::Open, summary, Some(logged), at);
                    findings.change(raise);
                }
            }
            When::Absent(_) => {
                let memory = self.memory(rule, &group);
                let raised = std::mem::take(&mut memory.raised);
                remember_time(memory, at, 1);
                remember(memory, findings);
                if raised {
                    findings.change(self.end(rule, &group, "it occurred again"));
                }
            }
            When::Stalled(_) => {}
        }
    }

    /// Keeps the groups of one rule within their bound.
    fn bound_groups(&mut self, rule: &Rule, group: &str, findings: &mut Findings) {
        if !rule.by_key || self.memories.len() < GROUPS_MAX {
            return;
        }
        if self.memories.contains_key(&mark_name(&rule.name, group)) {
            return;
        }
        let oldest = self
            .memories
            .iter()
            .filter(|(_, memory)| memory.rule == rule.name)
            .min_by_key(|(_, memory)| memory.at.last().copied());
        if let Some(name) = oldest.map(|(name, _)| name.clone()) {
            self.memories.remove(&name);
            findings.mark(name, None);
        }
    }

    /// Rules whose window has passed, and absences.
    fn look_at_time(&mut self, now: Time, findings: &mut Findings) {
        let rules = Arc::clone(&self.rules);
        for rule in &rules.rules {
            match rule.when {
                When::Any | When::Stalled(_) => {}
                When::MoreThan(most, within) => {
                    let first_within = now.before(within).0;
                    for memory in self.memories.values_mut() {
                        let over = memory.at.iter().filter(|at| **at > first_within).count();
                        if memory.rule == rule.name && memory.raised && over <= most as usize {
                            memory.raised = false;
                            remember(memory, findings);
                            let group = memory.group.clone();
                            findings.change(end(&rules, rule, &group, "the window has passed"));
                        }
                    }
                }
                When::Absent(within) => self.look_at_absence(rule, within, now, findings),
            }
        }
    }

    fn look_at_absence(
        &mut self,
        rule: &Rule,
        within: Duration,
        now: Time,
        findings: &mut Findings,
    ) {
        if !rule.by_key {
            // From when on it is awaited: since the rule was first seen.
            let memory = self.memory(rule, "");
            if memory.at.is_empty() {
                remember_time(memory, now, 1);
                remember(memory, findings);
            }
        }
        let late: Vec<(String, Time)> = self
            .memories
            .values_mut()
            .filter(|memory| memory.rule == rule.name && !memory.raised)
            .filter_map(|memory| {
                let last = Time(*memory.at.last()?);
                if now.since(last) <= within {
                    return None;
                }
                memory.raised = true;
                remember(memory, findings);
                Some((memory.group.clone(), last))
            })
            .collect();
        for (group, last) in late {
            let names: Vec<String> = rule.types.iter().map(|one| one.constant()).collect();
            let summary = format!(
                "{} did not occur for {} s{}",
                names.join(", "),
                now.since(last).as_secs(),
                of_key(&group)
            );
            let raise = self.raise(rule, group, Fold::Open, summary, None, now);
            findings.change(raise);
        }
    }

    pub(super) fn raise(
        &self,
        rule: &Rule,
        group: String,
        fold: Fold,
        summary: String,
        logged: Option<&Logged>,
        at: Time,
    ) -> AlertChange {
        let event = logged.and_then(|one| Some((one.event.id, one.event.seq?)));
        let mut evidence = json!({ "when": rule.when.to_string() });
        if let (Some(fields), Some(logged)) = (evidence.as_object_mut(), logged) {
            fields.insert("type".into(), logged.event.event_type.as_str().into());
            fields.insert("source".into(), logged.event.source.clone().into());
            fields.insert("key".into(), key_of(logged).into());
            fields.insert(
                "payload".into(),
                preview(logged.event.payload.as_str()).into(),
            );
            let next = format!("ringrift events show {}", logged.event.id);
            fields.insert("next".into(), next.into());
        }
        AlertChange::Raise(Raise {
            rule: rule.name.clone(),
            group,
            severity: rule.severity,
            summary,
            evidence: evidence.to_string(),
            event,
            at,
            fold,
            sinks: self.rules.sinks_of(rule),
        })
    }

    pub(super) fn end(&self, rule: &Rule, group: &str, why: &str) -> AlertChange {
        end(&self.rules, rule, group, why)
    }

    /// Lets go what nothing else ends.
    fn forget(
        &mut self,
        store: &dyn Store,
        now: Time,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        if self
            .forgot_at
            .is_some_and(|at| now.since(at) < FORGET_EVERY)
        {
            return Ok(());
        }
        self.forgot_at = Some(now);
        let before = now.before(self.rules.resolve_after);
        let any = self
            .rules
            .rules
            .iter()
            .filter(|rule| rule.when == When::Any);
        let rules: Vec<String> = any.map(|rule| rule.name.clone()).collect();
        let filter = AlertFilter {
            unresolved: true,
            limit: usize::MAX,
            ..AlertFilter::default()
        };
        let standing = store.alerts(filter).wait()?;
        // An idle home commits nothing: only what is there is asked to go.
        if standing
            .iter()
            .any(|one| one.last_at < before && rules.contains(&one.rule))
        {
            findings.change(AlertChange::Forget { rules, before });
        }
        Ok(())
    }
}

fn end(rules: &AlertRules, rule: &Rule, group: &str, why: &str) -> AlertChange {
    AlertChange::Resolve {
        rule: rule.name.clone(),
        group: group.to_owned(),
        why: why.to_owned(),
        sinks: rules.told_of_ends(),
    }
}

/// One memory of all groups: a storm is a storm whatever its keys.
fn group_of_storm() -> String {
    "*".to_owned()
}

fn constant(logged: &Logged) -> String {
    logged.event.event_type.constant()
}

/// The event's key; of a type without a key field, the one that its payload carries all the same.
fn key_of(logged: &Logged) -> Option<String> {
    let own = logged.event.key.clone();
    own.or_else(|| usual_key(&logged.event.payload))
}

fn of_key(key: &str) -> String {
    match key {
        "" => String::new(),
        key => format!(" for {key}"),
    }
}

/// Bytes of a payload that an alert carries: enough to see what it is about.
const PREVIEW_BYTES_MAX: usize = 1_000;

fn preview(payload: &str) -> &str {
    &payload[..payload.floor_char_boundary(PREVIEW_BYTES_MAX)]
}

impl Watch for AlertWatch {
    fn name(&self) -> &'static str {
        WATCH
    }

    fn types(&self) -> Option<TypeSet> {
        Rule::types_of(&self.rules.rules)
    }

    fn restore(&mut self, marks: Vec<(String, String)>) {
        // A text of another version is forgotten: its rule counts anew.
        let memories = marks
            .iter()
            .filter_map(|(_, text)| serde_json::from_str::<Memory>(text).ok());
        self.memories = memories
            .map(|memory| (mark_name(&memory.rule, &memory.group), memory))
            .collect();
    }

    fn event(&mut self, logged: &Logged, now: Time, findings: &mut Findings) {
        let rules = Arc::clone(&self.rules);
        for rule in rules.rules.iter().filter(|rule| rule.takes(logged)) {
            self.occurred(rule, logged, now, findings);
        }
    }

    fn look(&mut self, store: &dyn Store, now: Time, findings: &mut Findings) -> Result<(), Error> {
        self.look_at_time(now, findings);
        self.look_at_progress(store, now, findings)?;
        self.forget(store, now, findings)
    }

    fn settled(&mut self, store: &Arc<dyn Store>, now: Time) -> Result<(), Error> {
        self.sender.send_what_waits(store, now)
    }

    fn leave(&mut self) {
        self.sender.finish();
    }
}
