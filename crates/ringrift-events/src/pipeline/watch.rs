//! `PIPELINE_WATCH`: raises an alert for each step that does not follow the one before it in time.

use std::collections::BTreeMap;

use serde_json::json;

use super::stall::Stall;
use crate::catalog::Pipeline;
use crate::clock::Time;
use crate::coded::{last_argument, quoted};
use crate::daemons::{Findings, Watch};
use crate::store::log::{Logged, TypeSet};
use crate::store::watching::{AlertChange, Fold, Raise, STALLED_RULE, Severity};
use crate::store::{Error, Store};

/// The name of the watch.
pub(super) const WATCH: &str = "pipeline";

/// Most steps that are awaited at once, of all keys: beyond it the one awaited longest goes, and its
/// alert with it. Keys are configurations, of which there are few.
const AWAITED_MAX: usize = 10_000;

/// Waits for the steps of timed pipelines.
pub struct PipelineWatch {
    pipelines: Vec<Pipeline>,
    sinks: Vec<String>,
    told_of_ends: Vec<String>,
    awaited: BTreeMap<String, Stall>,
}

impl PipelineWatch {
    /// A watch over these pipelines, as far as they have limits; `sinks` are told of a stall, and
    /// `told_of_ends` of its end.
    #[must_use]
    pub fn new(
        pipelines: Vec<Pipeline>,
        sinks: Vec<String>,
        told_of_ends: Vec<String>,
    ) -> PipelineWatch {
        PipelineWatch {
            pipelines: pipelines.into_iter().filter(Pipeline::is_timed).collect(),
            sinks,
            told_of_ends,
            awaited: BTreeMap::new(),
        }
    }

    /// What of these pipelines came, and what is to follow.
    fn take(&mut self, pipeline: &Pipeline, step: usize, logged: &Logged, findings: &mut Findings) {
        let Some(key) = pipeline.key_of(&logged.event.payload) else {
            return;
        };
        let Some(seq) = logged.event.seq else {
            return;
        };
        // What comes later proves what lies before it.
        for earlier in 1..=step {
            self.follow(Stall::name(pipeline.name(), &key, earlier), findings);
        }
        let next = step + 1;
        if pipeline.limit_of(next).is_none() {
            return;
        }
        let stall = Stall {
            pipeline: pipeline.name().to_owned(),
            key,
            step: next,
            since: logged.committed_at,
            seq,
            event: logged.event.id,
            raised: false,
        };
        let name = stall.own_name();
        // The first one that was not followed counts: a step that repeats is no progress.
        if self.awaited.contains_key(&name) {
            return;
        }
        if self.awaited.len() >= AWAITED_MAX {
            self.drop_longest(findings);
        }
        remember(&stall, findings);
        self.awaited.insert(name, stall);
    }

    fn follow(&mut self, name: String, findings: &mut Findings) {
        let Some(stall) = self.awaited.remove(&name) else {
            return;
        };
        findings.mark(name, None);
        if stall.raised {
            findings.change(AlertChange::Resolve {
                rule: STALLED_RULE.to_owned(),
                group: self.part_of(&stall),
                why: "it moved on".to_owned(),
                sinks: self.told_of_ends.clone(),
            });
        }
    }

    fn drop_longest(&mut self, findings: &mut Findings) {
        let longest = self.awaited.values().min_by_key(|stall| stall.since);
        if let Some(name) = longest.map(Stall::own_name) {
            self.follow(name, findings);
        }
    }

    fn part_of(&self, stall: &Stall) -> String {
        let step = self
            .pipelines
            .iter()
            .find(|pipeline| pipeline.name() == stall.pipeline)
            .and_then(|pipeline| pipeline.steps().get(stall.step))
            .map(|step| step.as_str().to_owned());
        let step = step.unwrap_or_else(|| stall.step.to_string());
        format!("{}/{}/{step}", stall.pipeline, stall.key)
    }

    fn raise(&self, pipeline: &Pipeline, stall: &Stall, now: Time) -> AlertChange {
        let (step, before) = (
            &pipeline.steps()[stall.step],
            &pipeline.steps()[stall.step - 1],
        );
        let limit_s = pipeline
            .limit_of(stall.step)
            .map_or(0, |limit| limit.as_secs());
        let waited_s = now.since(stall.since).as_secs();
        AlertChange::Raise(Raise {
            rule: STALLED_RULE.to_owned(),
            group: self.part_of(stall),
            severity: Severity::Critical,
            summary: format!(
                "pipeline {} stands still for {}: {} came, {} did not follow within {limit_s} s",
                stall.pipeline,
                stall.key,
                before.constant(),
                step.constant(),
            ),
            evidence: json!({
                "pipeline": stall.pipeline,
                "key": stall.key,
                "step": step.as_str(),
                "after": before.as_str(),
                "after_event": stall.event,
                "after_seq": stall.seq.0,
                "since_us": stall.since.0,
                "waited_s": waited_s,
                "limit_s": limit_s,
                "next": verify(&stall.pipeline, &stall.key),
            })
            .to_string(),
            event: Some((stall.event, stall.seq)),
            at: now,
            fold: Fold::Open,
            sinks: self.sinks.clone(),
        })
    }
}

/// The command that shows how far a key came. Both were written by others.
#[must_use]
pub fn verify(pipeline: &str, key: &str) -> String {
    let (pipeline, key) = (quoted(pipeline), last_argument(key));
    format!("ringrift pipeline verify --pipeline {pipeline} {key}")
}

fn remember(stall: &Stall, findings: &mut Findings) {
    // Numbers and words: there is nothing in it that cannot be written as JSON.
    let text = serde_json::to_string(stall).unwrap_or_default();
    findings.mark(stall.own_name(), Some(text));
}

impl Watch for PipelineWatch {
    fn name(&self) -> &'static str {
        WATCH
    }

    fn types(&self) -> Option<TypeSet> {
        let steps = self.pipelines.iter().flat_map(Pipeline::steps);
        let types = TypeSet::only(steps.cloned());
        (!self.pipelines.is_empty()).then_some(types)
    }

    fn restore(&mut self, marks: Vec<(String, String)>) {
        // A text of another version is forgotten: its step is awaited anew with the next event.
        let stalls = marks
            .iter()
            .filter_map(|(_, text)| serde_json::from_str::<Stall>(text).ok());
        self.awaited = stalls.map(|stall| (stall.own_name(), stall)).collect();
    }

    fn event(&mut self, logged: &Logged, _now: Time, findings: &mut Findings) {
        for pipeline in self.pipelines.clone() {
            if let Some(step) = pipeline.index_of(&logged.event.event_type) {
                self.take(&pipeline, step, logged, findings);
            }
        }
    }

    fn look(
        &mut self,
        _store: &dyn Store,
        now: Time,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let mut late = Vec::new();
        for stall in self.awaited.values() {
            let pipeline = self
                .pipelines
                .iter()
                .find(|one| one.name() == stall.pipeline);
            match pipeline.and_then(|one| Some((one, one.limit_of(stall.step)?))) {
                Some((pipeline, limit)) if !stall.raised && now.since(stall.since) > limit => {
                    findings.change(self.raise(pipeline, stall, now));
                    late.push(stall.own_name());
                }
                Some(_) => {}
                // The pipeline or its limit is gone: nothing is awaited any more.
                None => late.push(stall.own_name()),
            }
        }
        for name in late {
            let Some(stall) = self.awaited.get_mut(&name) else {
                continue;
            };
            let timed = self
                .pipelines
                .iter()
                .any(|one| one.name() == stall.pipeline && one.limit_of(stall.step).is_some());
            if timed {
                stall.raised = true;
                remember(stall, findings);
            } else {
                self.follow(name, findings);
            }
        }
        Ok(())
    }
}
