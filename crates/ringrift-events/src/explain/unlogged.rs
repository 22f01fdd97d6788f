//! An event that the log does not have: a volatile one, or one that is no longer kept. Pages, dead
//! letters and facts may still tell of it; what they do not tell is said as unknown.

use std::sync::Arc;
use std::time::Duration;

use super::bridge::{self, Rule};
use super::edited::Edit;
use super::evidence::readable;
use super::explanation::{Author, Explanation, Findings, Told};
use super::known::{FACTS_MAX, Scenery, letters_of, lives, utc};
use super::name::Kept;
use super::standing::{Recorded, Standing, Verdict};
use super::whole::Whole;
use super::{Error, handle, route, wait};
use crate::clock::Time;
use crate::coded::quoted;
use crate::event::{EventId, EventType, ProcessId, made_at};
use crate::store::Store;
use crate::store::letters::{Letter, LetterState};
use crate::store::records::Unbridged;
use crate::store::registry::{Fact, FactFilter};
use crate::store::subscriptions::{SubscriptionId, SubscriptionState};
use crate::verdict::Code;

/// What is left of an event that the log does not have.
struct Traces {
    id: EventId,
    made_at: Option<Time>,
    scenery: Arc<Scenery>,
    letters: Vec<Letter>,
    facts: Vec<Fact>,
    /// What made it of a dead letter, if it was not published.
    edit: Option<Edit>,
    /// The count that names it as the last of its type that stayed in its process.
    stayed: Option<Unbridged>,
    /// What the catalog that it was published by said of its type.
    rule: Option<Rule>,
    kept: Kept,
}

/// Explains it from its traces; `None` if there are none.
pub(super) fn explain(
    store: &dyn Store,
    id: EventId,
    now: Time,
) -> Result<Option<Explanation>, Error> {
    let facts = FactFilter {
        event: Some(id),
        limit: FACTS_MAX,
        ..FactFilter::default()
    };
    let unbridged = store.unbridged().wait()?.into_iter();
    let mut traces = Traces {
        id,
        made_at: made_at(id.0),
        scenery: Arc::new(Scenery::read(store, now)?),
        letters: store.letters(letters_of(id)).wait()?,
        facts: store.facts(facts).wait()?,
        edit: None,
        stayed: named(unbridged, id),
        rule: None,
        kept: Kept::read(store)?,
    };
    traces.edit = Edit::read(store, &traces.letters, &traces.facts)?;
    if let (Some(process), Some(event_type), Some(at)) =
        (traces.publisher(), traces.event_type(), traces.made_at)
    {
        traces.rule = bridge::at(store, process, &event_type, at)?;
    }
    let told = traces.standings();
    let left = !told.is_empty() || traces.stayed.is_some();
    Ok(left.then(|| traces.explanation(told)))
}

/// The count whose last event this is.
fn named(mut all: impl Iterator<Item = Unbridged>, id: EventId) -> Option<Unbridged> {
    all.find(|one| one.last.is_some_and(|(last, _)| last == id))
}

impl Traces {
    fn explanation(&self, told: Vec<Standing>) -> Explanation {
        let author = self.author();
        let event = self.letters.first().map(|letter| &letter.event);
        let mut deliveries = told;
        if self.is_volatile() {
            deliveries.extend(self.elsewhere(author, &deliveries));
        }
        deliveries.sort_by(|a, b| a.name.cmp(&b.name));
        let all_told = self.edit.is_some() || self.is_volatile();
        let whole = match (Whole::of(&deliveries), all_told) {
            // Others may have had it of whom nothing is left.
            (Whole::Well, false) => Whole::Unknown,
            (whole, _) => whole,
        };
        Explanation {
            event: Told {
                id: self.id,
                seq: None,
                event_type: self.event_type(),
                key: event.and_then(|event| event.key.clone()),
                source: event.map(|event| event.source.clone()).unwrap_or_default(),
                published_at: event.map(|event| event.published_at).or(self.made_at),
                committed_at: None,
                deleted_at: None,
                process: author.map(|id| Author::of(id, &self.scenery)),
                call_site: None,
                trace_id: event.map(|event| event.trace_id.to_string()),
                depth: event.map(|event| event.depth),
                stage: event.and_then(|event| event.stage.clone()),
            },
            findings: Findings {
                publication: self.publication(author),
                duplicates: Vec::new(),
                cause: None,
                nobody: None,
                deliveries,
                others: Vec::new(),
                whole,
            },
        }
    }

    fn publication(&self, author: Option<ProcessId>) -> Verdict {
        if let Some(edit) = &self.edit {
            return edit.publication(self.id);
        }
        let who = author.map_or_else(
            || "A process".to_owned(),
            |id| Author::of(id, &self.scenery).to_string(),
        );
        let when = self.made_at.map(|at| format!(" at {}", utc(at)));
        let when = when.unwrap_or_default();
        if self.is_volatile() {
            let sentence = format!(
                "{who} published it{when}; its type is volatile, so it stayed in that process."
            );
            return Verdict::about(Code::PubVolatile, self.id, sentence)
                .actual("it is in no log")
                .next(match self.event_type() {
                    Some(event_type) => {
                        format!("ringrift types show {}", quoted(event_type.as_str()))
                    }
                    None => "ringrift types ls".to_owned(),
                });
        }
        let committed = self.letters.iter().find_map(|letter| letter.event.seq);
        let committed = committed.or_else(|| self.facts.iter().find_map(|fact| fact.seq));
        let sentence = match committed {
            Some(seq) => {
                format!("It was committed as {seq}{when}, and the log does not keep it any more.")
            }
            None => format!("It was published{when}, and the log does not have it."),
        };
        Verdict::about(Code::HnNoRecord, self.id, sentence).actual(self.kept.to_string())
    }

    /// Whether it never was in the log: nothing names its place, and its process counted it as one
    /// that stayed, or published by a catalog that kept its type from the log; where neither is
    /// known, the log still has what was committed when it was made, and not this.
    fn is_volatile(&self) -> bool {
        let runs = self.scenery.processes.iter().flat_map(|one| &one.running);
        let mut placed = runs.filter(|run| run.event == self.id && run.seq.is_some());
        let named = self.letters.iter().any(|letter| letter.event.seq.is_some())
            || self.facts.iter().any(|fact| fact.seq.is_some())
            || placed.next().is_some();
        let volatile_letter = self.letters.iter().any(|letter| letter.event.seq.is_none());
        let by_rule = match (self.rule, self.made_at, self.kept.since) {
            (Some(rule), _, _) => !rule.bridged,
            (None, Some(made), Some(since)) => since <= made,
            (None, _, None) => true,
            (None, None, Some(_)) => false,
        };
        !named && self.edit.is_none() && (volatile_letter || self.stayed.is_some() || by_rule)
    }

    /// The process that published it, if that is known.
    fn author(&self) -> Option<ProcessId> {
        let letter = self.letters.first().map(|letter| letter.event.origin);
        letter.or_else(|| self.is_volatile().then(|| self.publisher())?)
    }

    /// The process that published it, if it stayed there.
    fn publisher(&self) -> Option<ProcessId> {
        if let Some(letter) = self.letters.first() {
            return Some(letter.event.origin);
        }
        if let Some(stayed) = &self.stayed {
            return Some(stayed.process);
        }
        let has = |id: SubscriptionId| {
            let all = self.scenery.subscriptions.iter();
            all.filter(|state| state.id == id)
                .find_map(|state| state.process)
        };
        self.told_of().into_iter().find_map(has)
    }

    /// Its type, where that is recorded, or the only one of a subscription that had it.
    fn event_type(&self) -> Option<EventType> {
        let letter = self.letters.first().map(|one| one.event.event_type.clone());
        let stayed = self.stayed.as_ref().map(|one| one.event_type.clone());
        let fact = || self.facts.iter().find_map(|fact| fact.event_type.clone());
        let only = || {
            let all = self.scenery.subscriptions.iter();
            let mut had = all.filter(|state| self.told_of().contains(&state.id));
            had.find_map(
                |state| match (state.versions.as_slice(), &state.current().types) {
                    ([_], crate::store::log::TypeSet::Only(types)) => match types.as_slice() {
                        [one] => Some(one.clone()),
                        _ => None,
                    },
                    _ => None,
                },
            )
        };
        letter.or(stayed).or_else(fact).or_else(only)
    }

    /// The subscriptions that something tells of.
    fn told_of(&self) -> Vec<SubscriptionId> {
        let runs = self.scenery.processes.iter().flat_map(|process| {
            let running = process.running.iter().filter(|run| run.event == self.id);
            let recent = process.recent.iter().filter(|one| one.event == self.id);
            let running = running.map(|run| run.subscription);
            running.chain(recent.map(|one| one.subscription))
        });
        let letters = self.letters.iter().map(|letter| letter.subscription);
        let facts = self.facts.iter().filter_map(|fact| fact.subscription);
        let mut all: Vec<SubscriptionId> = runs.chain(letters).chain(facts).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn standings(&self) -> Vec<Standing> {
        let all = self.scenery.subscriptions.iter();
        all.filter(|state| self.told_of().contains(&state.id))
            .filter_map(|state| Some(self.standing(state, self.verdict(state)?)))
            .collect()
    }

    fn standing(&self, state: &SubscriptionState, verdict: Verdict) -> Standing {
        let facts = self.facts.iter().rev();
        let own = facts.filter(|fact| fact.subscription == Some(state.id));
        Standing {
            subscription: state.id,
            name: state.current().name.clone(),
            kind: state.current().kind,
            generation: state.generation,
            history: own
                .filter_map(|fact| Recorded::of(fact, &self.scenery))
                .collect(),
            verdict,
            earlier: Vec::new(),
        }
    }

    fn verdict(&self, state: &SubscriptionState) -> Option<Verdict> {
        let about = |code: Code, actual: String| {
            let verdict = Verdict::about(code, self.id, code.meaning()).actual(actual);
            verdict.of_subscription(state)
        };
        for process in self.scenery.processes.iter().filter(|one| lives(one)) {
            let mut runs = process.running.iter();
            let run = runs.find(|run| run.event == self.id && run.subscription == state.id);
            if let Some(run) = run.filter(|run| !run.abandoned) {
                let pid = process.process.pid;
                return Some(about(
                    Code::HnRunning,
                    format!("by pid {pid} since {}", utc(run.since)),
                ));
            }
        }
        let letter = self.letters.iter().find(|one| one.subscription == state.id);
        if let Some(letter) = letter {
            let id = letter.id.0;
            if self.edit.is_some() && letter.state == LetterState::Retrying && letter.attempts == 0
            {
                return Some(self.not_run_yet(state, letter));
            }
            let actual = format!("letter {id}, attempt {}: {}", letter.attempts, letter.error);
            return Some(
                about(code_of(letter.state), actual).next(format!("ringrift dlq show {id}")),
            );
        }
        let recent = self.scenery.processes.iter().find_map(|process| {
            let mut recent = process.recent.iter();
            let one = recent.find(|one| one.event == self.id && one.subscription == state.id)?;
            Some(about(one.code, handle::took(process, one)))
        });
        let facts = || {
            let mut facts = self.facts.iter();
            let fact = facts.find(|fact| fact.subscription == Some(state.id))?;
            Some(about(fact.code?, readable(&fact.evidence)))
        };
        recent.or_else(facts)
    }

    /// An edited event that no process has taken yet: the error is still the original's.
    fn not_run_yet(&self, state: &SubscriptionState, letter: &Letter) -> Verdict {
        let name = &state.current().name;
        let hosts = state
            .hosts
            .keys()
            .filter_map(|id| self.scenery.process(*id));
        let actual = format!("letter {}, not run yet", letter.id.0);
        let verdict = match hosts.filter(|process| lives(process)).count() {
            0 => Verdict::about(
                Code::WtNoProcess,
                self.id,
                "No live process hosts this handler.",
            )
            .expected(format!("a live process that subscribes as {name}")),
            _ => Verdict::about(Code::WtPending, self.id, "The event waits its turn.")
                .next(format!("ringrift dlq show {}", letter.id.0)),
        };
        verdict.actual(actual)
    }

    /// `model_promoted was volatile in pid 4711 …, by its catalog since …`.
    fn volatility(&self, author: Option<ProcessId>, event_type: &EventType) -> String {
        let place = author.map_or_else(
            || "the process that published it".to_owned(),
            |id| Author::of(id, &self.scenery).to_string(),
        );
        let rule = self.rule.map(|rule| utc(rule.since));
        let rule = rule.map(|since| format!(", by the catalog it published by since {since}"));
        format!(
            "{event_type} was volatile in {place}{}",
            rule.unwrap_or_default()
        )
    }

    /// The subscriptions that named its type while it stayed in its process.
    fn elsewhere(&self, author: Option<ProcessId>, told: &[Standing]) -> Vec<Standing> {
        let (Some(event_type), Some(at)) = (self.event_type(), self.made_at) else {
            return Vec::new();
        };
        // An id has its time to the millisecond.
        let by = at.after(Duration::from_micros(999));
        let wanted = |state: &&SubscriptionState| {
            let mut versions = state.versions.iter().rev();
            let version = versions.find(|version| version.created_at <= by);
            version.is_some_and(|version| version.definition.types.takes(&event_type))
                && state.ended_at.is_none_or(|end| at < end)
                && told.iter().all(|one| one.subscription != state.id)
        };
        let all = self.scenery.subscriptions.iter().filter(wanted);
        all.map(|state| {
            let here = state.process.is_some() && state.process == author;
            let verdict = match here {
                true => Verdict::about(Code::HnNoRecord, self.id, wait::HANDED_OVER),
                false => Verdict::about(Code::RtNotBridged, self.id, route::NOT_BRIDGED)
                    .actual(self.volatility(author, &event_type))
                    .expected(format!(
                        "{event_type} bridged in the publishing process, or the subscription there"
                    )),
            };
            self.standing(state, verdict.of_type(&event_type).of_subscription(state))
        })
        .collect()
    }
}

fn code_of(state: LetterState) -> Code {
    match state {
        LetterState::Retrying => Code::HnRetrying,
        LetterState::Running => Code::HnRunning,
        LetterState::Dead => Code::StDead,
        LetterState::Recovered => Code::StRecovered,
        LetterState::Discarded => Code::StDiscarded,
        LetterState::Expired => Code::StExpired,
        LetterState::Purged => Code::StPurged,
    }
}
