//! Puts the answers in order: whose word about one event and one subscription counts, and when.

use super::known::Known;
use super::standing::{Earlier, Recorded, Standing, Verdict};
use super::whole::Side;
use super::{handle, route, settle, wait};
use crate::clock::Time;
use crate::event::{Event, Seq};
use crate::store::deliveries::Why;
use crate::store::registry::{Fact, ProcessState};
use crate::store::subscriptions::{Generation, Kind, SubscriptionState};
use crate::store::trail::{Again, Passage, Place};
use crate::verdict::Code;

/// One event and one subscription in one generation.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) known: &'a Known,
    pub(super) state: &'a SubscriptionState,
    pub(super) event: &'a Event,
    pub(super) seq: Seq,
    pub(super) generation: Generation,
    /// Where the event lies in the generation; none for a live subscription.
    pub(super) passage: Option<&'a Passage>,
}

/// Where the event stands with the subscription; `None` if the two have nothing to do with each
/// other.
pub(super) fn of(known: &Known, state: &SubscriptionState) -> Option<Standing> {
    let cases = cases(known, state);
    let mut deliveries: Vec<Earlier> = cases.iter().flat_map(deliveries_of).collect();
    let last = deliveries.pop().or_else(|| {
        // No generation was for its place: the versions say why.
        let case = Case::new(known, state, state.generation, None);
        let verdict = route::of(&case)?;
        Some(Earlier {
            generation: state.generation,
            verdict,
        })
    })?;
    if !concerns(known, state) && !cases.iter().any(Case::has_record) {
        return None;
    }
    Some(Standing {
        subscription: state.id,
        name: state.current().name.clone(),
        kind: state.current().kind,
        generation: last.generation,
        history: history(known, state, &last.verdict),
        verdict: last.verdict,
        earlier: deliveries,
    })
}

/// What was recorded of this very event at the subscription, oldest first, whatever the generation;
/// and the pauses that it waited through.
fn history(known: &Known, state: &SubscriptionState, last: &Verdict) -> Vec<Recorded> {
    let owed = last.side != Side::NotOwed;
    let own = |fact: &&Fact| {
        let waited = fact.code == Some(Code::RtPaused) && fact.seq_to.is_some() && owed;
        fact.subscription == Some(state.id) && (fact.event == Some(known.logged.event.id) || waited)
    };
    let facts = known.facts.iter().rev().filter(own);
    facts
        .filter_map(|fact| Recorded::of(fact, &known.scenery))
        .collect()
}

/// A subscription that stood at the event's place and names other types; whether one of them is
/// similar to the event's.
pub(super) fn stranger(known: &Known, state: &SubscriptionState) -> Option<(bool, Standing)> {
    let case = Case::new(known, state, state.generation, None);
    let stood = case.version().is_some() && !settle::was_removed_before(&case);
    if !stood || concerns(known, state) || cases(known, state).iter().any(Case::has_record) {
        return None;
    }
    let (near, verdict) = route::other_types(&case)?;
    let standing = Standing {
        subscription: state.id,
        name: state.current().name.clone(),
        kind: state.current().kind,
        generation: state.generation,
        verdict,
        earlier: Vec::new(),
        history: Vec::new(),
    };
    Some((near, standing))
}

/// The case of an event that is yet to come; none for a subscription that has ended.
pub(super) fn next_case<'a>(known: &'a Known, state: &'a SubscriptionState) -> Option<Case<'a>> {
    let case = Case::new(known, state, state.generation, None);
    (state.ended_at.is_none() && case.version().is_some()).then_some(case)
}

/// Whether the subscription was for events of this type when this one was published: by the version
/// for its place. One that began later or ended before counts as long as its name has no better
/// bearer: the first while it stands, the second while no other of its name does; and one of which
/// nobody knows whether it had ended.
pub(super) fn concerns(known: &Known, state: &SubscriptionState) -> bool {
    let case = Case::new(known, state, state.generation, None);
    let stands = |one: &SubscriptionState| one.ended_at.is_none();
    let version = case.version().or_else(|| {
        let (first, last) = (state.versions.first()?, state.versions.last()?);
        let name = &state.current().name;
        let mut others = known.scenery.subscriptions.iter();
        match case.seq < first.valid_from {
            true => stands(state).then_some(first),
            false => {
                let replaced = others.any(|one| one.current().name == *name && stands(one));
                (!replaced || route::came_at_its_death(&case)).then_some(last)
            }
        }
    });
    let names = version.is_some_and(|version| {
        let types = &version.definition.types;
        types.takes(&case.event.event_type)
    });
    names && !settle::was_removed_before(&case)
}

/// The generations that were for the event's place, oldest first; one case for a live subscription.
fn cases<'a>(known: &'a Known, state: &'a SubscriptionState) -> Vec<Case<'a>> {
    match state.current().kind {
        Kind::Live => vec![Case::new(known, state, state.generation, None)],
        Kind::Durable => known
            .trail
            .passages
            .iter()
            .filter(|one| one.subscription == state.id && one.place != Place::Outside)
            .map(|passage| Case::new(known, state, passage.generation, Some(passage)))
            .collect(),
    }
}

/// The deliveries of one generation: the first, and those that an operator asked for again.
fn deliveries_of(case: &Case<'_>) -> Vec<Earlier> {
    let replays = case.rows().filter(|row| row.why == Why::Replay);
    let replays = replays.map(|row| handle::of_row(case, row));
    let verdicts = std::iter::once(first_of(case)).chain(replays);
    verdicts
        .map(|verdict| Earlier {
            generation: case.generation,
            verdict,
        })
        .collect()
}

/// The first delivery of a generation. What was written down about this very event goes first,
/// then what versions say, then what ended the range it lies in, then positions.
fn first_of(case: &Case<'_>) -> Verdict {
    let own = handle::running(case)
        .or_else(|| settle::of_fact(case))
        .or_else(|| case.own_row().map(|row| handle::of_row(case, row)))
        .or_else(|| handle::recent(case));
    own.or_else(|| route::of(case))
        .or_else(|| settle::deleted(case))
        .or_else(|| settle::of_range(case))
        .unwrap_or_else(|| by_place(case))
}

fn by_place(case: &Case<'_>) -> Verdict {
    let Some(passage) = case.passage else {
        return wait::live(case);
    };
    match passage.place {
        Place::Passed { by } => handle::passed(case, by),
        Place::Claimed { by } => wait::claimed(case, by),
        Place::Outside | Place::Ahead if passage.ended_at.is_some() => settle::left_behind(case),
        // Told before; see `settle::deleted`.
        Place::Outside | Place::Ahead | Place::Deleted { .. } => wait::unclaimed(case),
    }
}

impl<'a> Case<'a> {
    fn new(
        known: &'a Known,
        state: &'a SubscriptionState,
        generation: Generation,
        passage: Option<&'a Passage>,
    ) -> Case<'a> {
        let event: &'a Event = &known.logged.event;
        Case {
            known,
            state,
            event,
            seq: event.seq.unwrap_or_default(),
            generation,
            passage,
        }
    }

    /// The version that is for the event's place.
    pub(super) fn version(&self) -> Option<&'a crate::store::subscriptions::Version> {
        let seq = self.seq;
        let covers = |version: &&crate::store::subscriptions::Version| {
            version.valid_from <= seq && version.valid_to.is_none_or(|to| seq < to)
        };
        self.state.versions.iter().find(covers)
    }

    /// The living processes that may take the event: a process that subscribed by an older version
    /// takes nothing of a later one's part of the log.
    pub(super) fn hosts(&self) -> Vec<&'a ProcessState> {
        let own = self.version().map_or(0, |version| version.number);
        let hosts = self.known.hosts(self.state);
        let able = hosts.filter(|(_, version)| *version >= own);
        able.map(|(process, _)| process).collect()
    }

    /// The redeliveries of the event in this generation, oldest first.
    pub(super) fn rows(&self) -> impl Iterator<Item = &'a Again> + use<'a> {
        let (id, generation) = (self.state.id, self.generation);
        let rows = self.known.trail.again.iter();
        rows.filter(move |row| row.subscription == id && row.generation == generation)
    }

    /// The delivery's own redelivery; the last one, when an edit took the place of another.
    pub(super) fn own_row(&self) -> Option<&'a Again> {
        self.rows().filter(|row| row.why != Why::Replay).last()
    }

    /// Whether a moment belongs to this generation.
    pub(super) fn is_of_now(&self, at: Time) -> bool {
        self.passage.is_none_or(|passage| {
            passage.began_at <= at && passage.ended_at.is_none_or(|end| at < end)
        })
    }

    /// The coded facts about this very event in this generation, newest first.
    pub(super) fn facts(&self) -> impl Iterator<Item = (Code, &'a Fact)> {
        let id = self.state.id;
        self.known.facts.iter().filter_map(move |fact| {
            let own = fact.event == Some(self.event.id) && fact.subscription == Some(id);
            let code = fact.code.filter(|_| own && self.is_of_now(fact.at))?;
            Some((code, fact))
        })
    }

    fn has_record(&self) -> bool {
        self.rows().next().is_some() || self.facts().next().is_some()
    }
}
