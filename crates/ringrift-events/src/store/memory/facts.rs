//! Facts: making, keeping and asking for them.

use super::state::World;
use crate::event::{Event, ProcessId, Seq};
use crate::store::registry::{Fact, FactFilter};
use crate::store::subscriptions::SubscriptionId;
use crate::verdict::Code;

/// Most facts kept; the oldest go first, as retention would let them.
const FACTS_MAX: usize = 200_000;

/// Most facts in one answer.
const FACTS_ASKED_MAX: usize = 10_000;

impl World {
    /// An empty fact of now.
    pub(super) fn fact(&self, code: Option<Code>) -> Fact {
        Fact {
            at: self.now,
            code,
            event: None,
            seq: None,
            seq_to: None,
            event_type: None,
            subscription: None,
            process: None,
            act: None,
            generation: None,
            evidence: "{}".to_owned(),
        }
    }

    pub(super) fn note(&mut self, mut fact: Fact) {
        let about = fact.subscription.and_then(|id| self.subscriptions.get(&id));
        fact.generation = fact.generation.or(about.map(|one| one.generation));
        if self.facts.len() == FACTS_MAX {
            self.facts.pop_front();
        }
        self.facts.push_back(fact);
    }

    /// Notes a verdict about one event and one subscription.
    pub(super) fn verdict(
        &mut self,
        code: Code,
        subscription: SubscriptionId,
        event: &Event,
        process: Option<ProcessId>,
        evidence: serde_json::Value,
    ) {
        let fact = Fact {
            event: Some(event.id),
            seq: event.seq,
            event_type: Some(event.event_type.clone()),
            subscription: Some(subscription),
            process,
            evidence: evidence.to_string(),
            ..self.fact(Some(code))
        };
        self.note(fact);
    }

    /// Notes what an operator did to a subscription.
    pub(super) fn note_act(&mut self, id: SubscriptionId, act: &str, by: String) {
        let fact = Fact {
            subscription: Some(id),
            act: Some((by, act.to_owned())),
            ..self.fact(None)
        };
        self.note(fact);
    }

    /// Notes one verdict for a range of the log.
    pub(super) fn verdict_range(
        &mut self,
        code: Code,
        subscription: SubscriptionId,
        (first, last): (Seq, Seq),
        evidence: serde_json::Value,
    ) {
        let fact = Fact {
            seq: Some(first),
            seq_to: Some(last),
            subscription: Some(subscription),
            evidence: evidence.to_string(),
            ..self.fact(Some(code))
        };
        self.note(fact);
    }

    pub(super) fn facts_of(&self, filter: &FactFilter) -> Vec<Fact> {
        let about = filter.event.and_then(|id| self.by_id.get(&id)).copied();
        let in_range = |fact: &Fact| match (about, fact.seq, fact.seq_to) {
            (Some(seq), Some(first), Some(last)) => first <= seq && seq <= last,
            _ => false,
        };
        let wanted = |fact: &&Fact| {
            (filter.event.is_none() || fact.event == filter.event || in_range(fact))
                && (filter.subscription.is_none() || fact.subscription == filter.subscription)
                && (filter.codes.is_empty() || fact.code.is_some_and(|c| filter.codes.contains(&c)))
                && (!filter.acts_only || fact.act.is_some())
                && filter.since.is_none_or(|since| fact.at >= since)
        };
        let most = filter.limit.min(FACTS_ASKED_MAX);
        self.facts
            .iter()
            .rev()
            .filter(wanted)
            .take(most)
            .cloned()
            .collect()
    }
}
